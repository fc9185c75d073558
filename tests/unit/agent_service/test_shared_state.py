from __future__ import annotations

import time

from agent_service.durable.shared_state import FRESH_SECONDS, AppCache, Profile


def test_changes_are_merged_by_key() -> None:
    one = Profile(version=3, state={"a": 1, "b": 2})
    assert one.merged({"b": 3, "c": None}) == Profile(version=4, state={"a": 1, "b": 3, "c": None})


def test_what_was_read_just_now_is_fresh() -> None:
    cache, now = AppCache(), time.time()
    assert cache.fresh() is None
    cache.take(Profile(version=1), now)
    assert cache.fresh() == Profile(version=1)
    cache = AppCache()
    cache.take(Profile(version=1), now - FRESH_SECONDS)
    assert cache.fresh() is None


def test_a_replay_does_not_bring_back_what_was_before() -> None:
    cache, now = AppCache(), time.time()
    cache.take(Profile(version=2, state={"a": "new"}), now)
    cache.take(Profile(version=1, state={"a": "old"}), now + 5)
    assert cache.fresh() == Profile(version=2, state={"a": "new"})
    # Nor does it make old knowledge fresh.
    stale = AppCache()
    stale.take(Profile(version=2), now - 10)
    stale.take(Profile(version=2), now - 20)
    assert stale.fresh() is None

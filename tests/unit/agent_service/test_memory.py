"""What of a session is added to the memory, and how far that was."""

from __future__ import annotations

from typing import Any, cast

from google.adk.events.event import Event
from google.genai import types

from agent_service.durable import memory_objects
from agent_service.durable.memory import _after
from agent_service.durable.memory_objects import Addition, Mark
from tests.unit.agent_service.fakes import FakeStore


def _events(*times: float) -> list[Event]:
    content = types.UserContent("x")
    return [Event(id=f"e{t:.0f}", author="user", timestamp=t, content=content) for t in times]


def test_what_came_after_the_latest_is_added() -> None:
    events = _events(1, 2, 3)
    assert _after(Mark(), events) == events
    assert _after(Mark(id="e2", at=2), events) == events[2:]
    assert _after(Mark(id="e3", at=3), events) == []


def test_where_the_latest_is_not_shown_its_time_tells() -> None:
    # Its turn was killed, or is too old, or a turn before it is restarted.
    events = _events(1, 2, 4, 5)
    assert _after(Mark(id="e3", at=3), events) == events[2:]
    assert _after(Mark(id="e9", at=9), events) == []


async def test_a_restarted_turn_does_not_move_the_mark_back() -> None:
    store = FakeStore()

    async def add(mark: Mark) -> Mark | None:
        addition = Addition(entries=[], session="s", last=mark)
        await memory_objects._add(cast("Any", store), addition)
        return await store.get("last/s", memory_objects._MARKS)

    assert await add(Mark(id="e5", at=5)) == Mark(id="e5", at=5)
    assert await add(Mark(id="e3", at=3)) == Mark(id="e5", at=5)
    assert await add(Mark(id="e6", at=6)) == Mark(id="e6", at=6)

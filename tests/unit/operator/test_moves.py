"""Moves that have nowhere to go, or nobody awake to take them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent_operator.reconcile import actions as do
from agent_operator.reconcile.move_record import Moves
from agent_operator.reconcile.plan import ASLEEP, SOON, plan
from agent_operator.reconcile.revisions import wanted
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.restate.server import SecretKey, Server
from tests.unit.operator.build import (
    NOW,
    RESTATE,
    SETTINGS,
    URL,
    agent,
    load,
    registered,
    revision,
    snapshot,
    view,
    wish,
)

V1, V2 = "claims:1", "claims:2"
BOTH = (registered(V1), registered(V2))
MOVE = {"deadline": "1m", "onDeadline": "MoveToActive"}
IDLE = {"idle": {"after": "1h"}}
LATE = revision(V1, draining_since=NOW - timedelta(hours=2), replicas=0, ready=0, role="draining")
SLEEPS: dict[str, Any] = {"replicas": 0, "ready": 0, "published": True}
LONG_AGO = NOW - timedelta(days=1)


def moves(given: Snapshot) -> list[do.Action]:
    return [a for a in plan(given, NOW).actions if isinstance(a, do.MoveInvocations)]


# The active revision is at another Restate


def elsewhere(active_at: Server, old: Revision) -> Snapshot:
    owner = agent(V2, restate={"adminURL": active_at.url}, drain=MOVE)
    wish = wanted(owner, SETTINGS)
    new = replace(revision(V2), name=wish.name, uri=wish.uri, restate=active_at)
    found = replace(registered(V2), uri=wish.uri)
    there = view(found)
    if active_at.url == URL:
        there = view(registered(V1), found, loads={V1: load(suspended=1)})
    looks = {RESTATE: view(registered(V1), loads={V1: load(suspended=1)}), active_at: there}
    return Snapshot(owner, wish, (old, new), looks)


def test_nothing_moves_to_another_restate() -> None:
    assert moves(elsewhere(Server("http://other.test:9070"), LATE)) == []


def test_what_is_half_moved_there_comes_back() -> None:
    half = Moves("dp_claims:2", moving=("inv_1",))
    (move,) = moves(elsewhere(Server("http://other.test:9070"), replace(LATE, moves=half)))
    assert isinstance(move, do.MoveInvocations)
    assert not move.begin


def test_other_credentials_make_no_other_restate() -> None:
    assert moves(elsewhere(replace(RESTATE, token=SecretKey("restate", "token")), LATE))


# The active revision sleeps


def asleep(old: Revision, drain: dict[str, Any] = MOVE, **changes: Any) -> Snapshot:
    owner = agent(V2, scaling=IDLE, drain=drain, status={"activeRevision": wish(V2).name})
    active = revision(V2, **changes)
    return snapshot(owner, old, active, restate=view(*BOTH, loads={V1: load(suspended=1)}))


def test_a_move_that_is_due_wakes_the_active_revision() -> None:
    given = asleep(LATE, **SLEEPS)
    due = plan(given, NOW)
    assert list(due.actions) == [do.ScaleRevision(given.revisions[1], 1)]
    assert due.look_again == SOON
    ready = next(c for c in due.status.conditions if c.type == "Ready")
    assert (ready.status, ready.reason) == ("True", "Waking")


def test_it_stays_awake_until_the_move_is_over() -> None:
    for untouched in (None, LONG_AGO):
        given = asleep(LATE, untouched_since=untouched)
        assert list(plan(given, NOW).actions) == [
            do.MoveInvocations(LATE, "dp_claims:1", Moves("dp_claims:2"), begin=True)
        ]
    over = replace(LATE, moves=Moves("dp_claims:2", done=True).with_stayed("inv_1"))
    given = asleep(over, untouched_since=LONG_AGO)
    assert list(plan(given, NOW).actions) == [
        do.LetSleep(given.revisions[1], "dp_claims:2", LONG_AGO)
    ]
    assert plan(asleep(over, **SLEEPS), NOW).look_again == ASLEEP


@pytest.mark.parametrize(
    "drain", [{**MOVE, "deadline": "3h"}, {**MOVE, "onDeadline": "Keep"}, {}], ids=str
)
def test_what_is_not_due_lets_it_sleep(drain: dict[str, Any]) -> None:
    assert plan(asleep(LATE, drain, **SLEEPS), NOW).actions == ()

"""History, limits, suspension, orphaning: one row for each situation."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent_operator.api import AgentDeployment, Condition, Phase, names
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import events
from agent_operator.reconcile.move_record import Moves
from agent_operator.reconcile.plan import STEADY, Plan, plan
from agent_operator.reconcile.snapshot import Failure, Revision, Snapshot
from agent_operator.restate.view import Unreachable
from tests.unit.operator.build import (
    NOW,
    URL,
    agent,
    fresh,
    load,
    registered,
    revision,
    snapshot,
    view,
    wish,
)

V1, V2, V3 = "claims:1", "claims:2", "claims:3"
AWAY = Unreachable(URL, "http://restate.test:9070 can't be reached: connection refused")
LONG_IDLE = NOW - timedelta(minutes=1)
BOTH = (registered(V1), registered(V2))
ALL = (*BOTH, registered(V3))
KEPT = revision(V1, replicas=0, ready=0, idle_since=LONG_IDLE)


def past(*images: str) -> dict[str, Any]:
    """A status whose history has these images, the latest first."""
    return {"history": [wish(image).name for image in images]}


def keeping(image: str, limit: int, *images: str, **spec: Any) -> AgentDeployment:
    return agent(image, status=past(*images), revisionHistoryLimit=limit, **spec)


def condition(due: Plan, kind: str) -> Condition:
    return next(c for c in due.status.conditions if c.type == kind)


def actions(given: Snapshot) -> list[do.Action]:
    return list(plan(given, NOW).actions)


HISTORY: dict[str, tuple[Snapshot, list[do.Action]]] = {
    "a drained revision that is kept is marked first": (
        snapshot(keeping(V2, 1, V2, V1), revision(V1), revision(V2), restate=view(*BOTH)),
        [do.mark_idle(revision(V1), NOW)],
    ),
    "after the delay its pods go, and it stays registered": (
        snapshot(
            keeping(V2, 1, V2, V1),
            revision(V1, idle_since=LONG_IDLE),
            revision(V2),
            restate=view(*BOTH),
        ),
        [do.ScaleRevision(revision(V1, idle_since=LONG_IDLE), 0)],
    ),
    "then nothing is done": (
        snapshot(keeping(V2, 1, V2, V1), KEPT, revision(V2), restate=view(*BOTH)),
        [],
    ),
    "the one that was active last is kept, and the others go": (
        snapshot(
            keeping(V3, 1, V3, V1, V2),
            KEPT,
            revision(V2, idle_since=LONG_IDLE),
            revision(V3),
            restate=view(*ALL),
        ),
        [do.RemoveRevision(revision(V2, idle_since=LONG_IDLE), "dp_claims:2")],
    ),
    "with a lower limit it goes": (
        snapshot(keeping(V2, 0, V2, V1), KEPT, revision(V2), restate=view(*BOTH)),
        [do.RemoveRevision(KEPT, "dp_claims:1")],
    ),
    "one that was never active is not kept": (
        snapshot(
            keeping(V2, 5, V2),
            fresh(V1, idle_since=LONG_IDLE),
            revision(V2),
            restate=view(registered(V2)),
        ),
        [do.RemoveRevision(fresh(V1, idle_since=LONG_IDLE), None)],
    ),
    "one that was adopted, of which no history tells, is kept": (
        snapshot(keeping(V2, 1, V2), KEPT, revision(V2), restate=view(*BOTH)),
        [],
    ),
    "after those of which it does": (
        snapshot(
            keeping(V3, 1, V3, V1),
            KEPT,
            revision(V2, idle_since=LONG_IDLE),
            revision(V3),
            restate=view(*ALL),
        ),
        [do.RemoveRevision(revision(V2, idle_since=LONG_IDLE), "dp_claims:2")],
    ),
    "of several adopted ones, the newest": (
        snapshot(
            keeping(V3, 1, V3),
            replace(KEPT, created=KEPT.created - timedelta(hours=1)),
            revision(V2, replicas=0, ready=0, idle_since=LONG_IDLE),
            revision(V3),
            restate=view(*ALL),
        ),
        [
            do.RemoveRevision(
                replace(KEPT, created=KEPT.created - timedelta(hours=1)), "dp_claims:1"
            )
        ],
    ),
    "nor is one that failed": (
        snapshot(
            keeping(V2, 5, V2, V1),
            replace(KEPT, failure=Failure("RegistrationRefused", "META0006")),
            revision(V2),
            restate=view(*BOTH),
        ),
        [
            do.RemoveRevision(
                replace(KEPT, failure=Failure("RegistrationRefused", "META0006")), "dp_claims:1"
            )
        ],
    ),
    "nor one that a dropped service still leads to": (
        snapshot(
            keeping(V2, 5, V2, V1),
            revision(V1, idle_since=LONG_IDLE),
            revision(V2),
            restate=view(registered(V1, ("ClaimAgent", "Dropped")), registered(V2)),
        ),
        [do.RemoveRevision(revision(V1, idle_since=LONG_IDLE), "dp_claims:1")],
    ),
    "nor one of another Restate": (
        snapshot(
            keeping(V2, 5, V2, V1, restate={"adminURL": "http://other:9070"}),
            KEPT,
            revision(V2),
            restate=view(*BOTH),
        ),
        [
            do.CreateRevision(wish(V2, restate={"adminURL": "http://other:9070"})),
            do.RemoveRevision(KEPT, "dp_claims:1"),
        ],
    ),
    "one that a turn needs is no history": (
        snapshot(
            keeping(V2, 5, V2, V1),
            revision(V1),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [],
    ),
    "one that is called all the same wakes": (
        snapshot(
            keeping(V2, 5, V2, V1),
            KEPT,
            revision(V2),
            restate=view(*BOTH, loads={V1: load(backing_off=1)}),
        ),
        [do.mark_idle(KEPT, None), do.ScaleRevision(KEPT, 1)],
    ),
    "going back to it: its pods come first, and the newer one serves until then": (
        snapshot(keeping(V1, 1, V2, V1), KEPT, revision(V2), restate=view(*BOTH)),
        [do.mark_idle(KEPT, None), do.ScaleRevision(KEPT, 1)],
    ),
    "then it takes the turns under its old deployment": (
        snapshot(
            keeping(V1, 1, V2, V1), revision(V1, waking=True), revision(V2), restate=view(*BOTH)
        ),
        [do.RegisterRevision(revision(V1, waking=True))],
    ),
    "and the newer one is kept in its place": (
        snapshot(
            keeping(V1, 1, V1, V2),
            revision(V1),
            revision(V2, idle_since=LONG_IDLE),
            restate=view(*BOTH, latest=V1),
        ),
        [do.ScaleRevision(revision(V2, idle_since=LONG_IDLE), 0)],
    ),
    "Restate away: nothing changes for it": (
        snapshot(
            agent(V2, revisionHistoryLimit=1, status=past(V2, V1)),
            revision(V1, idle_since=LONG_IDLE),
            revision(V2),
            restate=AWAY,
        ),
        [],
    ),
    "deletion takes it along": (
        snapshot(
            agent(V2, deleting=True, revisionHistoryLimit=1, status=past(V2, V1)),
            KEPT,
            revision(V2),
            restate=view(*BOTH, loads={V2: load(running=1)}),
        ),
        [do.RemoveRevision(KEPT, "dp_claims:1")],
    ),
}


@pytest.mark.parametrize("case", HISTORY, ids=str)
def test_history(case: str) -> None:
    given, expected = HISTORY[case]
    assert actions(given) == expected


def test_what_is_kept_says_so_and_is_no_drain() -> None:
    due = plan(snapshot(keeping(V2, 1, V2, V1), KEPT, revision(V2), restate=view(*BOTH)), NOW)
    entry = next(r for r in due.status.revisions if r.name == KEPT.name)
    assert (entry.phase, entry.reason, entry.message) == (Phase.DRAINED, None, "kept for rollback")
    assert (due.status.draining_revisions, due.status.dormant_revisions) == (0, 0)
    assert condition(due, "Draining").status == "False"
    assert due.look_again == STEADY


MAX: dict[str, Any] = {"maxRevisions": 2}
FULL: dict[str, tuple[Snapshot, bool]] = {
    "the first revision never waits": (snapshot(agent(V1, **MAX)), False),
    "the second finds a place": (
        snapshot(agent(V2, **MAX), revision(V1), restate=view(registered(V1))),
        False,
    ),
    "the third waits while an old one has turns": (
        snapshot(
            agent(V3, **MAX),
            revision(V1),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        True,
    ),
    "also while these sleep": (
        snapshot(
            agent(V3, **MAX),
            revision(V1, replicas=0, ready=0),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(suspended=1)}),
        ),
        True,
    ),
    "unknown is not none": (
        snapshot(agent(V3, **MAX), revision(V1, replicas=0, ready=0), revision(V2), restate=AWAY),
        True,
    ),
    "what is kept for a rollback yields its place": (
        snapshot(
            keeping(V3, 5, V2, V1, **MAX),
            KEPT,
            revision(V2),
            restate=view(*BOTH),
        ),
        False,
    ),
    "without a limit nobody waits": (
        snapshot(
            agent(V3), revision(V1), revision(V2), restate=view(*BOTH, loads={V1: load(running=1)})
        ),
        False,
    ),
}


@pytest.mark.parametrize("case", FULL, ids=str)
def test_max_revisions(case: str) -> None:
    given, waits = FULL[case]
    due = plan(given, NOW)
    assert any(isinstance(a, do.CreateRevision) for a in due.actions) is not waits
    assert (condition(due, "Progressing").reason == "MaxRevisions") is waits


def test_a_rollout_that_waits_names_who_holds_the_places() -> None:
    due = plan(FULL["the third waits while an old one has turns"][0], NOW)
    message = condition(due, "Progressing").message
    assert f"{revision(V1).name} (1 invocation (1 running))" in message
    assert f"{revision(V2).name} (active)" in message
    assert "spec.maxRevisions is 2" in message
    assert due.status.active_revision == revision(V2).name


def test_of_many_who_hold_the_places_the_oldest_are_named() -> None:
    images = [f"claims:{number}" for number in range(30)]
    loads = {image: load(suspended=1) for image in images}
    restate = view(*map(registered, images), loads=loads)
    due = plan(snapshot(agent("new:1", **MAX), *map(revision, images), restate=restate), NOW)
    message = condition(due, "Progressing").message
    assert revision(images[9]).name in message
    assert revision(images[10]).name not in message
    assert "; and 20 more. It goes on" in message


def test_going_back_never_waits() -> None:
    given = snapshot(
        agent(V1, **MAX),
        revision(V1, replicas=0, ready=0),
        revision(V2),
        revision(V3),
        restate=view(*ALL, loads={V1: load(suspended=1), V2: load(running=1)}),
    )
    assert do.ScaleRevision(revision(V1, replicas=0, ready=0), 1) in actions(given)


def suspend(owner: AgentDeployment) -> AgentDeployment:
    notes = {names.SUSPEND_ANNOTATION: "true"}
    metadata = owner.metadata.model_copy(update={"annotations": notes})
    return owner.model_copy(update={"metadata": metadata})


SUSPENDED: dict[str, Snapshot] = {
    "nothing is made": snapshot(suspend(agent())),
    "nothing rolls out": snapshot(
        suspend(agent(V2)), revision(V1), fresh(V2), restate=view(registered(V1))
    ),
    "nothing is removed": snapshot(
        suspend(agent(V2)),
        revision(V1, idle_since=LONG_IDLE),
        revision(V2),
        restate=view(*BOTH),
    ),
    "nothing wakes": snapshot(
        suspend(agent(V2)),
        revision(V1, replicas=0, ready=0),
        revision(V2),
        restate=view(*BOTH, loads={V1: load(backing_off=1)}),
    ),
    "a deletion waits": snapshot(
        suspend(agent(deleting=True)), revision(), restate=view(registered())
    ),
}


@pytest.mark.parametrize("case", SUSPENDED, ids=str)
def test_suspended(case: str) -> None:
    due = plan(SUSPENDED[case], NOW)
    assert due.actions == ()
    told = condition(due, "Progressing")
    assert (told.status, told.reason) == ("Unknown", "Suspended")
    assert names.SUSPEND_ANNOTATION in told.message
    assert due.look_again >= timedelta(seconds=10)


def test_what_a_suspension_holds_up_is_named() -> None:
    waking = condition(plan(SUSPENDED["nothing wakes"], NOW), "Progressing").message
    assert f"turns of {revision(V1).name} wait for pods" in waking
    assert "its deletion waits" in condition(
        plan(SUSPENDED["a deletion waits"], NOW), "Progressing"
    ).message  # fmt: skip


def test_another_value_suspends_nothing() -> None:
    owner = suspend(agent())
    owner.metadata.annotations[names.SUSPEND_ANNOTATION] = "false"
    assert actions(snapshot(owner)) == [do.CreateRevision(wish())]


def test_what_the_user_made_wait_is_told_once() -> None:
    due = plan(SUSPENDED["nothing is made"], NOW)
    before = plan(snapshot(agent()), NOW).status
    assert [e.reason for e in events.between(before, due.status)] == ["Suspended"]
    assert events.between(due.status, due.status) == []


HALF = Moves("dp_claims:2", moving=("inv_1",))


def orphaned(found: Revision) -> Revision:
    return replace(found, orphaned=True)


def mark(found: Revision) -> do.Annotate:
    return do.Annotate(found, {names.ORPHANED_ANNOTATION: "2026-05-04T12:00:00Z"})


DORMANT = revision(V1, replicas=0, ready=0)
ORPHAN: dict[str, Any] = {"deletionPolicy": "Orphan"}
ORPHANS: dict[str, tuple[Snapshot, list[do.Action]]] = {
    "what stays is marked, whatever runs": (
        snapshot(
            agent(V2, deleting=True, **ORPHAN),
            revision(V1),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [mark(revision(V1)), mark(revision(V2))],
    ),
    "what sleeps gets its pods back, since nobody will wake it": (
        snapshot(
            agent(V2, deleting=True, **ORPHAN),
            orphaned(DORMANT),
            orphaned(revision(V2)),
            restate=view(*BOTH, loads={V1: load(suspended=1)}),
        ),
        [do.ScaleRevision(orphaned(DORMANT), 1)],
    ),
    "also while Restate can't tell whether it sleeps": (
        snapshot(agent(V1, deleting=True, **ORPHAN), orphaned(DORMANT), restate=AWAY),
        [do.ScaleRevision(orphaned(DORMANT), 1)],
    ),
    "so does what new turns go to, since nobody would wake it for one": (
        snapshot(
            agent(V1, deleting=True, scaling={"idle": {"after": "1h"}}, **ORPHAN),
            orphaned(DORMANT),
            restate=view(registered(V1)),
        ),
        [do.ScaleRevision(orphaned(DORMANT), 1)],
    ),
    "but not where the user wants none": (
        snapshot(
            agent(V1, deleting=True, replicas=0, **ORPHAN),
            orphaned(DORMANT),
            restate=view(registered(V1)),
        ),
        [do.RemoveFinalizer()],
    ),
    "what nothing needs gets none": (
        snapshot(
            agent(V2, deleting=True, **ORPHAN),
            orphaned(KEPT),
            orphaned(revision(V2)),
            restate=view(*BOTH),
        ),
        [do.RemoveFinalizer()],
    ),
    "then the object goes": (
        snapshot(
            agent(deleting=True, **ORPHAN),
            orphaned(revision()),
            restate=view(registered(), loads={V1: load(running=1)}),
        ),
        [do.RemoveFinalizer()],
    ),
    "but not while something is half moved": (
        snapshot(
            agent(deleting=True, **ORPHAN),
            orphaned(revision(V1, moves=HALF)),
            restate=view(registered()),
        ),
        [do.MoveInvocations(orphaned(revision(V1, moves=HALF)), "dp_claims:1", HALF, begin=False)],
    ),
    "a later one of the same name takes it over": (
        snapshot(agent(), orphaned(revision()), restate=view(registered())),
        [do.Annotate(orphaned(revision()), {names.ORPHANED_ANNOTATION: None})],
    ),
    "but only once it is held in deletion": (
        snapshot(agent(finalizers=()), orphaned(revision()), restate=view(registered())),
        [do.AddFinalizer()],
    ),
}


@pytest.mark.parametrize("case", ORPHANS, ids=str)
def test_orphans(case: str) -> None:
    given, expected = ORPHANS[case]
    assert actions(given) == expected


def test_a_deletion_that_cancels_kills_after_the_deadline() -> None:
    """The object is in deletion for an hour."""
    for deadline, how in (("59m", "kill"), ("61m", "cancel")):
        owner = agent(
            deleting=True,
            deletionPolicy="Cancel",
            drain={"deadline": deadline, "onDeadline": "Kill"},
        )
        # That it drained for longer before does not count: it was not cancelled then.
        old = revision(draining_since=NOW - timedelta(days=1))
        given = snapshot(owner, old, restate=view(registered(), loads={V1: load(running=1)}))
        (ending,) = (a for a in actions(given) if isinstance(a, do.EndInvocations))
        assert ending.how == how


def test_a_drained_revision_that_cannot_go_yet_holds_no_place() -> None:
    """Restate lost its registrations: the old one waits for the new one, not the other way too."""
    restate = view(registered(V2))
    given = snapshot(agent(V3, **MAX), revision(V1), revision(V2), restate=restate)
    assert actions(given) == [do.CreateRevision(wish(V3))]


def test_what_is_cancelled_keeps_the_pods_that_it_ends_in() -> None:
    """Though it slept for so long that they were about to go."""
    old = revision(
        V1, draining_since=NOW - timedelta(hours=1), quiet_since=NOW - timedelta(minutes=5)
    )
    given = snapshot(
        agent(V2, drain={"deadline": "1m", "onDeadline": "Cancel"}),
        old,
        revision(V2),
        restate=view(*BOTH, loads={V1: load(suspended=1)}),
    )
    assert actions(given) == [do.EndInvocations(old, "dp_claims:1", "cancel")]


def test_the_service_of_a_revision_that_goes_is_left_alone() -> None:
    going = replace(KEPT, published=False)
    given = snapshot(agent(V2), going, revision(V2), restate=view(*BOTH))
    assert actions(given) == [do.RemoveRevision(going, "dp_claims:1")]

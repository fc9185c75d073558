"""What is done when: one row for each situation."""

from dataclasses import replace
from datetime import timedelta

import pytest

from agent_operator.api import Phase, names
from agent_operator.reconcile import actions as do
from agent_operator.reconcile.move_record import Moves
from agent_operator.reconcile.plan import plan
from agent_operator.reconcile.snapshot import Failure, Snapshot
from agent_operator.restate.view import Deployment, Unreachable
from tests.unit.operator.build import (
    NOW,
    RESTATE,
    SERVICE,
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

V1, V2 = "claims:1", "claims:2"
AWAY = Unreachable(URL, "http://restate.test:9070 can't be reached: connection refused")
BOTH = (registered(V1), registered(V2))
LONG_IDLE = NOW - timedelta(minutes=1)
REFUSED = fresh(V2, failure=Failure("RegistrationRefused", "META0006"))
MOVE = {"deadline": "1h", "onDeadline": "MoveToActive", "idle": "Keep"}
TO_V2 = Moves("dp_claims:2")
STAYED = replace(TO_V2.with_stayed("inv_1"), done=True)
HALF = replace(TO_V2, moving=("inv_1",))
LATE = revision(V1, draining_since=NOW - timedelta(minutes=61))
OVERCOME = revision(V1, failure=Failure("BreakingChanges", "handler Claims/turn is missing"))
BREAKS = fresh(V2, failure=Failure("BreakingChanges", "handler Claims/turn is missing"))


ROLL_OUT: dict[str, tuple[Snapshot, list[do.Action]]] = {
    "a finalizer comes before anything is made": (
        snapshot(agent(finalizers=())),
        [do.AddFinalizer()],
    ),
    "a new agent gets its first revision": (
        snapshot(agent()),
        [do.CreateRevision(wish())],
    ),
    "a revision that lost its Service gets it back": (
        snapshot(agent(), revision(has_service=False), restate=view(registered())),
        [do.CreateRevision(wish())],
    ),
    "no registration before the pods are ready": (
        snapshot(agent(), fresh(V1, ready=0)),
        [],
    ),
    "no registration while only some pods are ready": (
        snapshot(agent(replicas=3), fresh(V1, replicas=3, ready=2)),
        [],
    ),
    "ready pods are registered": (
        snapshot(agent(), fresh(V1)),
        [do.RegisterRevision(fresh(V1))],
    ),
    "a steady agent needs nothing": (
        snapshot(agent(), revision(), restate=view(registered())),
        [],
    ),
    "a changed image makes a new revision, and the old one stays": (
        snapshot(agent(V2), revision(V1), restate=view(registered(V1))),
        [do.CreateRevision(wish(V2))],
    ),
    "a candidate that isn't ready leaves the active revision alone": (
        snapshot(agent(V2), revision(V1), fresh(V2, ready=0), restate=view(registered(V1))),
        [],
    ),
    "a candidate that was refused leaves the active revision alone, and its pods go": (
        snapshot(agent(V2), revision(V1), REFUSED, restate=view(registered(V1))),
        [do.ScaleRevision(REFUSED, 0)],
    ),
    "a refused candidate without pods is left alone": (
        snapshot(
            agent(V2),
            revision(V1),
            replace(REFUSED, replicas=0, ready=0),
            restate=view(registered(V1)),
        ),
        [],
    ),
    "what was refused for breaking changes comes back when they are allowed": (
        snapshot(
            agent(V2, rollout={"breakingChanges": "Allow"}),
            revision(V1),
            replace(BREAKS, replicas=0, ready=0),
            restate=view(registered(V1)),
        ),
        [do.ScaleRevision(replace(BREAKS, replicas=0, ready=0), 1)],
    ),
    "and is registered then": (
        snapshot(
            agent(V2, rollout={"breakingChanges": "Allow"}),
            revision(V1),
            replace(BREAKS, waking=True),
            restate=view(registered(V1)),
        ),
        [do.RegisterRevision(replace(BREAKS, waking=True))],
    ),
    "an old revision that a running turn needs stays": (
        snapshot(
            agent(V2), revision(V1), revision(V2), restate=view(*BOTH, loads={V1: load(running=1)})
        ),
        [],
    ),
    "one that a turn needs that sleeps stays, and is marked as quiet": (
        snapshot(
            agent(V2),
            revision(V1),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(suspended=1)}),
        ),
        [do.mark_quiet(revision(V1), NOW)],
    ),
    "after the quiet time its pods go, and it stays registered": (
        snapshot(
            agent(V2),
            revision(V1, quiet_since=LONG_IDLE),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(suspended=2, paused=1)}),
        ),
        [do.ScaleRevision(revision(V1, quiet_since=LONG_IDLE), 0)],
    ),
    "unless its pods are to be kept": (
        snapshot(
            agent(V2, drain={"idle": "Keep"}),
            revision(V1),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(suspended=2)}),
        ),
        [],
    ),
    "no sleep while one turn is awake, and the mark stays: no write for each that comes and goes": (
        snapshot(
            agent(V2),
            revision(V1, quiet_since=LONG_IDLE),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(suspended=9, backing_off=1)}),
        ),
        [],
    ),
    "no sleep a moment after one was awake": (
        snapshot(
            agent(V2),
            revision(V1, quiet_since=LONG_IDLE),
            revision(V2),
            restate=replace(
                view(*BOTH, loads={V1: load(suspended=9)}),
                awake={"dp_claims:1": NOW - timedelta(seconds=29)},
            ),
        ),
        [],
    ),
    "but after the quiet time since then": (
        snapshot(
            agent(V2),
            revision(V1, quiet_since=LONG_IDLE),
            revision(V2),
            restate=replace(
                view(*BOTH, loads={V1: load(suspended=9)}),
                awake={"dp_claims:1": NOW - timedelta(seconds=30)},
            ),
        ),
        [do.ScaleRevision(revision(V1, quiet_since=LONG_IDLE), 0)],
    ),
    "asleep, nothing is done": (
        snapshot(
            agent(V2),
            revision(V1, replicas=0, ready=0),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(suspended=1)}),
        ),
        [],
    ),
    "what wakes gets its pods back": (
        snapshot(
            agent(V2, replicas=2),
            revision(V1, replicas=0, ready=0),
            revision(V2, replicas=2, ready=2),
            restate=view(*BOTH, loads={V1: load(suspended=4, backing_off=1)}),
        ),
        [do.ScaleRevision(revision(V1, replicas=0, ready=0), 2)],
    ),
    "and waits for them": (
        snapshot(
            agent(V2),
            revision(V1, ready=0, waking=True),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(backing_off=1)}),
        ),
        [],
    ),
    "and goes on when they are there": (
        snapshot(
            agent(V2),
            revision(V1, waking=True),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(backing_off=1)}),
        ),
        [do.ResumeInvocations(revision(V1, waking=True), "dp_claims:1")],
    ),
    "going back to one that slept: what waits for it goes on": (
        snapshot(
            agent(V1),
            revision(V1, waking=True),
            restate=view(registered(V1), loads={V1: load(backing_off=1)}),
        ),
        [do.ResumeInvocations(revision(V1, waking=True), "dp_claims:1")],
    ),
    "the active revision never sleeps while its turns do": (
        snapshot(agent(), revision(), restate=view(registered(), loads={V1: load(suspended=1)})),
        [],
    ),
    "nor the old one while the candidate isn't active": (
        snapshot(
            agent(V2),
            revision(V1),
            fresh(V2, ready=0),
            restate=view(registered(V1), loads={V1: load(suspended=1)}),
        ),
        [],
    ),
    "an old revision that only a paused turn needs stays": (
        snapshot(
            agent(V2, drain={"idle": "Keep"}),
            revision(V1),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(paused=1)}),
        ),
        [],
    ),
    "an unneeded old revision is first marked": (
        snapshot(agent(V2), revision(V1), revision(V2), restate=view(*BOTH)),
        [do.mark_idle(revision(V1), NOW)],
    ),
    "an unneeded old revision goes at once where no delay is asked for": (
        snapshot(agent(V2, drain={"delay": "0s"}), revision(V1), revision(V2), restate=view(*BOTH)),
        [do.RemoveRevision(revision(V1), "dp_claims:1")],
    ),
    "an old revision goes after the delay": (
        snapshot(agent(V2), revision(V1, idle_since=LONG_IDLE), revision(V2), restate=view(*BOTH)),
        [do.RemoveRevision(revision(V1, idle_since=LONG_IDLE), "dp_claims:1")],
    ),
    "an old revision that is needed again loses its mark": (
        snapshot(
            agent(V2),
            revision(V1, idle_since=LONG_IDLE),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [do.mark_idle(revision(V1, idle_since=LONG_IDLE), None)],
    ),
    "pinned work keeps a revision that Restate no longer lists, and it is registered again": (
        snapshot(
            agent(V2),
            revision(V1),
            revision(V2),
            restate=view(registered(V2), loads={V1: load(running=1)}),
        ),
        [do.RegisterRevision(revision(V1))],
    ),
    "what a crash left after the deregistration is cleared away": (
        snapshot(agent(V2), revision(V1), revision(V2), restate=view(registered(V2))),
        [do.RemoveRevision(revision(V1), None)],
    ),
    "an abandoned candidate is cleared away": (
        snapshot(agent(V1), revision(V1), fresh(V2), restate=view(registered(V1))),
        [do.RemoveRevision(fresh(V2), None)],
    ),
    "going back: the old revision takes the turns again once its pods are ready": (
        snapshot(agent(V1), revision(V1), revision(V2), restate=view(*BOTH)),
        [do.RegisterRevision(revision(V1))],
    ),
    "going back: scaled up first, and the newer one stays until then": (
        snapshot(agent(V1), revision(V1, replicas=0, ready=0), revision(V2), restate=view(*BOTH)),
        [do.ScaleRevision(revision(V1, replicas=0, ready=0), 1)],
    ),
    "a registration that Restate lost is made again": (
        snapshot(agent(), revision(), restate=view()),
        [do.RegisterRevision(revision())],
    ),
    "somebody else's take-over is not fought": (
        snapshot(
            agent(),
            revision(),
            restate=view(registered(), Deployment("dp_x", "http://x:1", (SERVICE,))),
        ),
        [],
    ),
    "more replicas are asked of the active revision only": (
        snapshot(
            agent(V2, replicas=3),
            revision(V1),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [do.ScaleRevision(revision(V2), 3)],
    ),
    "Restate away: pods are still made": (
        snapshot(agent(), restate=AWAY),
        [do.CreateRevision(wish())],
    ),
    "Restate away: nothing is registered": (
        snapshot(agent(), fresh(V1), restate=AWAY),
        [],
    ),
    "Restate away: unknown is not none, nothing is removed": (
        snapshot(agent(V2), revision(V1, idle_since=LONG_IDLE), revision(V2), restate=AWAY),
        [],
    ),
    "an accepted registration whose answer was lost is put on record": (
        snapshot(agent(), fresh(V1, registering=True), restate=view(registered())),
        [do.Annotate(fresh(V1, registering=True), {names.DEPLOYMENT_ID_ANNOTATION: "dp_claims:1"})],
    ),
    "a failure that was overcome is cleared": (
        snapshot(agent(), OVERCOME, restate=view(registered())),
        [do.clear_failure(OVERCOME)],
    ),
    "an active revision never loses its pods to an old failure": (
        snapshot(agent(), replace(OVERCOME, failure=REFUSED.failure), restate=view(registered())),
        [do.clear_failure(replace(OVERCOME, failure=REFUSED.failure))],
    ),
    "going back is refused: the old revision keeps the pods that its turns need": (
        snapshot(
            agent(V1),
            revision(V1, failure=REFUSED.failure),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [],
    ),
    "a lost registration and a candidate that isn't up: the one that served is kept and restored": (
        snapshot(
            agent(V2, status={"activeRevision": revision(V1).name}),
            revision(V1),
            fresh(V2, ready=0),
        ),
        [do.RegisterRevision(revision(V1))],
    ),
    "replicas are asked of the active revision while the candidate isn't up": (
        snapshot(
            agent(V2, replicas=5),
            revision(V1),
            fresh(V2, replicas=5, ready=0),
            restate=view(registered(V1)),
        ),
        [do.ScaleRevision(revision(V1), 5)],
    ),
    "a draining revision that lost its Service gets it back": (
        snapshot(
            agent(V2),
            revision(V1, has_service=False),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [do.RestoreService(revision(V1, has_service=False))],
    ),
    "a failure of an earlier time is cleared when something else is wanted": (
        snapshot(
            agent(V2),
            revision(V1, failure=REFUSED.failure),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [do.clear_failure(revision(V1, failure=REFUSED.failure))],
    ),
    "with a deadline, it is put on record since when it drains": (
        snapshot(
            agent(V2, drain={"deadline": "1h", "idle": "Keep"}),
            revision(V1),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [do.mark_draining(revision(V1), NOW)],
    ),
    "before the deadline nothing is ended": (
        snapshot(
            agent(V2, drain={"deadline": "1h", "onDeadline": "Kill"}),
            revision(V1, draining_since=NOW - timedelta(minutes=59)),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [],
    ),
    "after it, what holds the revision is killed": (
        snapshot(
            agent(V2, drain={"deadline": "1h", "onDeadline": "Kill"}),
            LATE,
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [do.EndInvocations(LATE, "dp_claims:1", "kill")],
    ),
    "or cancelled, for which it needs pods": (
        snapshot(
            agent(V2, drain={"deadline": "1h", "onDeadline": "Cancel"}),
            replace(LATE, replicas=0, ready=0),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(backing_off=1)}),
        ),
        [
            do.EndInvocations(replace(LATE, replicas=0, ready=0), "dp_claims:1", "cancel"),
            do.ScaleRevision(replace(LATE, replicas=0, ready=0), 1),
        ],
    ),
    "or moved to the active one": (
        snapshot(
            agent(V2, drain=MOVE),
            LATE,
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [do.MoveInvocations(LATE, "dp_claims:1", TO_V2, begin=True)],
    ),
    "before the deadline nothing is moved": (
        snapshot(
            agent(V2, drain={**MOVE, "deadline": "2h"}),
            LATE,
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [],
    ),
    "nothing moves to a revision without a pod that is ready": (
        snapshot(
            agent(V2, drain=MOVE),
            LATE,
            revision(V2, ready=0),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [],
    ),
    "what could not be moved is not tried again": (
        snapshot(
            agent(V2, drain=MOVE),
            replace(LATE, moves=STAYED),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [],
    ),
    "unless it may be restarted now": (
        snapshot(
            agent(V2, drain={**MOVE, "restartAsNew": True}),
            replace(LATE, moves=STAYED),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [
            do.MoveInvocations(
                replace(LATE, moves=STAYED),
                "dp_claims:1",
                Moves("dp_claims:2", restart=True),
                begin=True,
            )
        ],
    ),
    "or another revision is active by now": (
        snapshot(
            agent(V2, drain=MOVE),
            replace(LATE, moves=replace(STAYED, to="dp_claims:3")),
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [
            do.MoveInvocations(
                replace(LATE, moves=replace(STAYED, to="dp_claims:3")),
                "dp_claims:1",
                TO_V2,
                begin=True,
            )
        ],
    ),
    "what is half moved holds its revision": (
        snapshot(
            agent(V2, drain={**MOVE, "delay": "0s"}),
            replace(LATE, moves=HALF),
            revision(V2),
            restate=view(*BOTH),
        ),
        [do.MoveInvocations(replace(LATE, moves=HALF), "dp_claims:1", HALF, begin=True)],
    ),
    "and is brought to an end though moving is wanted no more": (
        snapshot(
            agent(V2, drain={"delay": "0s"}),
            replace(LATE, moves=HALF),
            revision(V2),
            restate=view(*BOTH),
        ),
        [do.MoveInvocations(replace(LATE, moves=HALF), "dp_claims:1", HALF, begin=False)],
    ),
    "also when going back": (
        snapshot(
            agent(V1),
            revision(V1, moves=HALF),
            revision(V2),
            restate=view(*BOTH, latest=V1),
        ),
        [
            do.mark_idle(revision(V2), NOW),
            do.MoveInvocations(revision(V1, moves=HALF), "dp_claims:1", HALF, begin=False),
        ],
    ),
    "or kept all the same": (
        snapshot(
            agent(V2, drain={"deadline": "1h"}),
            LATE,
            revision(V2),
            restate=view(*BOTH, loads={V1: load(running=1)}),
        ),
        [],
    ),
    "going back takes the deadline away": (
        snapshot(agent(V1), LATE, restate=view(registered(V1), loads={V1: load(running=1)})),
        [do.mark_draining(LATE, None)],
    ),
    "a registration whose revision is gone is forgotten": (
        snapshot(agent(V2), revision(V2), restate=view(*BOTH)),
        [do.ForgetDeployment(RESTATE, "dp_claims:1")],
    ),
    "but not while work is pinned to it": (
        snapshot(agent(V2), revision(V2), restate=view(*BOTH, loads={V1: load(suspended=1)})),
        [],
    ),
    "a dropped service keeps its old revision while a turn of it waits": (
        snapshot(
            agent(V2),
            revision(V1),
            revision(V2),
            restate=view(
                registered(V1, ("ClaimAgent", "Dropped")),
                registered(V2),
                loads={V1: load(waiting=1)},
            ),
        ),
        [],
    ),
}

DELETE: dict[str, tuple[Snapshot, list[do.Action]]] = {
    "a turn under way holds the object": (
        snapshot(
            agent(deleting=True),
            revision(),
            restate=view(registered(), loads={V1: load(running=1)}),
        ),
        [],
    ),
    "a turn that sleeps holds it too, without pods": (
        snapshot(
            agent(deleting=True),
            revision(quiet_since=LONG_IDLE),
            restate=view(registered(), loads={V1: load(suspended=1)}),
        ),
        [do.ScaleRevision(revision(quiet_since=LONG_IDLE), 0)],
    ),
    "an inboxed turn holds it too": (
        snapshot(
            agent(deleting=True),
            revision(),
            restate=view(registered(), loads={V1: load(waiting=1)}),
        ),
        [],
    ),
    "unless the user wants them ended": (
        snapshot(
            agent(deleting=True, deletionPolicy="Kill"),
            revision(),
            restate=view(registered(), loads={V1: load(suspended=1)}),
        ),
        [do.EndInvocations(revision(), "dp_claims:1", "kill")],
    ),
    "a drain's deadline counts from the deletion": (
        snapshot(
            agent(deleting=True, drain={"deadline": "59m", "onDeadline": "Kill"}),
            revision(),
            restate=view(registered(), loads={V1: load(running=1)}),
        ),
        [do.EndInvocations(revision(), "dp_claims:1", "kill")],
    ),
    "there is nowhere to move to when all goes": (
        snapshot(
            agent(deleting=True, drain={**MOVE, "deadline": "1m"}),
            revision(),
            restate=view(registered(), loads={V1: load(running=1)}),
        ),
        [],
    ),
    "what is half moved is brought to an end first": (
        snapshot(
            agent(deleting=True),
            revision(V1, moves=HALF),
            restate=view(registered()),
        ),
        [do.MoveInvocations(revision(V1, moves=HALF), "dp_claims:1", HALF, begin=False)],
    ),
    "with nothing under way, revisions go": (
        snapshot(agent(deleting=True), revision(), restate=view(registered())),
        [do.RemoveRevision(revision(), "dp_claims:1")],
    ),
    "the last revision gone, the object goes": (
        snapshot(agent(deleting=True)),
        [do.RemoveFinalizer()],
    ),
    "a registration is left though its ReplicaSet was deleted: it goes first": (
        snapshot(agent(deleting=True), restate=view(registered())),
        [do.ForgetDeployment(RESTATE, "dp_claims:1")],
    ),
    "and while turns need it, the object stays to tell": (
        snapshot(agent(deleting=True), restate=view(registered(), loads={V1: load(running=1)})),
        [],
    ),
    "nothing is left here, but Restate can't be asked what is left there": (
        snapshot(agent(deleting=True, status={"history": ["claims-1"]}), restate=AWAY),
        [],
    ),
    "without our finalizer there is nothing to do": (
        snapshot(agent(deleting=True, finalizers=())),
        [],
    ),
    "Restate away: what may be registered stays": (
        snapshot(agent(deleting=True), revision(), restate=AWAY),
        [],
    ),
    "Restate away: what was never registered may go": (
        snapshot(agent(deleting=True), fresh(V1, ready=0), restate=AWAY),
        [do.RemoveRevision(fresh(V1, ready=0), None)],
    ),
}


@pytest.mark.parametrize("case", ROLL_OUT, ids=str)
def test_roll_out(case: str) -> None:
    given, expected = ROLL_OUT[case]
    assert list(plan(given, NOW).actions) == expected


@pytest.mark.parametrize("case", DELETE, ids=str)
def test_delete(case: str) -> None:
    given, expected = DELETE[case]
    assert list(plan(given, NOW).actions) == expected


@pytest.mark.parametrize("case", [*ROLL_OUT, *DELETE], ids=str)
def test_no_plan_makes_a_hot_loop(case: str) -> None:
    given, _ = {**ROLL_OUT, **DELETE}[case]
    for late in (timedelta(0), timedelta(minutes=5), timedelta(days=9)):
        due = plan(given, NOW + late)
        assert due.look_again >= timedelta(milliseconds=100)


def test_looks_again_exactly_when_the_delay_is_over() -> None:
    idle = revision(V1, idle_since=NOW - timedelta(seconds=9, milliseconds=700))
    due = plan(snapshot(agent(V2), idle, revision(V2), restate=view(*BOTH)), NOW)
    assert due.actions == ()
    assert due.look_again == timedelta(milliseconds=300)


def test_looks_again_when_the_deadline_is_over() -> None:
    drain = {"deadline": "1h", "onDeadline": "Kill"}
    old = revision(V1, draining_since=NOW - timedelta(minutes=59, seconds=59.5))
    given = snapshot(
        agent(V2, drain=drain),
        old,
        revision(V2),
        restate=view(*BOTH, loads={V1: load(running=1)}),
    )
    assert plan(given, NOW).look_again == timedelta(seconds=0.5)


def test_a_steady_agent_is_left_in_peace() -> None:
    due = plan(snapshot(agent(), revision(), restate=view(registered())), NOW)
    assert due.look_again >= timedelta(seconds=60)


def test_a_late_candidate_has_failed_but_is_still_given_its_chance() -> None:
    late = fresh(V2, created=NOW - timedelta(minutes=11))
    due = plan(snapshot(agent(V2), revision(V1), late, restate=view(registered(V1))), NOW)
    assert due.actions == (do.RegisterRevision(late),)
    assert {r.image: r.phase for r in due.status.revisions} == {V1: Phase.ACTIVE, V2: Phase.FAILED}


def test_a_deadline_that_is_not_over_is_no_failure() -> None:
    young = fresh(V2, ready=0, created=NOW - timedelta(minutes=9))
    due = plan(snapshot(agent(V2), revision(V1), young, restate=view(registered(V1))), NOW)
    assert [r.phase for r in due.status.revisions] == [Phase.PENDING, Phase.ACTIVE]


def test_scaling_to_zero_is_the_users_right() -> None:
    due = plan(snapshot(agent(replicas=0), revision(), restate=view(registered())), NOW)
    assert due.actions == (do.ScaleRevision(replace(revision()), 0),)

"""What people see."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent_operator.api import AgentDeploymentStatus, Condition, Phase, names
from agent_operator.api.status import MESSAGE_LENGTH
from agent_operator.reconcile import events
from agent_operator.reconcile.ghosts import ghosts_of
from agent_operator.reconcile.plan import plan
from agent_operator.reconcile.snapshot import Failure, Snapshot
from agent_operator.restate.view import Deployment, StuckInvocation, Unreachable
from tests.unit.operator.build import (
    NOW,
    SERVICE,
    URL,
    agent,
    fresh,
    load,
    registered,
    revision,
    snapshot,
    view,
)

V1, V2 = "claims:1", "claims:2"
BOTH = (registered(V1), registered(V2))
AWAY = Unreachable(URL, f"{URL} can't be reached: connection refused")


def seen(given: Snapshot) -> AgentDeploymentStatus:
    return plan(given, NOW).status


def condition(given: Snapshot, kind: str) -> Condition:
    return next(c for c in seen(given).conditions if c.type == kind)


def upgrading(**changes: Any) -> Snapshot:
    usual: dict[str, Any] = {"restate": view(*BOTH, loads={V1: load(suspended=2, running=1)})}
    return snapshot(agent(V2), revision(V1), revision(V2), **{**usual, **changes})


def test_an_upgrade_with_a_turn_that_waits() -> None:
    status = seen(upgrading())
    assert status.active_revision == revision(V2).name
    assert (status.draining_revisions, status.draining_invocations) == (1, 3)
    phases = {r.image: r.phase for r in status.revisions}
    assert phases == {V1: Phase.DRAINING, V2: Phase.ACTIVE}
    draining = condition(upgrading(), "Draining")
    assert draining.status == "True"
    assert "3 invocations (1 running, 2 suspended)" in draining.message
    assert "inv_1" in draining.message
    assert "ClaimAgent/a/turn" in draining.message


def test_conditions_follow_the_conventions() -> None:
    for one in seen(upgrading()).conditions:
        assert one.observed_generation == 3
        assert one.last_transition_time == "2026-05-04T12:00:00Z"
        assert one.reason.isalnum()


def test_a_transition_time_changes_only_with_the_status() -> None:
    first = seen(upgrading()).dump()
    for one in first["conditions"]:
        one["lastTransitionTime"] = "2020-01-01T00:00:00Z"
    again = snapshot(agent(V2, status=first), revision(V1), revision(V2), restate=AWAY)
    times = {c.type: c.last_transition_time for c in seen(again).conditions}
    assert times["Draining"] == "2020-01-01T00:00:00Z"
    assert times["RestateReachable"] == "2026-05-04T12:00:00Z"


def test_a_restate_that_is_away_is_named_with_its_error() -> None:
    reachable = condition(upgrading(restate=AWAY), "RestateReachable")
    assert reachable.status == "False"
    assert URL in reachable.message
    assert "connection refused" in reachable.message


def test_what_was_active_stays_so_while_restate_is_away() -> None:
    before = seen(upgrading()).dump()
    given = snapshot(agent(V2, status=before), revision(V1), revision(V2), restate=AWAY)
    status = seen(given)
    assert status.active_revision == revision(V2).name
    assert {r.image: r.phase for r in status.revisions} == {V1: Phase.DRAINING, V2: Phase.ACTIVE}
    assert condition(given, "Ready").status == "Unknown"
    assert all(r.invocations is None for r in status.revisions)


def test_pods_that_do_not_start_are_told() -> None:
    ill = fresh(V2, ready=0, trouble=Failure("ImageCantBePulled", "pod x, image claims:2: no"))
    given = snapshot(agent(V2), revision(V1), ill, restate=view(registered(V1)))
    progressing = condition(given, "Progressing")
    assert (progressing.status, progressing.reason) == ("True", "ImageCantBePulled")
    assert "claims:2" in progressing.message
    assert condition(given, "Ready").status == "True"
    assert seen(given).active_revision == revision(V1).name
    assert seen(given).candidate_revision == ill.name


def test_a_refused_candidate_is_failed_and_the_active_one_serves() -> None:
    refused = fresh(V2, failure=Failure("RegistrationRefused", "META0006: type changed"))
    given = snapshot(agent(V2), revision(V1), refused, restate=view(registered(V1)))
    assert condition(given, "Progressing").reason == "RegistrationRefused"
    assert "META0006" in condition(given, "Progressing").message
    assert condition(given, "Ready").status == "True"


def test_deletion_says_what_it_waits_for() -> None:
    given = snapshot(
        agent(deleting=True),
        revision(),
        restate=view(registered(), loads={V1: load(suspended=1)}),
    )
    progressing = condition(given, "Progressing")
    assert progressing.reason == "DeletionWaitsForInvocations"
    assert "1 invocation (1 suspended)" in progressing.message


def test_deletion_while_restate_is_away_says_so() -> None:
    given = snapshot(agent(deleting=True), revision(), restate=AWAY)
    assert condition(given, "Progressing").reason == "DeletionWaitsForRestate"


def test_a_take_over_names_who_did_it() -> None:
    other = Deployment("dp_x", "http://x:1", (SERVICE,))
    given = snapshot(agent(), revision(), restate=view(registered(), other))
    progressing = condition(given, "Progressing")
    assert progressing.reason == "ServiceTakenOver"
    assert "dp_x" in progressing.message


def test_scaled_to_zero_is_said() -> None:
    given = snapshot(agent(replicas=0), revision(replicas=0, ready=0), restate=view(registered()))
    assert condition(given, "Ready").reason == "ScaledToZero"


def test_each_fact_makes_one_event() -> None:
    before = seen(snapshot(agent(V1), revision(V1), restate=view(registered(V1))))
    after = seen(upgrading())
    assert {(e.kind, e.reason) for e in events.between(before, after)} == {
        ("Normal", "RevisionActive"),
        ("Normal", "RevisionDraining"),
    }
    assert events.between(after, after) == []


def first_is(phase: Phase) -> AgentDeploymentStatus:
    """An upgrade whose first revision is in this phase."""
    status = seen(upgrading())
    shown = [
        r.model_copy(update={"phase": phase}) if r.image == V1 else r for r in status.revisions
    ]
    return status.model_copy(update={"revisions": shown})


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (Phase.ACTIVE, Phase.DRAINING, True),
        (Phase.ACTIVE, Phase.DORMANT, True),  # it was idle
        (Phase.DRAINED, Phase.DRAINING, True),
        (Phase.DRAINING, Phase.DORMANT, False),
        (Phase.DORMANT, Phase.DRAINING, False),  # a sleeper woke
    ],
    ids=str,
)
def test_a_drain_is_told_when_it_begins(before: Phase, after: Phase, *, told: bool) -> None:
    found = events.between(first_is(before), first_is(after))
    assert [e.reason for e in found] == ["RevisionDraining"] * told


def test_a_removed_revision_is_told() -> None:
    after = seen(snapshot(agent(V2), revision(V2), restate=view(registered(V2))))
    assert [e.reason for e in events.between(seen(upgrading()), after)] == ["RevisionRemoved"]


def left_behind(**changes: Any) -> Snapshot:
    """Somebody has deleted the ReplicaSet of the first revision, which turns need."""
    return replace(upgrading(**changes), revisions=(revision(V2),))


def test_what_is_left_behind_on_a_deleted_revision_is_told() -> None:
    for kind, reason in (("Draining", "InvocationsInFlight"), ("Stuck", "RevisionGone")):
        told = condition(left_behind(), kind)
        assert (told.status, told.reason) == ("True", reason)
        for words in ("dp_claims:1 still has 3 invocations", "inv_1", "kill them in Restate"):
            assert words in told.message
    done = left_behind(restate=view(*BOTH))
    assert {condition(done, kind).status for kind in ("Draining", "Stuck")} == {"False"}


def test_it_hides_nothing_else_that_is_stuck() -> None:
    ill = StuckInvocation("inv_9", "ClaimAgent/a/turn", True, False, "no such table")
    loads = {V1: load(suspended=1), V2: replace(load(paused=1), stuck=(ill,))}
    told = condition(left_behind(restate=view(*BOTH, loads=loads)), "Stuck")
    assert told.reason == "InvocationsPaused"
    assert "inv_9" in told.message
    assert "dp_claims:1 still has" in told.message


def test_what_the_next_active_revision_takes_over_is_not() -> None:
    given = left_behind(restate=view(*BOTH, latest=V1, loads={V1: load(waiting=1)}))
    assert condition(given, "Stuck").status == "False"
    owner = agent(V2, deleting=True)
    assert "kill them" in condition(replace(given, agent=owner), "Progressing").message


@pytest.mark.parametrize(
    ("still_registered", "kind", "reason"),
    [(False, "Normal", "RevisionRemoved"), (True, "Warning", "RevisionGone")],
)
def test_who_removed_a_revision_is_told_apart(
    *, still_registered: bool, kind: str, reason: str
) -> None:
    name = revision(V1).name
    notes = {**registered(V1).metadata, names.REVISION_LABEL: name}
    there = [replace(registered(V1), metadata=notes)] * still_registered
    gone = left_behind(restate=view(*there, registered(V2)))
    left = {ghost.revision for ghost in ghosts_of(gone)}
    told = events.between(seen(upgrading()), seen(gone), left)
    assert [(e.kind, e.reason) for e in told] == [(kind, reason)]
    assert name in told[0].message


def test_restate_going_and_coming_is_told() -> None:
    here, away = seen(upgrading()), seen(upgrading(restate=AWAY))
    assert "RestateUnreachable" in [e.reason for e in events.between(here, away)]
    assert "RestateReachable" in [e.reason for e in events.between(away, here)]


def test_a_status_survives_its_own_writing_and_reading() -> None:
    status = seen(upgrading())
    assert AgentDeploymentStatus.model_validate(status.dump()) == status


def test_a_late_candidate_names_what_holds_it() -> None:
    late = fresh(
        V2,
        ready=0,
        created=NOW - timedelta(hours=1),
        trouble=Failure("PodsCrash", "pod x ended with exit code 1"),
    )
    given = snapshot(agent(V2), revision(V1), late, restate=view(registered(V1)))
    progressing = condition(given, "Progressing")
    assert (progressing.status, progressing.reason) == ("False", "ProgressDeadlineExceeded")
    assert "exit code 1" in progressing.message


def stuck(*, paused: bool = True, unanswered: bool = False) -> Snapshot:
    found = StuckInvocation("inv_9", "ClaimAgent/a/turn", paused, unanswered, "no such table")
    old = replace(load(paused=1), stuck=(found,))
    return upgrading(restate=view(*BOTH, loads={V1: old}))


def test_what_is_stuck_is_told_with_its_error() -> None:
    told = condition(stuck(), "Stuck")
    assert (told.status, told.reason) == ("True", "InvocationsPaused")
    for words in ("inv_9", "ClaimAgent/a/turn", "no such table", revision(V1).name):
        assert words in told.message
    assert condition(stuck(paused=False), "Stuck").reason == "InvocationsKeepFailing"
    assert condition(upgrading(), "Stuck").status == "False"


def test_without_pods_no_answer_is_no_wonder() -> None:
    given = stuck(paused=False, unanswered=True)
    assert condition(given, "Stuck").status == "True"
    asleep = replace(given, revisions=(revision(V1, replicas=0, ready=0), revision(V2)))
    assert condition(asleep, "Stuck").status == "False"


def test_getting_stuck_is_told_once() -> None:
    before, after = seen(upgrading()), seen(stuck())
    assert "InvocationsPaused" in [e.reason for e in events.between(before, after)]
    assert events.between(after, after) == []


def test_a_message_of_any_length_can_be_shown() -> None:
    fits = "x" * MESSAGE_LENGTH
    for text, shown in ((fits, fits), (f"{fits}x", f"{fits[:-1]}…")):
        condition = Condition(type="Stuck", status="True", reason="R", message=text)
        assert condition.message == shown


def test_of_many_old_revisions_the_oldest_are_named() -> None:
    images = [f"claims:{number}" for number in range(300)]
    loads = {image: load(suspended=1) for image in images[:-1]}
    restate = view(*map(registered, images), loads=loads)
    given = snapshot(agent(images[-1]), *map(revision, images), restate=restate)
    status = seen(given)
    assert status.draining_revisions == 299
    for kind in ("Draining", "Progressing"):
        message = condition(given, kind).message
        assert revision(images[9]).name in message
        assert revision(images[10]).name not in message
        assert message.endswith("; and 289 more")

"""Autoscalers, idle agents, roles and the Service of the agent's name: what is due when."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from agent_operator.api import Condition, names
from agent_operator.api.scaling import Autoscaler
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import companions, events
from agent_operator.reconcile.plan import ASLEEP, SOON, plan
from agent_operator.reconcile.scaling import digest
from agent_operator.reconcile.snapshot import Failure, Front, Revision, Snapshot
from agent_operator.restate.view import RestateView, Unreachable
from tests.unit.operator.build import (
    NOW,
    RESTATE,
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
BOTH = (registered(V1), registered(V2))
BOUNDS = {"minReplicas": 2, "maxReplicas": 4}
SCALED = {"autoscaler": BOUNDS}
IDLE = {"idle": {"after": "1h"}}
MINE = Autoscaler.model_validate(BOUNDS)
AWAY = Unreachable(URL, "away")
OLD = {V1: load(suspended=1)}


def due(given: Snapshot) -> list[do.Action]:
    return list(plan(given, NOW).actions)


def ready(given: Snapshot) -> Condition:
    return next(c for c in plan(given, NOW).status.conditions if c.type == "Ready")


def alone(scaling: dict[str, Any], restate: RestateView | None = None, **changes: Any) -> Snapshot:
    """An agent with one revision, which is active."""
    before = {"activeRevision": wish().name}
    owner = agent(scaling=scaling, status=before)
    return snapshot(owner, revision(**changes), restate=restate or view(registered()))


# The autoscaler


def test_the_active_revision_gets_an_autoscaler_and_keeps_it() -> None:
    given = alone(SCALED, replicas=3, ready=3)
    (only,) = due(given)
    assert only == do.SetAutoscaler(given.revisions[0], MINE)
    assert due(alone(SCALED, replicas=3, ready=3, autoscaled=digest(MINE), budget=True)) == []


def test_a_change_of_its_bounds_is_told_to_it_and_the_pods_are_its_own_business() -> None:
    given = alone({"autoscaler": {"maxReplicas": 9}}, replicas=3, ready=3, autoscaled=digest(MINE))
    (only,) = due(given)
    assert isinstance(only, do.SetAutoscaler)
    assert only.autoscaler == Autoscaler(max_replicas=9)


def test_without_it_the_number_is_the_specs_again() -> None:
    given = alone({}, replicas=3, ready=3, autoscaled=digest(MINE))
    assert due(given) == [
        do.SetAutoscaler(given.revisions[0], None),
        do.ScaleRevision(given.revisions[0], 1),
    ]


def test_none_at_all_is_the_users_word() -> None:
    owner = agent(scaling=SCALED, replicas=0)
    given = snapshot(owner, revision(autoscaled=digest(MINE)), restate=view(registered()))
    assert due(given) == [
        do.SetAutoscaler(given.revisions[0], None),
        do.ScaleRevision(given.revisions[0], 0),
    ]


def test_a_candidate_starts_with_as_many_pods_as_the_active_one_has() -> None:
    owner = agent(V2, scaling=SCALED, status={"activeRevision": revision(V1).name})
    active = revision(V1, replicas=3, ready=3, autoscaled=digest(MINE))
    for has, starts in ((3, 3), (1, 2), (9, 4)):
        given = snapshot(owner, replace(active, replicas=has), restate=view(registered(V1)))
        assert due(given) == [do.CreateRevision(replace(wish(V2), replicas=starts))]
    candidate = fresh(V2, replicas=3, ready=1)
    assert due(snapshot(owner, active, candidate, restate=view(registered(V1)))) == []


def test_an_autoscaler_goes_before_the_pods_of_a_drain() -> None:
    old = revision(V1, autoscaled=digest(MINE), quiet_since=NOW - timedelta(hours=1))
    given = snapshot(
        agent(V2, scaling=SCALED),
        old,
        revision(V2, replicas=2, ready=2, autoscaled=digest(MINE)),
        restate=view(*BOTH, loads=OLD),
    )
    assert due(given) == [do.SetAutoscaler(old, None)]
    gone = replace(given, revisions=(replace(old, autoscaled=None), given.revisions[1]))
    assert due(gone) == [do.ScaleRevision(gone.revisions[0], 0)]


def test_an_autoscaler_goes_with_its_agent() -> None:
    given = snapshot(
        agent(deleting=True, scaling=SCALED),
        revision(autoscaled=digest(MINE)),
        restate=view(registered(), loads={V1: load(running=1)}),
    )
    assert due(given) == [do.SetAutoscaler(given.revisions[0], None)]


def test_an_autoscaler_stays_while_restate_is_away() -> None:
    status = {
        "activeRevision": wish().name,
        "revisions": [{"name": wish().name, "phase": "Active"}],
    }
    given = snapshot(
        agent(scaling=SCALED, status=status),
        revision(replicas=3, ready=3, autoscaled=digest(MINE)),
        restate=AWAY,
    )
    assert due(given) == []


@pytest.mark.parametrize(
    ("replicas", "has", "present"), [(1, False, None), (2, False, True), (1, True, False)]
)
def test_several_pods_have_a_disruption_budget(
    replicas: int, has: bool, present: bool | None
) -> None:
    found = revision(replicas=replicas, ready=replicas, budget=has)
    given = snapshot(agent(replicas=replicas), found, restate=view(registered()))
    assert due(given) == ([] if present is None else [do.SetBudget(found, present)])


def test_a_revision_without_pods_keeps_its_budget_for_when_they_come_back() -> None:
    old = revision(V1, replicas=0, ready=0, budget=True)
    given = snapshot(agent(V2), old, revision(V2), restate=view(*BOTH, loads=OLD))
    assert due(given) == []


# Idle agents


@pytest.mark.parametrize(
    ("untouched_for", "seen", "expected"),
    [
        (None, load(), "mark"),
        (None, load(running=1), None),
        (timedelta(minutes=59), load(suspended=3), None),
        (timedelta(hours=1), load(suspended=3), "sleep"),
        (timedelta(hours=1), load(waiting=1), "sleep"),
        (timedelta(hours=1), load(running=1), None),
        (timedelta(hours=1), load(backing_off=1), None),
    ],
)
def test_an_agent_that_nobody_talks_to(
    untouched_for: timedelta | None, seen: Any, expected: str | None
) -> None:
    since = NOW - untouched_for if untouched_for else None
    restate = view(registered(), loads={V1: seen})
    given = alone(IDLE, restate, untouched_since=since)
    found = given.revisions[0]
    actions: dict[str | None, list[do.Action]] = {
        None: [],
        "mark": [do.mark_untouched(found, NOW)],
        "sleep": [do.LetSleep(found, "dp_claims:1", since or NOW)],
    }
    assert due(given) == actions[expected]


def test_the_note_is_moved_only_now_and_then() -> None:
    noted = NOW - timedelta(minutes=40)
    for seen, moved in ((NOW - timedelta(minutes=26), False), (NOW - timedelta(minutes=5), True)):
        restate = replace(view(registered()), awake={"dp_claims:1": seen})
        given = alone(IDLE, restate, untouched_since=noted)
        wanted = [do.mark_untouched(given.revisions[0], seen)] if moved else []
        assert due(given) == wanted


def test_a_turn_seen_since_the_note_keeps_the_pods() -> None:
    restate = replace(view(registered()), awake={"dp_claims:1": NOW - timedelta(minutes=50)})
    given = alone(IDLE, restate, untouched_since=NOW - timedelta(minutes=61))
    assert due(given) == []
    assert plan(given, NOW).look_again <= timedelta(minutes=10)


@pytest.mark.parametrize(
    ("after", "look_again"),
    [("1s", 10), ("10s", 10), ("30s", 30), ("1m", 60), ("1h", 60)],
)
@pytest.mark.parametrize("noted", [None, NOW - timedelta(seconds=2)], ids=["unnoted", "noted"])
def test_the_end_of_a_turn_is_not_seen_a_minute_late(
    after: str, look_again: int, noted: datetime | None
) -> None:
    at_work = view(registered(), loads={V1: load(running=1)})
    restate = replace(at_work, awake={"dp_claims:1": NOW})
    given = alone({"idle": {"after": after}}, restate, untouched_since=noted)
    assert due(given) == []
    assert plan(given, NOW).look_again == timedelta(seconds=look_again)


ASLEEP_NOW: dict[str, Any] = {"replicas": 0, "ready": 0}


def test_asleep_it_stays_so_and_is_ready() -> None:
    for seen in (load(), load(suspended=2), load(waiting=1)):
        given = alone(IDLE, view(registered(), loads={V1: seen}), **ASLEEP_NOW)
        assert due(given) == []
        assert (ready(given).status, ready(given).reason) == ("True", "Idle")
        assert plan(given, NOW).look_again == ASLEEP


def test_asleep_it_is_not_said_to_be_ready_while_restate_is_away() -> None:
    status = {
        "activeRevision": wish().name,
        "revisions": [{"name": wish().name, "phase": "Active"}],
    }
    owner = agent(scaling=IDLE, status=status)
    for found in (revision(**ASLEEP_NOW), revision(ready=0, waking=True)):
        said = ready(snapshot(owner, found, restate=AWAY))
        assert (said.status, said.reason) == ("Unknown", "RestateUnreachable")


def test_a_turn_wakes_it() -> None:
    called = view(registered(), loads={V1: load(backing_off=1)})
    given = alone(IDLE, called, **ASLEEP_NOW)
    assert due(given) == [do.ScaleRevision(given.revisions[0], 1)]
    assert (ready(given).status, ready(given).reason) == ("True", "Waking")
    assert plan(given, NOW).look_again == SOON
    starting = alone(IDLE, called, ready=0, waking=True)
    assert due(starting) == []
    assert ready(starting).reason == "Waking"
    there = alone(IDLE, called, waking=True)
    assert due(there) == [do.ResumeInvocations(there.revisions[0], "dp_claims:1")]
    failing = alone(IDLE, called, ready=0, waking=True, trouble=Failure("PodsCrash", "exit code 1"))
    assert (ready(failing).status, ready(failing).reason) == ("False", "NoPodReady")


def test_with_an_autoscaler_it_wakes_to_the_least_of_its_pods() -> None:
    given = alone(
        SCALED | IDLE,
        view(registered(), loads={V1: load(backing_off=1)}),
        autoscaled=digest(MINE),
        **ASLEEP_NOW,
    )
    assert due(given) == [do.ScaleRevision(given.revisions[0], 2)]


def test_without_the_wish_it_gets_its_pods_back_and_the_note_goes() -> None:
    given = alone({}, **ASLEEP_NOW)
    assert due(given) == [do.ScaleRevision(given.revisions[0], 1)]
    noted = alone({}, untouched_since=NOW)
    assert due(noted) == [do.mark_untouched(noted.revisions[0], None)]


def test_nothing_is_known_while_restate_is_away() -> None:
    status = {
        "activeRevision": wish().name,
        "revisions": [{"name": wish().name, "phase": "Active"}],
    }
    owner = agent(scaling=IDLE, status=status)
    long_ago = NOW - timedelta(days=1)
    for found in (revision(untouched_since=long_ago), revision(**ASLEEP_NOW)):
        assert due(snapshot(owner, found, restate=AWAY)) == []


def test_a_candidate_has_pods_while_the_active_one_sleeps() -> None:
    owner = agent(V2, scaling=IDLE, status={"activeRevision": revision(V1).name})
    given = snapshot(
        owner, revision(V1, **ASLEEP_NOW), fresh(V2, ready=0), restate=view(registered(V1))
    )
    assert due(given) == []
    called = replace(
        given, restates={RESTATE: view(registered(V1), loads={V1: load(backing_off=1)})}
    )
    assert due(called) == [do.ScaleRevision(given.revisions[0], 1)]


def test_one_whose_routes_are_gone_gets_its_pods_back_to_be_registered() -> None:
    given = alone(IDLE, view(registered(), loads={}), **ASLEEP_NOW)
    lost = replace(given, restates={RESTATE: view()})
    assert due(lost) == [do.ScaleRevision(given.revisions[0], 1)]


# Roles and the Service


def test_roles_follow_what_restate_says() -> None:
    old = revision(V1, role="active", pod_roles=(("p-1", "active"), ("p-2", "draining")))
    new = revision(V2, role="active", pod_roles=(("p-3", "active"),))
    given = snapshot(agent(V2), old, new, restate=view(*BOTH, loads=OLD))
    assert due(given) == [
        do.Annotate(old, {names.QUIET_SINCE_ANNOTATION: "2026-05-04T12:00:00Z"}, "draining"),
        do.LabelPods(old, ("p-1",), "draining"),
    ]
    running = view(*BOTH, loads={V1: load(running=1)})
    assert due(replace(given, restates={RESTATE: running})) == [
        do.Annotate(old, {}, "draining"),
        do.LabelPods(old, ("p-1",), "draining"),
    ]
    assert due(replace(given, restates={RESTATE: AWAY})) == []


def test_what_goes_is_not_labelled() -> None:
    old = revision(V1, role="active", pod_roles=(("p-1", "active"),))
    given = snapshot(agent(V2, drain={"delay": "0s"}), old, revision(V2), restate=view(*BOTH))
    assert due(given) == [do.RemoveRevision(old, "dp_claims:1")]


def pointed(given: Snapshot) -> list[tuple[Revision, bool]]:
    found = [a for a in plan(given, NOW).actions if isinstance(a, do.PointService)]
    assert all(action.port == 9080 for action in found)
    return [(action.revision, action.exists) for action in found]


def test_the_service_leads_to_what_takes_the_turns() -> None:
    one, two = revision(V1), revision(V2)
    rolled_out = snapshot(agent(V2), one, two, restate=view(*BOTH, loads=OLD))
    assert pointed(replace(rolled_out, front=Front())) == [(two, False)]
    assert pointed(replace(rolled_out, front=Front(one.name, 9080))) == [(two, True)]
    assert pointed(replace(rolled_out, front=Front(two.name, 9080))) == []
    candidate = snapshot(agent(V2), one, fresh(V2), restate=view(registered(V1)))
    assert pointed(replace(candidate, front=Front())) == [(one, False)]
    assert pointed(replace(candidate, front=Front(one.name, 9080))) == []
    new = snapshot(agent(), fresh(V1, ready=0))
    assert pointed(replace(new, front=Front())) == []
    away = replace(rolled_out, front=Front(one.name, 9080), restates={RESTATE: AWAY})
    assert pointed(away) == []


def test_a_taken_name_is_told_once() -> None:
    given = snapshot(agent(), revision(), restate=view(registered()))
    before = plan(given, NOW).status
    after = plan(replace(given, front=Front(taken=True)), NOW).status
    (told,) = events.between(before, after)
    assert (told.kind, told.reason) == ("Warning", "ServiceNameTaken")
    assert "claims" in told.message
    assert events.between(after, after) == []


def test_companions_go_with_what_they_belong_to() -> None:
    made = {"metadata": {"name": "claims-1", "namespace": "team", "uid": "rs-1"}}
    for manifest in (
        companions.autoscaler(agent(), made, MINE),
        companions.budget(agent(), made),
    ):
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("ReplicaSet", "rs-1")
    (owner,) = companions.front(agent(), "claims-1", 9080)["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("AgentDeployment", "u-1")
    spec = companions.autoscaler(agent(), made, MINE)["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 4)
    assert spec["scaleTargetRef"]["name"] == "claims-1"


def test_scaling_makes_no_new_revision() -> None:
    assert wish(scaling=SCALED | IDLE).name == wish().name

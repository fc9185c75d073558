"""What took turns last: it stays, and takes them again, whatever became of its registration."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent_operator.api import AgentDeployment, Condition, names
from agent_operator.reconcile import actions as do
from agent_operator.reconcile.plan import plan
from agent_operator.reconcile.registration import _active_deployment
from agent_operator.reconcile.snapshot import Failure, Revision, Setback, Snapshot
from agent_operator.restate.view import Deployment, RestateView, Service
from tests.unit.operator.build import (
    NOW,
    SERVICE,
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
LONG_AGO = NOW - timedelta(minutes=5)
SERVED = revision(V1)
IDLE = revision(V1, idle_since=LONG_AGO)
BROKEN = fresh(V2, ready=0, trouble=Failure("ImageCantBePulled", "no such image"))
FAILED = fresh(V2, replicas=0, ready=0, failure=Failure("BreakingChanges", "it lacks a handler"))
MANUAL = {"strategy": "Manual"}
WAITING = fresh(V2, checked=True)
STRANGER = Deployment("dp_dev", "http://dev:9080", (SERVICE,), {})


def taken(*ours: Deployment, **loads: Any) -> RestateView:
    """Somebody has registered something of their own for the service."""
    by_id = {f"dp_{image}": found for image, found in loads.items()}
    return RestateView((*ours, STRANGER), (Service(SERVICE, STRANGER.id),), by_id)


def owner(image: str, *history: str, active: str | None = None, **spec: Any) -> AgentDeployment:
    """An agent whose status has no active revision any more, if none is said."""
    status = {
        "history": [wish(v).name for v in history],
        "activeRevision": wish(active).name if active else None,
    }
    return agent(image, status=status, **spec)


def actions(given: Snapshot) -> list[do.Action]:
    return list(plan(given, NOW).actions)


def condition(given: Snapshot, kind: str) -> Condition:
    return next(c for c in plan(given, NOW).status.conditions if c.type == kind)


def is_left_alone(given: Snapshot, kept: Revision) -> bool:
    """Whether nothing takes it, its pods, or prepares that."""
    harm = [
        a
        for a in actions(given)
        if isinstance(a, do.RemoveRevision)
        or (isinstance(a, do.ScaleRevision) and a.replicas == 0 and a.revision == kept)
        or (isinstance(a, do.Annotate) and a.notes.get(names.IDLE_SINCE_ANNOTATION))
    ]
    return not harm


TAKEN_OVER: dict[str, tuple[Snapshot, Revision]] = {
    "the candidate does not start": (
        snapshot(owner(V2, V1), IDLE, BROKEN, restate=taken(registered())),
        IDLE,
    ),
    "not even marked": (
        snapshot(owner(V2, V1), SERVED, BROKEN, restate=taken(registered())),
        SERVED,
    ),
    "nor where drained revisions are kept": (
        snapshot(owner(V2, V1, revisionHistoryLimit=1), IDLE, BROKEN, restate=taken(registered())),
        IDLE,
    ),
    "the candidate waits for a promotion": (
        snapshot(owner(V2, V1, rollout=MANUAL), IDLE, WAITING, restate=taken(registered())),
        IDLE,
    ),
    "the candidate has failed": (
        snapshot(owner(V2, V1), IDLE, FAILED, restate=taken(registered())),
        IDLE,
    ),
    "there is no candidate, as its template is refused": (
        snapshot(
            owner(V2, V1),
            IDLE,
            restate=taken(registered()),
            setback=Setback("TemplateRefused", "no", final=True),
        ),
        IDLE,
    ),
    "its work sleeps": (
        snapshot(
            owner(V2, V1),
            revision(V1, quiet_since=LONG_AGO),
            BROKEN,
            restate=taken(registered(), **{V1: load(suspended=1)}),
        ),
        revision(V1, quiet_since=LONG_AGO),
    ),
}


@pytest.mark.parametrize("case", TAKEN_OVER, ids=str)
def test_what_somebody_else_took_over_from_stays(case: str) -> None:
    assert is_left_alone(*TAKEN_OVER[case])


def test_it_goes_once_the_wanted_one_takes_the_turns() -> None:
    given = snapshot(
        owner(V2, V1), IDLE, revision(V2), restate=view(registered(V1), registered(V2))
    )
    assert do.RemoveRevision(IDLE, "dp_claims:1") in actions(given)


def test_an_older_one_goes_meanwhile() -> None:
    given = snapshot(
        owner(V3, V2, V1),
        IDLE,
        revision(V2),
        fresh(V3, ready=0),
        restate=taken(registered(V1), registered(V2)),
    )
    assert actions(given) == [do.RemoveRevision(IDLE, "dp_claims:1")]


@pytest.mark.parametrize("kind", ["Ready", "Registered"])
def test_who_took_over_is_told_though_a_candidate_is_in_trouble(kind: str) -> None:
    given = snapshot(owner(V2, V1), SERVED, BROKEN, restate=taken(registered()))
    found = condition(given, kind)
    assert (found.status, found.reason) == ("False", "ServiceTakenOver")
    assert SERVED.name in found.message
    assert STRANGER.uri in found.message


RESTORED: dict[str, tuple[Snapshot, list[do.Action]]] = {
    "beside a candidate that has failed": (
        snapshot(owner(V2, V1), SERVED, FAILED),
        [do.RegisterRevision(SERVED)],
    ),
    "with a pod again": (
        snapshot(owner(V2, V1), revision(V1, replicas=0, ready=0), FAILED),
        [do.ScaleRevision(revision(V1, replicas=0, ready=0), 1)],
    ),
    "not put to rest among those that are kept": (
        snapshot(owner(V2, V1, revisionHistoryLimit=1), SERVED, FAILED),
        [do.RegisterRevision(SERVED)],
    ),
    "without a promotion, if it is the wanted one": (
        snapshot(owner(V1, V1, rollout=MANUAL), revision(V1, checked=True)),
        [do.RegisterRevision(revision(V1, checked=True))],
    ),
    "once somebody who took over is gone": (
        snapshot(owner(V2, V1), SERVED, BROKEN, restate=RestateView((registered(),))),
        [do.RegisterRevision(SERVED)],
    ),
    "not fought for": (
        snapshot(owner(V2, V1), SERVED, BROKEN, restate=taken(registered())),
        [],
    ),
}


@pytest.mark.parametrize("case", RESTORED, ids=str)
def test_what_served_serves_again(case: str) -> None:
    given, expected = RESTORED[case]
    assert actions(given) == expected


def test_callers_are_compared_with_what_served_though_the_status_has_forgotten_it() -> None:
    given = snapshot(owner(V2, V1), SERVED, WAITING, restate=taken(registered()))
    assert _active_deployment(taken(registered()), given) == registered()


# An older revision was lost too, and something is pinned to it.

OLD = revision(V1, role="draining")
ASLEEP = revision(V1, role="draining", replicas=0, ready=0)


def lost_but(*ours: Deployment) -> RestateView:
    return replace(view(*ours), loads={"dp_claims:1": load(suspended=1)})


def displaced_by(old_id: str) -> RestateView:
    """The old one was registered last, and has the routes."""
    old = replace(registered(V1), id=old_id)
    return RestateView(
        (registered(V2), old), (Service(SERVICE, old_id),), {old_id: load(suspended=1)}
    )


OLDER: dict[str, tuple[Snapshot, list[do.Action]]] = {
    "it waits until the one that serves is registered": (
        snapshot(
            owner(V2, V2, V1, rollout=MANUAL), OLD, revision(V2, checked=True), restate=lost_but()
        ),
        [do.RegisterRevision(revision(V2, checked=True))],
    ),
    "and has pods": (
        snapshot(
            owner(V2, V2, V1, active=V2),
            OLD,
            revision(V2, ready=0),
            restate=lost_but(registered(V2)),
        ),
        [],
    ),
    "its own pods may come up meanwhile": (
        snapshot(owner(V2, V2, V1), ASLEEP, revision(V2, ready=0), restate=lost_but()),
        [do.ScaleRevision(ASLEEP, 1)],
    ),
    "then it is its turn": (
        snapshot(owner(V2, V2, V1, active=V2), OLD, revision(V2), restate=lost_but(registered(V2))),
        [do.RegisterRevision(OLD)],
    ),
    "one that sleeps is woken, or it could not take the turns back": (
        snapshot(
            owner(V2, V2, V1, active=V2, scaling={"idle": {"after": "1h"}}),
            OLD,
            revision(V2, replicas=0, ready=0, published=True),
            restate=lost_but(registered(V2)),
        ),
        [do.ScaleRevision(revision(V2, replicas=0, ready=0, published=True), 1)],
    ),
    "not what is scaled to zero": (
        snapshot(
            owner(V2, V2, V1, active=V2, replicas=0),
            OLD,
            revision(V2, replicas=0, ready=0),
            restate=lost_but(registered(V2)),
        ),
        [],
    ),
    "the one that serves takes the turns back, without another promotion": (
        snapshot(
            owner(V2, V2, V1, rollout=MANUAL),
            OLD,
            revision(V2, checked=True),
            restate=displaced_by("dp_claims:1"),
        ),
        [do.RegisterRevision(revision(V2, checked=True))],
    ),
    "so it does beside a candidate that is in trouble": (
        snapshot(
            owner(V3, V2, V1),
            OLD,
            revision(V2),
            fresh(V3, ready=0),
            restate=displaced_by("dp_claims:1"),
        ),
        [do.RegisterRevision(revision(V2))],
    ),
    "so it does where the older one is in no history": (
        snapshot(
            owner(V3, V2),
            replace(OLD, lost_ids=("dp_0",)),
            revision(V2),
            fresh(V3, ready=0),
            restate=displaced_by("dp_claims:1"),
        ),
        [do.RegisterRevision(revision(V2))],
    ),
    "but what holds the turns by a registration of its own keeps them": (
        snapshot(
            owner(V3, V2),
            OLD,
            revision(V2),
            fresh(V3, ready=0),
            restate=displaced_by("dp_claims:1"),
        ),
        [],
    ),
    "one that is to go with the object waits for nobody": (
        snapshot(owner(V2, V2, V1, deleting=True), OLD, revision(V2, ready=0), restate=lost_but()),
        [do.RegisterRevision(OLD), do.RemoveRevision(revision(V2, ready=0), None)],
    ),
}


@pytest.mark.parametrize("case", OLDER, ids=str)
def test_an_older_one_that_was_lost(case: str) -> None:
    given, expected = OLDER[case]
    assert [a for a in actions(given) if not isinstance(a, do.Annotate)] == expected


@pytest.mark.parametrize("image", [V2, V3])
def test_the_moment_it_has_the_turns_makes_no_history(image: str) -> None:
    candidate = [fresh(V3, ready=0)] if image == V3 else []
    given = snapshot(
        owner(image, V2, V1),
        OLD,
        revision(V2, ready=0),
        *candidate,
        restate=displaced_by("dp_claims:1"),
    )
    found = plan(given, NOW).status
    assert found.active_revision == OLD.name, "this is so"
    assert found.history == [wish(V2).name, OLD.name], "but passes"


def test_what_was_rolled_back_to_makes_history() -> None:
    given = snapshot(owner(V1, V2, V1), OLD, revision(V2), restate=displaced_by("dp_claims:1"))
    found = plan(given, NOW).status
    assert found.history == [OLD.name, wish(V2).name]

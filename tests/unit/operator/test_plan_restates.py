"""Registrations that were lost or closed, clusters that share a Restate, and two Restates."""

from dataclasses import replace
from typing import Any

import pytest

from agent_operator.api import AgentDeploymentStatus, Condition, names
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import restates
from agent_operator.reconcile.plan import plan
from agent_operator.reconcile.revisions import wanted
from agent_operator.reconcile.snapshot import Failure, Revision, Setback, Snapshot
from agent_operator.restate.server import SecretKey, Server
from agent_operator.restate.view import Deployment, RestateView, Service, Unreachable
from tests.unit.operator.build import (
    NOW,
    RESTATE,
    SERVICE,
    SETTINGS,
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
FAR = "https://far.example:9070"
TOKEN = {"name": "restate", "key": "token"}
ASLEEP = revision(V1, replicas=0, ready=0)
TWICE = revision(V1, deployment_id="dp_new", lost_ids=("dp_claims:1",))
CLOSED = revision(V1, closed=(SERVICE,))
BY_NOBODY_HERE = {names.OWNER_KEY: "team/claims", names.CLUSTER_KEY: "other"}


def again(image: str = V1) -> Deployment:
    """As Restate lists it after it was registered anew."""
    return replace(registered(image), id="dp_new")


def renamed(**loads: Any) -> RestateView:
    given = view(registered(V2), again(), latest=V2)
    return replace(given, loads=loads)


def status_of(given: Snapshot) -> AgentDeploymentStatus:
    return plan(given, NOW).status


def condition(given: Snapshot, kind: str) -> Condition:
    return next(c for c in status_of(given).conditions if c.type == kind)


LOST: dict[str, tuple[Snapshot, list[do.Action]]] = {
    "one that sleeps is woken first, since Restate discovers what it registers": (
        snapshot(
            agent(V2),
            ASLEEP,
            revision(V2),
            restate=view(registered(V2), loads={V1: load(suspended=1)}),
        ),
        [do.ScaleRevision(ASLEEP, 1)],
    ),
    "and waits for its pod": (
        snapshot(
            agent(V2),
            revision(V1, ready=0, waking=True),
            revision(V2),
            restate=view(registered(V2), loads={V1: load(suspended=1)}),
        ),
        [],
    ),
    "and doesn't go to sleep before it is registered": (
        snapshot(
            agent(V2),
            revision(V1, quiet_since=NOW.replace(year=2025)),
            revision(V2),
            restate=view(registered(V2), loads={V1: load(suspended=1)}),
        ),
        [do.RegisterRevision(revision(V1, quiet_since=NOW.replace(year=2025)))],
    ),
    "both ids are put on record, in one": (
        snapshot(
            agent(V2),
            revision(V1),
            revision(V2),
            restate=renamed(**{"dp_claims:1": load(running=1)}),
        ),
        [
            do.Annotate(
                revision(V1),
                {
                    names.DEPLOYMENT_ID_ANNOTATION: "dp_new",
                    names.LOST_IDS_ANNOTATION: "dp_claims:1",
                },
            )
        ],
    ),
    "then what is pinned to the old id goes on under the new one": (
        snapshot(
            agent(V2),
            TWICE,
            revision(V2),
            restate=renamed(**{"dp_claims:1": load(running=1)}),
        ),
        [do.RepinInvocations(TWICE, "dp_claims:1", "dp_new")],
    ),
    "and then the old id is forgotten": (
        snapshot(agent(V2), TWICE, revision(V2), restate=renamed(dp_new=load(running=1))),
        [do.Annotate(TWICE, {names.LOST_IDS_ANNOTATION: None})],
    ),
    "lost again before that, it is still needed": (
        snapshot(
            agent(V2),
            TWICE,
            revision(V2),
            restate=replace(view(registered(V2)), loads={"dp_claims:1": load(running=1)}),
        ),
        [do.RegisterRevision(TWICE)],
    ),
    "in deletion too, so that what waits can end": (
        snapshot(agent(V1, deleting=True), ASLEEP, restate=view(loads={V1: load(suspended=1)})),
        [do.ScaleRevision(ASLEEP, 1)],
    ),
    "the one that was active comes back though the candidate isn't ready": (
        snapshot(
            agent(V2, status={"activeRevision": revision(V1).name}),
            revision(V1),
            fresh(V2, ready=0),
        ),
        [do.RegisterRevision(revision(V1))],
    ),
    "with a pod, if it has none": (
        snapshot(agent(V2, status={"activeRevision": ASLEEP.name}), ASLEEP, fresh(V2, ready=0)),
        [do.ScaleRevision(ASLEEP, 1)],
    ),
    "a revision that was closed for a removal which isn't due any more is opened again": (
        snapshot(
            agent(V2),
            CLOSED,
            revision(V2),
            restate=view(registered(V1), registered(V2), loads={V1: load(running=1)}),
        ),
        [do.ReopenServices(CLOSED)],
    ),
    "the active one too": (
        snapshot(agent(V1), CLOSED, restate=view(registered(V1))),
        [do.ReopenServices(CLOSED)],
    ),
    "and in deletion, while turns hold it": (
        snapshot(
            agent(V1, deleting=True),
            CLOSED,
            restate=view(registered(V1), loads={V1: load(running=1)}),
        ),
        [do.ReopenServices(CLOSED)],
    ),
    "but not where it goes at last": (
        snapshot(agent(V1, deleting=True), CLOSED, restate=view(registered(V1))),
        [do.RemoveRevision(CLOSED, "dp_claims:1")],
    ),
    "nor while Restate can't be asked": (
        snapshot(agent(V1), CLOSED, restate=Unreachable(URL, "away")),
        [],
    ),
}


@pytest.mark.parametrize("case", LOST, ids=str)
def test_lost_and_closed(case: str) -> None:
    given, expected = LOST[case]
    assert list(plan(given, NOW).actions) == expected


def test_what_is_pinned_to_an_old_and_a_new_id_counts_together() -> None:
    given = snapshot(
        agent(V2),
        revision(V1),
        revision(V2),
        restate=renamed(**{"dp_claims:1": load(suspended=2), "dp_new": load(running=1)}),
    )
    old = next(r for r in status_of(given).revisions if r.image == V1)
    assert old.invocations is not None
    assert (old.invocations.suspended, old.invocations.running) == (2, 1)


# Clusters that share a Restate.


def other_cluster(image: str, **changes: Any) -> Deployment:
    return replace(registered(image), metadata=BY_NOBODY_HERE, **changes)


def here(given: Snapshot) -> Snapshot:
    return replace(given, cluster="this")


def test_the_ghosts_of_another_cluster_are_none_of_ours() -> None:
    theirs = other_cluster("claims:0", uri="http://gone.team.svc:9080", services=("Other",))
    given = here(snapshot(agent(V1), revision(V1), restate=view(theirs, registered(V1))))
    assert plan(given, NOW).actions == ()
    deleting = here(snapshot(agent(V1, deleting=True), restate=view(theirs)))
    assert plan(deleting, NOW).actions == (do.RemoveFinalizer(),)


def test_another_clusters_registration_of_our_address_is_not_ours_to_remove() -> None:
    given = here(snapshot(agent(V1, deleting=True), revision(V1), restate=view(other_cluster(V1))))
    assert plan(given, NOW).actions == (do.RemoveRevision(revision(V1), None),)
    candidate = here(snapshot(agent(V1), fresh(V1), restate=view(other_cluster(V1))))
    assert plan(candidate, NOW).actions == (do.RegisterRevision(fresh(V1)),)
    assert condition(candidate, "Registered").status == "False"


# Two Restates.

THERE = Server(FAR, "team", SecretKey("restate", "token"))
REF = {"adminURL": FAR, "tokenSecret": TOKEN}
MOVED = agent(V1, restate=REF)
TARGET = wanted(MOVED, SETTINGS)


def there(**changes: Any) -> Revision:
    made = revision(V1, name=TARGET.name, uri=TARGET.uri, restate=THERE, deployment_id="dp_there")
    return replace(made, **changes)


def moved(
    *revisions: Revision,
    old: RestateView | Unreachable,
    new: RestateView | Unreachable | None = None,
) -> Snapshot:
    made = Deployment("dp_there", TARGET.uri, (SERVICE,), {names.OWNER_KEY: "team/claims"})
    active = RestateView((made,), (Service(SERVICE, "dp_there"),))
    return Snapshot(MOVED, TARGET, revisions, {RESTATE: old, THERE: new or active})


IDLE = revision(V1, idle_since=NOW.replace(year=2025))
TWO: dict[str, tuple[Snapshot, list[do.Action]]] = {
    "the old revision stays for its turns on the old Restate": (
        moved(revision(V1), there(), old=view(registered(V1), loads={V1: load(running=1)})),
        [],
    ),
    "nothing of it goes while the old Restate is away": (
        moved(
            replace(IDLE, quiet_since=NOW.replace(year=2025)),
            there(),
            old=Unreachable(URL, "away"),
        ),
        [],
    ),
    "nor does it while the new one is, and the old one serves on": (
        moved(revision(V1), there(), old=view(registered(V1)), new=Unreachable(FAR, "away")),
        [],
    ),
    "it goes from the old Restate once nothing needs it there": (
        moved(IDLE, there(), old=view(registered(V1))),
        [do.RemoveRevision(IDLE, "dp_claims:1")],
    ),
}


@pytest.mark.parametrize("case", TWO, ids=str)
def test_two_restates(case: str) -> None:
    given, expected = TWO[case]
    assert list(plan(given, NOW).actions) == expected


def test_callers_of_the_old_restate_are_told_of_the_new_one() -> None:
    given = moved(revision(V1), there(), old=view(registered(V1), loads={V1: load(running=1)}))
    message = condition(given, "Draining").message
    assert f"{URL} still gives it new turns of {SERVICE}" in message
    assert FAR in message


def test_callers_of_a_dropped_service_are_told_of() -> None:
    both = (registered(V1, (SERVICE, "Dropped")), registered(V2))
    given = snapshot(
        agent(V2),
        revision(V1),
        revision(V2),
        restate=view(*both, latest=V2, loads={V1: load(running=1)}),
    )
    message = condition(given, "Draining").message
    assert "the new turns of Dropped" in message
    assert "stop the callers" in message


def test_callers_of_an_agent_in_deletion_are_told_of() -> None:
    given = snapshot(
        agent(V1, deleting=True),
        revision(V1),
        restate=view(registered(V1), loads={V1: load(running=1)}),
    )
    assert f"still takes new turns of {SERVICE}" in condition(given, "Draining").message


def test_another_secret_for_the_same_server_is_put_on_record_for_all_revisions() -> None:
    before = replace(THERE, token=SecretKey("old", "token"))
    given = Snapshot(MOVED, TARGET, (there(restate=before),), {before: Unreachable(FAR, "401")})
    (note,) = plan(given, NOW).actions
    assert note == do.Annotate(there(restate=before), restates.credentials_notes(THERE, "team"))
    assert plan(moved(there(), old=view()), NOW).actions == ()


# The condition Registered.

REGISTERED: dict[str, tuple[Snapshot, str, str]] = {
    "verified": (
        snapshot(agent(V1), revision(V1), restate=view(registered(V1))),
        "True",
        "Registered",
    ),
    "the active one, while a candidate starts": (
        snapshot(agent(V2), revision(V1), fresh(V2, ready=0), restate=view(registered(V1))),
        "True",
        "Registered",
    ),
    "not yet": (snapshot(agent(V1), fresh(V1, ready=0)), "False", "NotRegistered"),
    "being deleted": (snapshot(agent(V1, deleting=True), revision(V1)), "False", "Deleting"),
    "refused": (
        snapshot(agent(V1), fresh(V1, failure=Failure("RegistrationRefused", "META0006"))),
        "False",
        "RegistrationRefused",
    ),
    "held up": (
        snapshot(agent(V1), fresh(V1), setback=Setback("ServiceTaken", "by team/other")),
        "False",
        "ServiceTaken",
    ),
    "taken over": (
        snapshot(
            agent(V1),
            revision(V1),
            restate=view(registered(V1), Deployment("dp_x", "http://x", (SERVICE,)), latest="x"),
        ),
        "False",
        "ServiceTakenOver",
    ),
    "unknown": (
        snapshot(agent(V1), revision(V1), restate=Unreachable(URL, "Secret", "CredentialsMissing")),
        "Unknown",
        "CredentialsMissing",
    ),
}


@pytest.mark.parametrize("case", REGISTERED, ids=str)
def test_registered(case: str) -> None:
    given, status, reason = REGISTERED[case]
    found = condition(given, "Registered")
    assert (found.status, found.reason) == (status, reason)
    if status == "True":
        assert "dp_claims:1" in found.message


def test_missing_credentials_make_a_restate_unreachable() -> None:
    given = snapshot(
        agent(V1), revision(V1), restate=Unreachable(URL, "Secret x", "CredentialsMissing")
    )
    found = condition(given, "RestateReachable")
    assert (found.status, found.reason) == ("False", "CredentialsMissing")
    assert "Secret x" in found.message

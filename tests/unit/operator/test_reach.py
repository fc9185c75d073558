"""Where a revision's Service leads while its pods start."""

from dataclasses import replace

import pytest

from agent_operator.reconcile import actions as do
from agent_operator.reconcile import manifests
from agent_operator.reconcile.plan import plan
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.restate.view import Unreachable
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
NEEDED = view(registered(V1), registered(V2), loads={V1: load(suspended=1)})


def published(given: Snapshot) -> list[tuple[str, bool]]:
    actions = plan(given, NOW).actions
    return [(a.revision.image, a.early) for a in actions if isinstance(a, do.PublishUnready)]


def test_a_new_service_leads_to_pods_that_start() -> None:
    spec = manifests.service(agent(), wish().name, 9080)["spec"]
    assert spec["publishNotReadyAddresses"] is True


@pytest.mark.parametrize(
    ("old", "due"),
    [
        ({"published": True}, [(V1, False)]),
        ({"published": False}, []),
        ({"published": False, "replicas": 0, "ready": 0}, [(V1, True)]),
        ({"published": True, "replicas": 0, "ready": 0}, []),
        ({"published": True, "waking": True, "ready": 0}, []),
        ({"published": False, "waking": True, "ready": 0}, [(V1, True)]),
        ({"published": None}, []),
    ],
)
def test_an_old_revision(old: dict[str, object], due: list[tuple[str, bool]]) -> None:
    given = snapshot(agent(V2), revision(V1, **old), revision(V2, published=False), restate=NEEDED)
    assert published(given) == due


def test_a_candidate_is_reached_early_until_it_is_active() -> None:
    candidate = fresh(V2, ready=0, published=True)
    given = snapshot(
        agent(V2), revision(V1, published=False), candidate, restate=view(registered(V1))
    )
    assert published(given) == []
    now_active = replace(
        given,
        revisions=(revision(V1), revision(V2, published=True)),
        restates={RESTATE: NEEDED},
    )
    assert published(now_active) == [(V2, False)]


def test_nothing_changes_while_restate_is_away() -> None:
    given = snapshot(agent(), revision(published=True), restate=Unreachable(URL, "away"))
    assert published(given) == []


def test_a_revision_that_goes_has_no_service_any_more() -> None:
    asleep = revision(V1, published=False, replicas=0, ready=0)
    given = snapshot(agent(V1, deleting=True), asleep, restate=view(registered(V1)))
    assert [type(a) for a in plan(given, NOW).actions] == [do.RemoveRevision]

"""What the metrics say of statuses, and that nothing stays behind."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from agent_operator import metrics
from agent_operator.api import AgentDeploymentStatus
from agent_operator.kube.client import AGENT_DEPLOYMENTS, Kube
from agent_operator.kube.store import Store
from agent_operator.reconcile.reconciler import Reconciler
from agent_operator.restate.client import RestateClient, RestateUnavailableError
from agent_operator.restate.observer import RestateObserver
from tests.unit.operator.build import SETTINGS, agent, snapshot
from tests.unit.operator.build import revision as revision_

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
KEY = ("team", "claims")


def revision(name: str, phase: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "phase": phase,
        "image": f"{name}:1",
        "created": "2026-05-04T11:59:30Z",
        **more,
    }


def oldest(since: str) -> dict[str, str]:
    return {"id": "inv_1", "target": "ClaimAgent/a/turn", "since": since}


BUSY = {
    "revisions": [
        revision("new", "Active", deploymentID="dp_2", invocations={"running": 2}),
        revision(
            "old",
            "Draining",
            deploymentID="dp_1",
            invocations={"suspended": 3, "paused": 1},
            oldest=oldest("2026-05-04T11:58:00.250Z"),
        ),
        revision(
            "older",
            "Dormant",
            deploymentID="dp_0",
            invocations={"suspended": 1},
            oldest=oldest("2026-05-04T11:00:00Z"),
        ),
        revision("oldest", "Drained", invocations={}),
        revision("unseen", "Drained"),
    ]
}


def said(status: dict[str, Any]) -> dict[tuple[str, ...], float]:
    read = AgentDeploymentStatus.model_validate(status)
    return {(s.family, *s.labels): s.value for s in metrics.samples(KEY, read, NOW)}


def test_revisions_by_phase() -> None:
    found = {k[-1]: v for k, v in said(BUSY).items() if k[0] == "durable_agents_revisions"}
    assert found == {"Active": 1, "Draining": 1, "Dormant": 1, "Drained": 2}


def test_invocations_by_revision_and_state() -> None:
    found = said(BUSY)
    family = "durable_agents_invocations"
    assert found[family, "team", "claims", "old", "suspended"] == 3
    assert found[family, "team", "claims", "old", "paused"] == 1
    assert found[family, "team", "claims", "old", "running"] == 0
    assert found[family, "team", "claims", "new", "running"] == 2


def test_what_is_not_known_is_not_said_to_be_none() -> None:
    revisions = {key[3] for key in said(BUSY) if key[0] == "durable_agents_invocations"}
    assert revisions == {"new", "old", "older", "oldest"}


def test_the_oldest_drain() -> None:
    assert said(BUSY)["durable_agents_oldest_drain_seconds", "team", "claims"] == 3600


def test_nothing_drains() -> None:
    active = revision("a", "Active", oldest=oldest("2026-05-04T11:00:00Z"))
    assert not [k for k in said({"revisions": [active]}) if "drain" in k[0]]
    assert said({}) == {}


def scrape(statuses: dict[tuple[str, str], dict[str, Any]]) -> str:
    registry = CollectorRegistry()

    def read() -> Iterable[tuple[tuple[str, str], dict[str, Any]]]:
        return statuses.items()

    with metrics.showing(read, registry):
        text = generate_latest(registry).decode()
    assert generate_latest(registry) == b""
    return text


def test_what_goes_is_gone_from_the_next_scrape() -> None:
    here = scrape({KEY: BUSY})
    assert 'durable_agents_revisions{agent="claims",namespace="team",phase="Draining"} 1.0' in here
    assert 'revision="old"' in here
    later = scrape({KEY: {"revisions": BUSY["revisions"][:1]}})
    assert 'revision="new"' in later
    assert 'revision="old"' not in later
    assert "{" not in scrape({})


def test_a_status_of_another_version_hides_no_others() -> None:
    text = scrape({("team", "odd"): {"revisions": [revision("x", "Sleeping")]}, KEY: BUSY})
    assert 'agent="claims"' in text
    assert 'agent="odd"' not in text


def one(phase: str, **more: Any) -> dict[str, Any]:
    return {"revisions": [revision("new", phase, **more)]}


@pytest.mark.parametrize(
    ("before", "after", "seconds"),
    [
        (one("Pending"), one("Active", deploymentID="dp"), [30.0]),
        (one("Checking"), one("Active", deploymentID="dp"), [30.0]),
        (one("Failed", reason="Late"), one("Active", deploymentID="dp"), [30.0]),
        (one("Pending"), one("Checking"), []),
        (one("Active", deploymentID="dp"), one("Active", deploymentID="dp"), []),
        # Going back to one that was active before, and one that Restate lost and got back.
        (one("Pending", deploymentID="dp"), one("Active", deploymentID="dp"), []),
        (one("Draining", deploymentID="dp"), one("Active", deploymentID="dp"), []),
        # An operator that finds no status can't know that it is the first time.
        (None, one("Active", deploymentID="dp"), []),
        ({}, one("Active", deploymentID="dp"), []),
        (one("Pending"), None, []),
    ],
)
def test_a_rollout_is_told_once(
    before: dict[str, Any] | None, after: dict[str, Any] | None, seconds: list[float]
) -> None:
    assert metrics.rollouts(before, after, NOW) == seconds


class Answers(Kube):
    """Takes whatever is applied, as the next version."""

    def __init__(self) -> None:
        """Connect to nothing."""

    async def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        body = dict(options["body"])
        return {**body, "metadata": {**body["metadata"], "resourceVersion": "2"}}


async def test_the_reconciler_tells_a_rollout_when_it_shows_it() -> None:
    key, found, store = ("team", "claims"), agent(), Store()
    metadata = {"namespace": "team", "name": "claims", "uid": "u-1", "resourceVersion": "1"}
    store.put(AGENT_DEPLOYMENTS, {"metadata": metadata, "status": one("Pending")})
    reconciler = Reconciler(Answers(), store, RestateObserver(), SETTINGS)
    status = AgentDeploymentStatus.model_validate(one("Active", deploymentID="dp"))

    def count() -> float:
        return value("durable_agents_rollout_seconds_count")

    before = count()
    for _ in range(3):
        await reconciler._show(key, snapshot(found, revision_()), status)
    assert count() - before == 1


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/deployments", "GET /deployments"),
        ("DELETE", "/deployments/dp_1", "DELETE /deployments/*"),
        ("PATCH", "/services/ClaimAgent", "PATCH /services/*"),
        ("POST", "/internal/batch/resume", "POST /internal/batch/resume"),
    ],
)
def test_operations_hold_no_names(method: str, path: str, operation: str) -> None:
    assert metrics.operation_of(method, path) == operation


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_requests_to_restate_are_counted_by_what_became_of_them() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/services":
            raise httpx.ConnectError("away")
        if request.method == "DELETE":
            return httpx.Response(500, json={"message": "no"})
        return httpx.Response(200, json={"deployments": []})

    count = "durable_agents_restate_request_seconds_count"
    errors = "durable_agents_restate_request_errors_total"

    def now() -> list[float]:
        return [
            value(count, operation="GET /deployments"),
            value(count, operation="GET /services"),
            value(errors, operation="GET /services", code="unreachable"),
            value(errors, operation="DELETE /deployments/*", code="500"),
            value(errors, operation="GET /deployments", code="200"),
        ]

    before = now()
    async with RestateClient("http://restate.test", httpx.MockTransport(answer)) as client:
        assert await client.deployments() == ()
        with pytest.raises(RestateUnavailableError):
            await client.services()
        with pytest.raises(RestateUnavailableError):
            await client.deregister("dp_1")
    assert [b - a for a, b in zip(before, now(), strict=True)] == [1, 1, 1, 1, 0]

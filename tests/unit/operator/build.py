"""Builders of snapshots: what a test does not say is as in a healthy, steady agent."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agent_operator.api import AgentDeployment, names
from agent_operator.api.status import InvocationCounts, OldestInvocation
from agent_operator.reconcile.revisions import Wanted, wanted
from agent_operator.reconcile.snapshot import Revision, Setback, Snapshot
from agent_operator.restate.server import Server
from agent_operator.restate.view import Deployment, Load, RestateView, Service, Unreachable
from agent_operator.settings import Settings

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
URL = "http://restate.test:9070"
RESTATE = Server(URL)
SETTINGS = Settings(restate=RESTATE)
SERVICE = "ClaimAgent"


def agent(
    image: str = "claims:1",
    *,
    deleting: bool = False,
    finalizers: tuple[str, ...] = (names.FINALIZER,),
    status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> AgentDeployment:
    metadata: dict[str, Any] = {
        "name": "claims",
        "namespace": "team",
        "uid": "u-1",
        "generation": 3,
        "finalizers": finalizers,
    }
    if deleting:
        metadata["deletionTimestamp"] = "2026-05-04T11:00:00Z"
    return AgentDeployment.model_validate(
        {"metadata": metadata, "spec": {"image": image, **spec}, "status": dict(status or {})}
    )


def wish(image: str = "claims:1", **spec: Any) -> Wanted:
    return wanted(agent(image, **spec), SETTINGS)


def revision(image: str = "claims:1", **changes: Any) -> Revision:
    """A revision that is up, and was registered as dp_<image>."""
    made = wish(image)
    usual = Revision(
        name=made.name,
        image=image,
        uri=made.uri,
        restate=RESTATE,
        created=NOW - timedelta(hours=1),
        replicas=1,
        ready=1,
        deployment_id=f"dp_{image}",
        registering=True,
    )
    return replace(usual, **changes)


def fresh(image: str = "claims:2", **changes: Any) -> Revision:
    """A revision that Restate has never heard of."""
    return revision(
        image, **{"deployment_id": None, "registering": False, "created": NOW, **changes}
    )


def registered(image: str = "claims:1", services: tuple[str, ...] = (SERVICE,)) -> Deployment:
    return Deployment(f"dp_{image}", wish(image).uri, services, {names.OWNER_KEY: "team/claims"})


def load(**counts: int) -> Load:
    oldest = OldestInvocation(id="inv_1", target="ClaimAgent/a/turn", since="2026-05-04T09:00:00Z")
    return Load(InvocationCounts(**counts), oldest)


def view(
    *deployments: Deployment, latest: str | None = None, loads: Mapping[str, Load] | None = None
) -> RestateView:
    """A Restate where all services of ``latest`` (an image) go to it; by default the last one."""
    routes: dict[str, str] = {}
    for deployment in sorted(deployments, key=lambda d: d.id == f"dp_{latest}"):
        routes |= dict.fromkeys(deployment.services, deployment.id)
    by_id = {f"dp_{image}": found for image, found in (loads or {}).items()}
    services = tuple(Service(name, holder) for name, holder in routes.items())
    return RestateView(deployments, services, by_id)


def snapshot(
    owner: AgentDeployment,
    *revisions: Revision,
    restate: RestateView | Unreachable | None = None,
    setback: Setback | None = None,
) -> Snapshot:
    return Snapshot(
        agent=owner,
        wanted=wanted(owner, SETTINGS),
        revisions=revisions,
        restates={RESTATE: restate or view()},
        setback=setback,
    )

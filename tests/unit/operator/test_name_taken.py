"""A Service of somebody else that has the agent's name: told, left alone, and in nobody's way."""

from dataclasses import dataclass, field

import pytest

from agent_operator.kube.client import Body, Kube, Resource
from agent_operator.kube.errors import KubeError
from agent_operator.kube.store import Store
from agent_operator.reconcile.actions import PointService
from agent_operator.reconcile.errors import NameTakenError
from agent_operator.reconcile.tending import Tender
from tests.unit.operator.build import agent, revision

OURS = {
    "app.kubernetes.io/managed-by": "durable-agents",
    "durableagents.dev/agent": "claims",
}
POINT = PointService(revision(), 9080, exists=False)


@dataclass
class Taken(Kube):
    """An API server that has a Service of the name."""

    labels: dict[str, str]
    patches: list[Body] = field(default_factory=list)

    async def create(self, resource: Resource, namespace: str | None, body: Body) -> Body:
        raise KubeError(409, "already exists")

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Body:
        metadata = {"name": name, "namespace": namespace, "labels": self.labels}
        return {"metadata": metadata, "spec": {"ports": []}}

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Body) -> Body:
        self.patches.append(patch)
        return await self.get(resource, namespace, name)


@pytest.mark.parametrize(
    "labels",
    [{}, OURS | {"durableagents.dev/agent": "other"}, {"durableagents.dev/agent": "claims"}],
)
async def test_what_is_not_ours_is_left_alone(labels: dict[str, str]) -> None:
    kube = Taken(labels)
    with pytest.raises(NameTakenError, match="claims"):
        await Tender(kube, Store()).tend(POINT, agent())
    assert kube.patches == []


async def test_what_is_ours_but_was_not_seen_yet_is_led_on() -> None:
    kube, store = Taken(OURS), Store()
    await Tender(kube, store).tend(POINT, agent())
    (patch,) = kube.patches
    assert patch["spec"]["selector"] == {"durableagents.dev/revision": revision().name}

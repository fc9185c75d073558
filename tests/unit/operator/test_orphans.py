"""What is left of an AgentDeployment that is gone: only what would stay is deleted."""

from typing import Any, cast

from agent_operator.api import names
from agent_operator.kube.client import REPLICA_SETS, SERVICES, Kube, Resource
from agent_operator.kube.errors import KubeError
from agent_operator.kube.store import Store
from agent_operator.reconcile import orphans

KEY = ("team", "claims")


class Gone:
    """An API server that has no such AgentDeployment."""

    def __init__(self) -> None:
        self.asked = 0
        self.deleted: list[str] = []

    async def get(self, *_: Any) -> dict[str, Any]:
        self.asked += 1
        raise KubeError(404, "not found")

    async def delete(self, resource: Resource, namespace: str, name: str) -> None:
        self.deleted.append(name)


def child(name: str, *owners: str) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "team",
            "name": name,
            "uid": name,
            "resourceVersion": "1",
            "labels": {names.AGENT_LABEL: "claims"},
            "ownerReferences": [{"kind": kind} for kind in owners],
        }
    }


async def test_what_has_the_agent_as_its_owner_is_left_to_the_garbage_collector() -> None:
    store, api = Store(), Gone()
    store.put(SERVICES, child("claims", names.KIND))
    await orphans.remove(KEY, store, cast("Kube", api))
    assert api.asked == 0
    store.put(REPLICA_SETS, child("claims-1"))
    store.put(SERVICES, child("claims-1"))
    await orphans.remove(KEY, store, cast("Kube", api))
    assert api.deleted == ["claims-1", "claims-1"]

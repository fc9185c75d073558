"""A revision whose label somebody took away: the watch tells its end, and yet it is there."""

from typing import Any, cast

import pytest

from agent_operator.api import names
from agent_operator.kube.client import AGENT_DEPLOYMENTS, REPLICA_SETS, Kube
from agent_operator.kube.store import Store
from agent_operator.reconcile import actions as do
from agent_operator.reconcile.apply import Applier
from agent_operator.reconcile.errors import NotNowError
from agent_operator.restate.observer import RestateObserver
from tests.unit.operator.build import agent, snapshot, wish

KEY = ("team", "claims")


def replica_set(version: int, managed_by: str = names.MANAGER) -> dict[str, Any]:
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "namespace": "team",
            "name": wish().name,
            "uid": "rs-1",
            "resourceVersion": str(version),
            "labels": {names.AGENT_LABEL: "claims", names.MANAGED_BY_LABEL: managed_by},
        },
    }


class Api:
    """An API server with a ReplicaSet that somebody has relabelled, at version 7."""

    def __init__(self) -> None:
        self.found = replica_set(7, "Helm")

    async def apply(self, resource: Any, body: dict[str, Any], subresource: str = "") -> Any:
        if resource is REPLICA_SETS:
            self.found = replica_set(8)
            return self.found
        return {"metadata": {**body["metadata"], "resourceVersion": "9"}}

    async def list(self, *_: Any, **__: Any) -> tuple[list[dict[str, Any]], str]:
        return [self.found], "7"

    async def merge(self, resource: Any, namespace: str, name: str, patch: dict[str, Any]) -> Any:
        assert patch == {"metadata": {"labels": {names.MANAGED_BY_LABEL: names.MANAGER}}}
        self.found = replica_set(8)
        return self.found


def without_it() -> tuple[Applier, Store]:
    store = Store()
    body = agent().model_dump(mode="json", by_alias=True, exclude_none=True)
    store.put(AGENT_DEPLOYMENTS, body)
    store.put(REPLICA_SETS, replica_set(6))
    store.remove(REPLICA_SETS, replica_set(7))
    assert store.children(REPLICA_SETS, KEY) == []
    return Applier(cast("Kube", Api()), store, RestateObserver()), store


async def test_the_wanted_one_is_made_once_and_is_seen() -> None:
    applier, store = without_it()
    await applier.apply(do.CreateRevision(wish()), snapshot(agent()))
    assert store.children(REPLICA_SETS, KEY) == [replica_set(8)]


async def test_a_deletion_finds_it_and_takes_it_back() -> None:
    applier, store = without_it()
    with pytest.raises(NotNowError, match="1 ReplicaSets are left"):
        await applier.apply(do.RemoveFinalizer(), snapshot(agent(deleting=True)))
    assert store.children(REPLICA_SETS, KEY) == [replica_set(8)]

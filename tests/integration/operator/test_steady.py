"""A steady object costs nothing: no writes, and no requests of the API server, however often seen.

On a real API server, with the ReplicaSet controller's pods on a stub node; Restate is played.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest

from agent_operator.kube.client import AGENT_DEPLOYMENTS, EVENTS, REPLICA_SETS, Kube
from agent_operator.kube.store import Key, Store, resync
from agent_operator.reconcile.reconciler import Reconciler
from agent_operator.restate.client import RestateClient
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import Server
from agent_operator.restate.view import Deployment, Load, Service
from agent_operator.settings import Settings
from hack import cluster
from tests.support import kube
from tests.support.stub import StubNode, stub_node

pytestmark = pytest.mark.integration

ADMIN = "http://restate.test:9070"
LOOKS = 20
PATIENCE = 60.0


class Counting(Kube):
    """The real API server, and how often it was asked."""

    requests = 0

    async def request(self, *args: Any, **options: Any) -> dict[str, Any]:
        self.requests += 1
        return await super().request(*args, **options)


class Played(RestateClient):
    """A Restate that takes every deployment, with one service of the deployment's address."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.known: list[Deployment] = []
        self.routes: list[Service] = []

    async def deployments(self) -> tuple[Deployment, ...]:
        return tuple(self.known)

    async def services(self) -> tuple[Service, ...]:
        return tuple(self.routes)

    async def loads(self) -> dict[str, Load]:
        return {}

    async def discover(self, uri: str, **_: Any) -> tuple[Service, ...]:
        return (Service("Agent", "dp_dry"),)

    async def register(self, uri: str, metadata: Mapping[str, str], **_: Any) -> Deployment:
        made = Deployment(f"dp_{len(self.known)}", uri, ("Agent",), metadata)
        self.known.append(made)
        self.routes = [Service("Agent", made.id)]
        return made


@pytest.fixture(scope="module")
def kubectl() -> Iterator[kube.Kubectl]:
    cluster.up()
    kube.crd()
    with kube.namespace("steady") as found:
        yield found


@pytest.fixture(scope="module")
def node(kubectl: kube.Kubectl) -> Iterator[StubNode]:
    with stub_node("192.0.2.1") as found:
        yield found


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counting]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig()))
    api = await Counting.connect()
    assert isinstance(api, Counting)
    yield api
    await api.close()


def agent(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "durableagents.dev/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": name},
        "spec": {"image": "stub:1", **spec},
    }


class Operator:
    """A reconciler that looks when it is told to, at a picture that is listed anew each time."""

    def __init__(self, api: Counting, namespace: str) -> None:
        self.api, self.namespace, self.store = api, namespace, Store()
        self.restate = RestateObserver(lambda server: Played(server.url))
        settings = Settings(restate=Server(ADMIN))
        self.reconciler = Reconciler(api, self.store, self.restate, settings)

    async def look(self, key: Key) -> int:
        """How many requests a look made, listing aside."""
        await resync(self.store, self.api, self.namespace)
        before = self.api.requests
        await self.reconciler.reconcile(key)
        return self.api.requests - before

    async def until(self, key: Key, reason: str) -> None:
        """Look until ``Progressing`` has a reason."""
        async with asyncio.timeout(PATIENCE):
            while reason not in self.reasons(key):
                await self.look(key)
                await asyncio.sleep(0.2)

    def reasons(self, key: Key) -> list[str]:
        status = (self.store.get(key) or {}).get("status") or {}
        return [c["reason"] for c in status.get("conditions", ()) if c["type"] == "Progressing"]


async def settled_costs_nothing(operator: Operator, key: Key) -> None:
    # What the last action brought about (a pod's status, say) may still come in.
    async with asyncio.timeout(PATIENCE):
        while await operator.look(key):  # noqa: ASYNC110
            await asyncio.sleep(0.5)
    kinds = (AGENT_DEPLOYMENTS, REPLICA_SETS, EVENTS)
    before = [await operator.api.list(kind, operator.namespace) for kind in kinds]
    assert sum([await operator.look(key) for _ in range(LOOKS)]) == 0
    after = [await operator.api.list(kind, operator.namespace) for kind in kinds]
    assert [items for items, _ in after] == [items for items, _ in before]


async def test_an_agent_that_serves_costs_nothing(
    kubectl: kube.Kubectl, node: StubNode, api: Counting
) -> None:
    kubectl.apply(agent("serves", template={"spec": node.pod_spec}))
    operator, key = Operator(api, kubectl.namespace), (kubectl.namespace, "serves")
    await operator.until(key, "RolledOut")
    await settled_costs_nothing(operator, key)


async def test_a_creation_takes_few_requests(
    kubectl: kube.Kubectl, node: StubNode, api: Counting
) -> None:
    kubectl.apply(agent("counted", template={"spec": node.pod_spec}))
    operator, key = Operator(api, kubectl.namespace), (kubectl.namespace, "counted")
    made = 0
    async with asyncio.timeout(PATIENCE):
        while "RolledOut" not in operator.reasons(key):
            made += await operator.look(key)
            await asyncio.sleep(0.2)
    assert made <= 12


async def test_an_agent_whose_pods_never_start_costs_nothing(
    kubectl: kube.Kubectl, api: Counting
) -> None:
    nowhere = {"nodeSelector": {"kubernetes.io/hostname": "nowhere"}}
    kubectl.apply(agent("waits", template={"spec": nowhere}))
    operator, key = Operator(api, kubectl.namespace), (kubectl.namespace, "waits")
    await operator.until(key, "Unschedulable")
    await settled_costs_nothing(operator, key)

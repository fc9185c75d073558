"""Reading ConfigMaps and Secrets of the real API server, with the rights that the chart gives."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from agent_operator.kube.client import SECRETS, Kube
from agent_operator.reconcile import contents as module
from agent_operator.reconcile.contents import Contents
from agent_operator.reconcile.snapshot import Config
from hack import cluster
from tests.support import kube
from tests.unit.operator.build import agent

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def kubectl() -> Iterator[kube.Kubectl]:
    cluster.up()
    with kube.namespace("contents") as found:
        yield found


@pytest.fixture
async def connection(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kube]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig()))
    connection = await Kube.connect()
    yield connection
    await connection.close()


def config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}


async def test_contents_of_the_real_api_server(kubectl: kube.Kubectl, connection: Kube) -> None:
    moments = iter(range(0, 1000, 1 + int(module.MAX_AGE)))
    contents = Contents(connection, lambda: float(next(moments)))
    owner = agent(
        rollout={"onConfigChange": "NewRevision"}, envFrom=[{"configMapRef": {"name": "c"}}]
    )
    owner = owner.model_copy(
        update={"metadata": owner.metadata.model_copy(update={"namespace": kubectl.namespace})}
    )

    async def look() -> Config:
        found = await contents.look(owner)
        assert found is not None
        return found

    missing = await look()
    assert missing.trouble is not None
    assert missing.trouble.reason == "ConfigMissing"

    kubectl.apply(config_map(a="1"))
    first = await look()
    assert first.trouble is None
    kubectl("label", "configmap", "c", "x=y")
    assert await look() == first
    kubectl.apply(config_map(a="2"))
    assert (await look()).digest not in {first.digest, missing.digest}
    kubectl("delete", "configmap", "c")
    assert await look() == missing
    kubectl.apply(config_map(a="1"))
    assert await look() == first


async def test_metadata_comes_without_the_content(kubectl: kube.Kubectl, connection: Kube) -> None:
    kubectl("create", "secret", "generic", "s", "--from-literal=password=hunter2")
    body = await connection.metadata(SECRETS, kubectl.namespace, "s")
    assert body["kind"] == "PartialObjectMetadata"
    assert "data" not in body

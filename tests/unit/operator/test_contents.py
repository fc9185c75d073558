"""Reading Secrets and ConfigMaps: seldom, by name, only for who asked, and keeping only digests."""

from typing import Any

import pytest

from agent_operator.kube.client import CONFIG_MAPS, SECRETS, Resource
from agent_operator.kube.errors import KubeError
from agent_operator.reconcile import contents as module
from agent_operator.reconcile.contents import Contents
from agent_operator.reconcile.snapshot import Config
from tests.unit.operator.build import agent

SECRET_VALUE = "aHVudGVyMg=="
ENV_FROM = [{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "c", "optional": True}}]


class Cluster:
    """Answers as an API server would; notes each request."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.refuse: int | None = None
        self.asked: list[str] = []

    def put(self, resource: Resource, name: str, version: int, **data: str) -> None:
        metadata = {"uid": f"u-{name}", "resourceVersion": str(version)}
        self.objects[resource.kind, name] = {"metadata": metadata, "data": data}

    async def metadata(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        return {"metadata": self._answer("metadata", resource, name)["metadata"]}

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        return self._answer("content", resource, name)

    def _answer(self, what: str, resource: Resource, name: str) -> dict[str, Any]:
        self.asked.append(f"{what} of {resource.kind} {name}")
        if self.refuse:
            raise KubeError(self.refuse, "no")
        if (resource.kind, name) not in self.objects:
            raise KubeError(404, "not found")
        return self.objects[resource.kind, name]


@pytest.fixture
def cluster() -> Cluster:
    found = Cluster()
    found.put(SECRETS, "s", 1, password=SECRET_VALUE)
    found.put(CONFIG_MAPS, "c", 1, address="a")
    return found


class Clock:
    """Time stands still until a test moves it past what may be remembered."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def later(self) -> None:
        self.now += module.MAX_AGE


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def contents(cluster: Cluster, clock: Clock) -> Contents:
    return Contents(cluster, clock)  # type: ignore[arg-type]


async def look(contents: Contents, on: str = "NewRevision", **more: Any) -> Config | None:
    return await contents.look(agent(rollout={"onConfigChange": on}, envFrom=ENV_FROM, **more))


async def test_nothing_is_read_unless_asked_for(cluster: Cluster, contents: Contents) -> None:
    assert await look(contents, "Ignore") is None
    assert await look(contents, deleting=True) is None
    assert await contents.look(agent(rollout={"onConfigChange": "NewRevision"})) is None
    assert cluster.asked == []


async def test_a_content_is_read_only_when_its_version_has_changed(
    cluster: Cluster, contents: Contents, clock: Clock
) -> None:
    first = await look(contents)
    assert len(cluster.asked) == 4
    cluster.asked.clear()
    assert await look(contents) == first
    assert cluster.asked == [], "a look a moment later"

    clock.later()
    assert await look(contents) == first
    assert sorted(cluster.asked) == ["metadata of ConfigMap c", "metadata of Secret s"]
    cluster.asked.clear()

    clock.later()
    cluster.put(CONFIG_MAPS, "c", 2, address="b")
    second = await look(contents)
    assert second != first
    assert "content of ConfigMap c" in cluster.asked
    assert "content of Secret s" not in cluster.asked

    clock.later()
    cluster.put(CONFIG_MAPS, "c", 3, address="a")
    assert await look(contents) == first, "the earlier content, whatever its version"


async def test_labels_alone_change_nothing(
    cluster: Cluster, contents: Contents, clock: Clock
) -> None:
    first = await look(contents)
    clock.later()
    cluster.put(SECRETS, "s", 9, password=SECRET_VALUE)
    assert await look(contents) == first


async def test_what_comes_and_goes(cluster: Cluster, contents: Contents, clock: Clock) -> None:
    del cluster.objects["ConfigMap", "c"]
    without = await look(contents)
    assert without is not None
    assert without.trouble is None, "it is optional"
    clock.later()
    cluster.put(CONFIG_MAPS, "c", 5, address="a")
    assert await look(contents) != without
    clock.later()
    del cluster.objects["Secret", "s"]
    gone = await look(contents)
    assert gone is not None
    assert gone.trouble is not None
    assert gone.trouble.reason == "ConfigMissing"


async def test_a_refusal_says_what_to_do(cluster: Cluster, contents: Contents) -> None:
    cluster.refuse = 403
    found = await look(contents)
    assert found is not None
    assert found.trouble is not None
    assert found.digest == ""
    assert found.trouble.reason == "ConfigUnreadable"
    assert "operator.reads.configMaps" in found.trouble.message


async def test_a_moment_s_trouble_is_no_change(
    cluster: Cluster, contents: Contents, clock: Clock
) -> None:
    first = await look(contents)
    clock.later()
    cluster.refuse = 503
    assert await look(contents) == first
    assert (await look(Contents(cluster))) != first  # type: ignore[arg-type]


async def test_no_value_is_kept(contents: Contents) -> None:
    found = await look(contents)
    assert SECRET_VALUE not in repr((contents._seen, found))

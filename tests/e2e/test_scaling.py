"""Who says how many pods there are, what leads to them, and when there need be none."""

import asyncio
import json
from typing import Any

from hack.demo import shell
from tests.e2e.world import V1, V2, World

SLEEPY = {"idle": {"after": "2s"}}
REVISION = "durableagents.dev/revision"


def pods(world: World, revision: str) -> list[dict[str, Any]]:
    found = shell.items(world.namespace, "pods", f"{REVISION}={revision}")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


async def idle(world: World, revision: str) -> None:
    """Wait until an agent that nobody talks to holds no pods."""
    await world.until(
        lambda: world.condition("Ready").get("reason") == "Idle" and not pods(world, revision),
        "the agent to sleep",
    )


async def test_an_agent_that_nobody_talks_to_sleeps_and_a_turn_wakes_it(world: World) -> None:
    revision = await world.started(V1, scaling=SLEEPY)
    assert (await world.weather("a"))["revision"] == revision
    invocation, approval = await world.claim("b")
    await idle(world, revision)
    assert world.condition("Ready")["status"] == "True"
    assert world.status()["activeRevision"] == revision

    # A turn that no pod has ever seen, and one that began before.
    assert (await world.weather("c"))["revision"] == revision
    await idle(world, revision)
    assert (await world.approve("b", invocation, approval))["revision"] == revision
    await idle(world, revision)

    await asyncio.to_thread(world.apply, V1)
    await world.until(lambda: len(pods(world, revision)) == 1, "the pods to come back")
    assert world.status()["activeRevision"] == revision


async def test_the_service_of_the_agents_name_leads_to_the_active_revision(world: World) -> None:
    def leads_to() -> str | None:
        found = shell.get(world.namespace, "service", "assistant") or {}
        return dict(found.get("spec", {}).get("selector", {})).get(REVISION)

    def roles() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for pod in shell.items(world.namespace, "pods", "durableagents.dev/agent=assistant"):
            labels = pod["metadata"]["labels"]
            if "deletionTimestamp" not in pod["metadata"]:
                found.setdefault(labels[REVISION], set()).add(labels["durableagents.dev/role"])
        return found

    first = await world.started(V1)
    await world.until(lambda: leads_to() == first, "the Service to lead to the first")
    invocation, approval = await world.claim("a")
    second = await world.started(V2)
    await world.until(lambda: leads_to() == second, "the Service to lead to the second")
    await world.until(
        lambda: roles() == {first: {"draining"}, second: {"active"}}, "the pods' roles"
    )
    await world.approve("a", invocation, approval)
    await world.gone(first)


async def test_a_service_of_somebody_else_is_left_alone(world: World) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "assistant"},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]},
    }
    shell.apply(world.namespace, theirs)
    try:
        revision = await world.started(V1)
        await world.until(
            lambda: world.condition("Ready").get("reason") == "ServiceNameTaken", "it to be told"
        )
        assert world.condition("Ready")["status"] == "True"
        assert (await world.weather("a"))["revision"] == revision
        found = shell.get(world.namespace, "service", "assistant") or {}
        assert found["spec"]["selector"] == {"app": "theirs"}
        events = world.kubectl("get", "events", "--field-selector=reason=ServiceNameTaken")
        assert "left alone" in events
    finally:
        world.kubectl("delete", "service", "assistant")


async def test_an_autoscaler_is_not_fought(world: World) -> None:
    def named(kind: str) -> set[str]:
        return {found["metadata"]["name"] for found in shell.items(world.namespace, kind, "")}

    scaling = {"autoscaler": {"minReplicas": 1, "maxReplicas": 3}}
    revision = await world.started(V1, scaling=scaling)
    await world.until(lambda: named("hpa") == {revision}, "its autoscaler")
    await world.until(lambda: named("pdb") == {revision}, "its disruption budget")
    # As the autoscaler would: this cluster has no metrics.
    world.kubectl("scale", "replicaset", revision, "--replicas=2")
    await world.until(lambda: world.status().get("readyReplicas") == 2, "two pods")
    await asyncio.to_thread(world.apply, V1, scaling={"autoscaler": {"maxReplicas": 2}})

    def bounds() -> tuple[int, int]:
        spec = json.loads(world.kubectl("get", "hpa", revision, "-o", "json"))["spec"]
        return spec["minReplicas"], spec["maxReplicas"]

    await world.until(lambda: bounds() == (1, 2), "its new bounds")
    assert len(pods(world, revision)) == 2

    invocation, approval = await world.claim("a")
    drain = {"delay": "1s", "quiet": "1s"}
    second = await world.started(V2, scaling=scaling, drain=drain)
    await world.until(lambda: named("hpa") == {second}, "the autoscaler to follow")
    await world.until(lambda: not pods(world, revision), "the old revision to sleep")
    assert len(pods(world, second)) == 2
    await world.approve("a", invocation, approval)
    await world.gone(revision)

    await asyncio.to_thread(world.apply, V2, drain=drain)
    await world.until(lambda: not named("hpa"), "no autoscaler")
    await world.until(lambda: world.status().get("replicas") == 1, "the spec's replicas")

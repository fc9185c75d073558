"""What goes wrong on the way never disturbs the active revision, and nothing is lost."""

import asyncio
from typing import Any

import pytest

from hack.demo.release import RELEASE
from tests.e2e.world import V1, V2, World, looking_at

# An image that is healthy and yet no Restate endpoint: the model server, on the agent's port.
NO_ENDPOINT = {"command": ["python", "-m", "agent_service.testing", "--port", "9080"], "args": []}
CANDIDATES: list[tuple[dict[str, Any], str]] = [
    ({"image": "localhost/nowhere/none:1"}, "ImageCantBePulled"),
    ({"args": ["no.such.module:agent"]}, "PodsCrash"),
    ({"envFrom": [{"secretRef": {"name": "missing"}}]}, "ContainerCantBeMade"),
    ({"resources": {"requests": {"cpu": "1000"}}}, "Unschedulable"),
    (NO_ENDPOINT, "DiscoveryFailed"),
]


@pytest.mark.parametrize(("spec", "reason"), CANDIDATES, ids=[c[1] for c in CANDIDATES])
async def test_a_candidate_that_fails(world: World, spec: dict[str, Any], reason: str) -> None:
    first = await world.started(V1)
    world.apply(V1, **spec)
    await world.until(lambda: world.condition("Progressing").get("reason") == reason, reason)
    assert world.condition("Ready")["status"] == "True"
    assert world.status()["activeRevision"] == first
    answer = await world.weather("a")
    assert answer["revision"] == first

    world.apply(V1)
    await world.until(
        lambda: world.condition("Progressing").get("reason") == "RolledOut", "the way back"
    )
    await world.until(lambda: len(world.replica_sets()) == 1, "the failed revision to go")


async def test_a_late_candidate_is_failed_by_its_deadline(world: World) -> None:
    await world.started(V1)
    late: dict[str, Any] = {
        "image": "localhost/nowhere/none:1",
        "rollout": {"progressDeadlineSeconds": 3},
    }
    world.apply(V1, **late)
    await world.until(
        lambda: world.condition("Progressing").get("reason") == "ProgressDeadlineExceeded",
        "the deadline",
    )
    assert world.condition("Ready")["status"] == "True"


async def test_two_agents_never_fight_over_a_service(world: World) -> None:
    first = await world.started(V1)
    world.apply(V2, name="rival")
    await world.until(
        lambda: world.condition("Progressing", "rival").get("reason") == "ServiceTaken",
        "the rival to be told",
    )
    assert f"{world.namespace}/assistant" in world.condition("Progressing", "rival")["message"]
    answer = await world.weather("a")
    assert answer["revision"] == first

    # It is no final word: the rival comes up once the other has gone.
    world.kubectl("delete", "agd", "assistant", "--timeout=60s")
    await world.until(
        lambda: world.condition("Ready", "rival").get("status") == "True", "the rival to serve"
    )


async def test_a_candidate_that_lacks_what_callers_use(world: World) -> None:
    first = await world.started(V1)
    fewer: dict[str, Any] = {"args": ["agent_service.agents.weather:agent"]}
    world.apply(V1, **fewer)
    await world.until(
        lambda: world.condition("Progressing").get("reason") == "BreakingChanges", "the refusal"
    )
    assert "service ClaimAgent is missing" in world.condition("Progressing")["message"]
    assert (await world.weather("a"))["revision"] == first
    await world.until(
        lambda: sum(r["spec"]["replicas"] for r in world.replica_sets()) == 1, "its pods to go"
    )

    world.apply(V1, **fewer, rollout={"breakingChanges": "Allow"})
    await world.until(
        lambda: world.condition("Progressing").get("reason") == "RolledOut", "it to be allowed"
    )
    assert (await world.weather("a"))["revision"] != first
    await world.gone(first)


async def test_a_restate_that_is_away(world: World) -> None:
    first = await world.started(V1)
    invocation, approval = await world.claim("a")
    restate = f"statefulset/{RELEASE}-restate"
    world.kubectl("scale", restate, "--replicas=0")
    try:
        await world.until(
            lambda: world.condition("RestateReachable").get("status") == "False", "it to be missed"
        )
        assert f"{RELEASE}-restate" in world.condition("RestateReachable")["message"]
        world.apply(V2)
        await world.until(
            lambda: world.condition("Progressing").get("reason") == "RestateUnreachable",
            "the candidate to wait",
        )
        assert world.status()["activeRevision"] == first
        assert {r["metadata"]["name"] for r in world.replica_sets()} > {first}
    finally:
        world.kubectl("scale", restate, "--replicas=1")
        world.kubectl("rollout", "status", restate, "--timeout=180s")
    async with looking_at(world.release, world.run) as again:
        await again.active(V2)
        result = await again.approve("a", invocation, approval)
        assert result["revision"] == first
        await again.gone(first)


async def before_the_pods_are_ready(world: World) -> None:
    await world.until(lambda: len(world.replica_sets()) == 2, "the candidate's ReplicaSet")


async def when_the_candidate_registers(world: World) -> None:
    def registering() -> bool:
        notes = [r["metadata"]["annotations"] for r in world.replica_sets()]
        return sum("durableagents.dev/registering-since" in n for n in notes) == 2

    await world.until(registering, "the candidate to register")


async def while_the_old_one_drains(world: World) -> None:
    await world.until(lambda: world.phases().get(V1) == "Draining", "the old one to drain")


MOMENTS = [before_the_pods_are_ready, when_the_candidate_registers, while_the_old_one_drains]


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda m: m.__name__)
async def test_the_operator_is_killed(world: World, moment: Any) -> None:
    first = await world.started(V1)
    invocation, approval = await world.claim("a")
    world.apply(V2)
    await moment(world)
    await asyncio.to_thread(world.kill_operator)

    second = await world.active(V2)
    answer = await world.weather("b")
    assert answer["revision"] == second
    result = await world.approve("a", invocation, approval)
    assert result["revision"] == first
    await world.gone(first)
    assert world.phases() == {V2: "Active"}

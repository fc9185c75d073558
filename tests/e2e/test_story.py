"""The main job, as the demo shows it."""

import asyncio

from hack.demo.turns import Load
from tests.e2e.world import V1, V2, World

TURNS = 100


async def test_an_upgrade_while_a_turn_waits_and_others_go_on(world: World) -> None:
    first = await world.started(V1)
    answer = await world.weather("a")
    assert "°C in Paris" in answer["answer"]
    assert answer["revision"] == first
    invocation, approval = await world.claim("a")

    load, done = Load(), asyncio.Event()
    sending = asyncio.create_task(load.run(world.turns, TURNS, done.is_set))
    second = await world.started(V2)
    done.set()
    await sending
    assert load.errors == []
    assert load.sent >= TURNS
    assert set(load.by_revision) == {first, second}

    answer = await world.weather("b")
    assert "°F in Paris" in answer["answer"]
    assert answer["revision"] == second
    assert world.phases() == {V2: "Active", V1: "Draining"}

    result = await world.approve("a", invocation, approval)
    assert result["revision"] == first
    assert "800.00" in result["answer"]
    assert "approved" in result["answer"]
    await world.gone(first)
    assert world.phases() == {V2: "Active"}


async def test_kubectl_tells_the_story(world: World) -> None:
    first = await world.started(V1)
    invocation, _ = await world.claim("a")
    second = await world.started(V2)
    await world.until(
        lambda: world.status().get("drainingInvocations") == 1, "the old turn to show"
    )

    table = world.kubectl("get", "agd").splitlines()
    assert " ".join(table[0].split()) == "NAME READY ACTIVE PODS DRAINING OLD TURNS STATUS AGE"
    assert table[1].split()[:7] == ["assistant", "True", second, "1", "1", "1", "RolledOut"]

    described = world.kubectl("describe", "agd", "assistant")
    for words in (
        f"{first} is kept for 1 invocation (1 suspended)",
        invocation,
        f"ClaimAgent/{world.key('a')}/turn",
        "RevisionActive",
        "RevisionDraining",
        f"{second} takes new turns",
    ):
        assert words in described


async def test_a_steady_agent_causes_no_writes(world: World) -> None:
    await world.started(V1)
    await asyncio.sleep(3)
    before = (world.agent() or {})["metadata"]["resourceVersion"]
    await asyncio.sleep(12)
    assert (world.agent() or {})["metadata"]["resourceVersion"] == before


async def test_going_back_while_the_old_one_drains(world: World) -> None:
    first = await world.started(V1)
    invocation, approval = await world.claim("a")
    second = await world.started(V2)
    assert await world.started(V1) == first
    answer = await world.weather("b")
    assert answer["revision"] == first
    await world.gone(second)
    result = await world.approve("a", invocation, approval)
    assert result["revision"] == first


async def test_replicas_scale_in_place(world: World) -> None:
    first = await world.started(V1)
    world.kubectl("scale", "agd/assistant", "--replicas=2")
    await world.until(lambda: world.status().get("readyReplicas") == 2, "two pods")
    assert [r["name"] for r in world.status()["revisions"]] == [first]
    world.kubectl("scale", "agd/assistant", "--replicas=1")
    await world.until(lambda: world.status().get("replicas") == 1, "one pod again")

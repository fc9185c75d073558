"""Sleeping work holds no pods, and goes on when it is woken."""

import asyncio

from hack.demo import shell
from tests.e2e.world import V1, V2, World

SLEEPY = {"delay": "1s", "quiet": "1s"}


async def asleep(world: World, revision: str) -> None:
    """Wait until a revision has no pods, though a turn needs it."""

    def no_pods() -> bool:
        selector = f"durableagents.dev/revision={revision}"
        return world.phases().get(V1) == "Dormant" and not shell.items(
            world.namespace, "pods", selector
        )

    await world.until(no_pods, "the old revision to sleep")
    assert world.status()["dormantRevisions"] == 1
    assert any(revision in uri for uri in await world.deployments())


async def test_a_revision_sleeps_and_wakes(world: World) -> None:
    first = await world.started(V1)
    claims = {session: await world.claim(session) for session in "abc"}
    second = await world.started(V2, drain=SLEEPY)
    await asleep(world, first)

    results = await asyncio.gather(*(world.approve(s, *claims[s]) for s in "abc"))
    assert {result["revision"] for result in results} == {first}
    await world.gone(first)
    assert world.status()["activeRevision"] == second


async def test_it_wakes_though_the_operator_was_away(world: World) -> None:
    first = await world.started(V1)
    invocation, approval = await world.claim("a")
    await world.started(V2, drain=SLEEPY)
    await asleep(world, first)

    world.kubectl("scale", world.release.operator, "--replicas=0")
    await world.turns.answer("ClaimAgent", world.key("a"), approval, approved=True)
    await asyncio.sleep(5)
    world.kubectl("scale", world.release.operator, "--replicas=1")
    assert (await world.turns.result(invocation))["revision"] == first
    await world.gone(first)


async def test_going_back_to_a_revision_that_sleeps(world: World) -> None:
    first = await world.started(V1)
    invocation, approval = await world.claim("a")
    second = await world.started(V2, drain=SLEEPY)
    await asleep(world, first)
    assert await world.started(V1, drain=SLEEPY) == first
    assert (await world.weather("b"))["revision"] == first
    assert (await world.approve("a", invocation, approval))["revision"] == first
    await world.gone(second)


async def test_an_agent_in_deletion_sleeps_too(world: World) -> None:
    first = await world.started(V1, drain=SLEEPY)
    invocation, approval = await world.claim("a")
    world.kubectl("delete", "agd", "assistant", "--wait=false")
    await asleep(world, first)
    await world.turns.answer("ClaimAgent", world.key("a"), approval, approved=True)
    assert (await world.turns.result(invocation))["revision"] == first
    await world.until(lambda: world.agent() is None, "the object to go")
    assert await world.deployments() == set()

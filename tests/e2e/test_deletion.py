"""kubectl delete: the object stays until its turns are done, and then nothing is left."""

import asyncio

import pytest

from tests.e2e.world import OURS, V1, V2, World


@pytest.mark.parametrize("cascade", ["background", "foreground"])
async def test_a_turn_that_waits_holds_the_object(world: World, cascade: str) -> None:
    first = await world.started(V1)
    invocation, approval = await world.claim("a")
    world.kubectl("delete", "agd", "assistant", "--wait=false", f"--cascade={cascade}")
    await world.until(
        lambda: world.condition("Progressing").get("reason") == "DeletionWaitsForInvocations",
        "the reason why it waits",
    )
    assert "1 invocation (1 suspended)" in world.condition("Progressing")["message"]
    assert invocation in world.condition("Draining")["message"]
    await asyncio.sleep(5)
    agent = world.agent()
    assert agent is not None
    assert "deletionTimestamp" in agent["metadata"]
    assert len(world.replica_sets()) == 1

    result = await world.approve("a", invocation, approval)
    assert result["revision"] == first
    await world.until(lambda: world.agent() is None, "the object to go")
    await world.gone(first)
    assert await world.deployments() == set()


async def test_with_nothing_under_way_all_goes_at_once(world: World) -> None:
    first = await world.started(V1)
    await world.weather("a")
    world.kubectl("delete", "agd", "assistant", "--timeout=60s")
    await world.gone(first)
    assert await world.deployments() == set()


async def test_two_revisions_wait_for_their_own_turns(world: World) -> None:
    first = await world.started(V1)
    old = await world.claim("a")
    second = await world.started(V2)
    new = await world.claim("b")
    world.kubectl("delete", "agd", "assistant", "--wait=false")
    assert (await world.approve("a", *old))["revision"] == first
    await world.gone(first)
    assert world.agent() is not None
    assert (await world.approve("b", *new))["revision"] == second
    await world.until(lambda: world.agent() is None, "the object to go")
    assert await world.deployments() == set()


async def test_without_its_finalizer_nothing_is_left_in_the_cluster(world: World) -> None:
    """Somebody removes the finalizer by hand, since Restate is gone for good, say."""
    first = await world.started(V1)
    await world.claim("a")
    world.kubectl("delete", "agd", "assistant", "--wait=false")
    await world.until(
        lambda: world.condition("Progressing").get("reason") == "DeletionWaitsForInvocations",
        "the reason why it waits",
    )
    world.kubectl(
        "patch", "agd", "assistant", "--type=merge", "-p", '{"metadata":{"finalizers":[]}}'
    )
    await world.until(lambda: not world.replica_sets(), "the ReplicaSet to go")
    # The next one of that name takes over what Restate still has of it.
    second = await world.started(V2)
    assert second != first
    assert (await world.weather("b"))["revision"] == second


async def test_revisions_deleted_by_hand_leave_no_registration(world: World) -> None:
    await world.started(V1)
    world.kubectl("delete", "agd", "assistant", "--wait=false")
    world.kubectl("delete", "replicasets", f"--selector={OURS}", "--wait=false")
    await world.until(lambda: world.agent() is None, "the object to go")
    assert await world.deployments() == set()


async def test_a_user_in_a_hurry(world: World) -> None:
    first = await world.started(V1, deletionPolicy="Kill")
    await world.claim("a")
    world.kubectl("delete", "agd", "assistant", "--timeout=90s")
    await world.gone(first)
    assert await world.deployments() == set()


async def test_a_drain_has_a_deadline(world: World) -> None:
    """What is cancelled ends its turn in order, though its revision slept."""
    first = await world.started(V1)
    invocation, _ = await world.claim("a")
    drain = {"delay": "0s", "quiet": "1s", "deadline": "15s", "onDeadline": "Cancel"}
    await world.started(V2, drain=drain)
    await world.until(lambda: world.phases().get(V1) == "Dormant", "the old revision to sleep")
    assert "then Cancel" in world.condition("Draining")["message"]
    await world.gone(first)
    (row,) = await world.query(
        f"select completion_failure from sys_invocation where id = '{invocation}'"
    )
    assert "cancelled" in row["completion_failure"]
    history = await world.turns.history("ClaimAgent", world.key("a"))
    assert history[-1]["role"] == "error"

"""Moving on, going back, waiting for a place, hands off, and leaving everything as it is."""

import asyncio
import json
from typing import Any

from hack.demo import shell
from tests.e2e.world import OURS, V1, V2, World

SUSPEND = "durableagents.dev/suspend"


def another(number: int) -> dict[str, Any]:
    """What makes another revision of the same image."""
    return {"resources": {"requests": {"cpu": f"{number}m"}}}


async def progressing(world: World, reason: str) -> dict[str, Any]:
    await world.until(lambda: world.condition("Progressing").get("reason") == reason, reason)
    return world.condition("Progressing")


async def test_a_deadline_moves_a_turn_that_sleeps(world: World) -> None:
    first = await world.started(V1)
    invocation, approval = await world.claim("a")
    drain = {"delay": "0s", "quiet": "1s", "deadline": "10s", "onDeadline": "MoveToActive"}
    second = await world.started(V2, drain=drain)
    await world.gone(first)
    events = world.kubectl("get", "events", "--field-selector=reason=InvocationsMoved", "-o=name")
    assert len(events.split()) == 1
    assert (await world.approve("a", invocation, approval))["revision"] == second


async def test_going_back_to_a_revision_that_was_kept(world: World) -> None:
    first = await world.started(V1, revisionHistoryLimit=1)
    await world.started(V2, revisionHistoryLimit=1)

    def kept() -> bool:
        found = [r for r in world.status()["revisions"] if r["name"] == first]
        pods = shell.items(world.namespace, "pods", f"durableagents.dev/revision={first}")
        return not pods and [r.get("message") for r in found] == ["kept for rollback"]

    await world.until(kept, "the old revision to be kept, without pods")
    before = {r["name"]: r["deploymentID"] for r in world.status()["revisions"]}
    assert await world.started(V1, revisionHistoryLimit=1) == first
    assert (await world.weather("b"))["revision"] == first
    routes = await world.query("select distinct deployment_id as id from sys_service")
    assert [row["id"] for row in routes] == [before[first]]


async def test_a_rollout_waits_for_a_place(world: World) -> None:
    first = await world.started(V1)
    claim = await world.claim("a")
    second = await world.started(V2)
    world.apply(V2, **another(3), maxRevisions=2)
    told = await progressing(world, "MaxRevisions")
    assert first in told["message"]
    await asyncio.sleep(3)
    assert len(world.replica_sets()) == 2
    assert (await world.weather("b"))["revision"] == second
    await world.approve("a", *claim)
    await progressing(world, "RolledOut")
    assert world.status()["activeRevision"] not in {first, second}


async def test_hands_off(world: World) -> None:
    first = await world.started(V1)
    world.kubectl("annotate", "agd", "assistant", f"{SUSPEND}=true")
    world.apply(V2)
    world.kubectl("delete", "agd", "assistant", "--wait=false")
    told = await progressing(world, "Suspended")
    assert told["status"] == "Unknown"
    before = world.replica_sets()
    await asyncio.sleep(5)
    assert world.replica_sets() == before
    assert (await world.weather("a"))["revision"] == first
    world.kubectl("annotate", "agd", "assistant", f"{SUSPEND}-")
    await world.until(lambda: world.agent() is None, "the deletion to go on")
    await world.gone(first)


async def test_an_orphan_is_adopted(world: World) -> None:
    first = await world.started(V1, deletionPolicy="Orphan")
    invocation, approval = await world.claim("a")
    world.kubectl("delete", "agd", "assistant", "--timeout=60s")
    await asyncio.sleep(3)
    assert [r["metadata"]["name"] for r in world.replica_sets()] == [first]
    assert (await world.weather("b"))["revision"] == first

    assert await world.started(V1) == first
    await world.until(
        lambda: not any("orphaned" in note for note in notes(world)), "it to be adopted"
    )
    second = await world.started(V2)
    assert (await world.approve("a", invocation, approval))["revision"] == first
    await world.gone(first)
    assert (await world.weather("b"))["revision"] == second


def notes(world: World) -> list[str]:
    return [note for r in world.replica_sets() for note in r["metadata"]["annotations"]]


async def test_only_the_latest_of_missed_rollouts_is_made(world: World) -> None:
    """The spec changes while the operator is down."""
    first = await world.started(V1)
    before = had_pods(world)
    assert first in before
    world.kubectl("scale", world.release.operator, "--replicas=0")
    try:
        for number in (11, 12, 13):
            world.apply(V1, **another(number))
        world.apply(V2)
    finally:
        world.kubectl("scale", world.release.operator, "--replicas=1")
    second = await world.active(V2)
    await world.until(lambda: len(world.replica_sets()) == 1, "the old revision to go")
    assert had_pods(world) - before <= {second}


def had_pods(world: World) -> set[str]:
    """Revisions that a pod was made for, by the ReplicaSet controller's word."""
    chosen = "--field-selector=reason=SuccessfulCreate,involvedObject.kind=ReplicaSet"
    found = json.loads(world.kubectl("get", "events", chosen, "-o=json"))
    return {event["involvedObject"]["name"] for event in found["items"]}


async def test_a_registration_that_was_removed_by_hand_is_made_again(world: World) -> None:
    """A ghost the other way round: Restate knows nothing of it, and its pods were killed, too.

    Seen at the next look at an agent that is steady, which is within a minute.
    """
    first = await world.started(V1)
    (deployment,) = [r["deploymentID"] for r in world.status()["revisions"]]
    world.kubectl("delete", "pods", f"--selector={OURS}", "--wait=false")
    await world.deregister(deployment)
    await world.until(
        lambda: (
            world.status()["revisions"][0]["deploymentID"] != deployment
            and world.condition("Progressing").get("reason") == "RolledOut"
        ),
        "it to be registered again",
    )
    assert (await world.weather("a"))["revision"] == first

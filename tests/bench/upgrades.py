"""Upgrades, one after another, each followed by a rollout of the plain Deployment."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.bench.figures import Figure, Samples, Wanted
from tests.bench.requests import Client
from tests.bench.stage import PLAIN, REVISION, Stage

# Time for the last status writes of a round to be made, and so counted.
SETTLED_SECONDS = 3.0
DRAIN = {"delay": "0s", "idle": "Keep"}


def _requests() -> Samples:
    return Samples("requests")


@dataclass
class Upgrades:
    """What is measured in each round."""

    routed: Samples = field(default_factory=Samples)
    counted: Samples = field(default_factory=Samples)
    answered: Samples = field(default_factory=Samples)
    turn: Samples = field(default_factory=Samples)
    registration: Samples = field(default_factory=Samples)
    old_deleted: Samples = field(default_factory=Samples)
    old_leaves: Samples = field(default_factory=Samples)
    pod_start: Samples = field(default_factory=Samples)
    plain_answers: Samples = field(default_factory=Samples)
    plain_rollout: Samples = field(default_factory=Samples)
    plain_leaves: Samples = field(default_factory=Samples)
    requests: Samples = field(default_factory=_requests)
    plain_requests: Samples = field(default_factory=_requests)

    def figures(self) -> list[Figure]:
        rollout = "Deployment: pod Ready to rolled out"
        return [
            Figure(
                "Pod Ready -> new turns go to the new revision",
                self.routed, rollout, self.plain_rollout, Wanted(0.2, 0.5),
            ),
            Figure(
                "- the same, next to what any Service needs",
                self.routed, "Service: pod Ready to Service leads there", self.plain_answers,
            ),
            Figure(
                "- the same, next to asking the pods what they serve",
                self.routed, "Restate's dry-run registration", self.registration,
            ),
            Figure("- of it until the ReplicaSet counts the pod", self.counted),
            Figure(
                "Pod Ready -> the new revision's first answer", self.answered, "a turn", self.turn
            ),
            Figure(
                "Last old invocation ends -> its pods asked to go",
                self.old_leaves, "Deployment: new pod Ready to old pod asked to go",
                self.plain_leaves, Wanted(1.0),
            ),
            Figure("- of it until the ReplicaSet is deleted", self.old_deleted),
            Figure(
                "API requests of the operator for an upgrade",
                self.requests, "deployment controller, for a rollout", self.plain_requests,
            ),
        ]  # fmt: skip


async def measure(stage: Stage, rounds: int, operator: Client, controller: Client) -> Upgrades:
    """Upgrade again and again."""
    found = Upgrades()
    await asyncio.to_thread(stage.apply_plain, "0")
    await stage.rolled_out(0.0)
    for number in range(1, rounds + 1):
        async with _counting(operator, found.requests):
            await _upgrade(stage, number, found)
        async with _counting(controller, found.plain_requests):
            await _roll_out(stage, number, found)
        print(
            f"  upgrade {number}: routed {found.routed.values[-1]:.3f} s after Ready,"
            f" old pods asked to go {found.old_leaves.values[-1]:.3f} s after the last turn",
            flush=True,
        )
    return found


async def _upgrade(stage: Stage, number: int, found: Upgrades) -> None:
    left = await stage.leave_behind(f"old-{number}", DRAIN)
    pod = await stage.pod_started(left.at, not_of=left.revision)
    found.routed.add(await stage.routed_elsewhere(left.route) - pod.ready)
    await stage.turn(f"first-{number}", pod.revision)
    found.answered.add(time.monotonic() - pod.ready)
    found.turn.add(await stage.turn(f"second-{number}", pod.revision))
    found.counted.add(await stage.counted_ready(pod.revision, pod.made) - pod.ready)
    found.registration.add(await stage.registration(pod.revision))
    found.pod_start.add(pod.seconds)

    await out_of_step()
    asked = time.monotonic()
    await stage.world.approve(left.session, left.invocation, left.approval)
    ended = time.monotonic()
    found.old_leaves.add(await stage.pod_leaves(REVISION, left.revision, asked) - ended)
    found.old_deleted.add(await stage.replica_set_leaves(left.revision, asked) - ended)


async def out_of_step() -> None:
    """The operator looks about once a second: wait so that no sample has a phase of its looks."""
    await asyncio.sleep(1.5 * random.random())


async def _roll_out(stage: Stage, number: int, found: Upgrades) -> None:
    since = time.monotonic()
    await asyncio.to_thread(stage.apply_plain, str(number))
    answers = await stage.plain_answers(str(number))
    pod = await stage.plain_started(since)
    found.plain_answers.add(answers - pod.ready)
    found.plain_leaves.add(
        await stage.pod_leaves("app", PLAIN, pod.ready, but=pod.name) - pod.ready
    )
    found.plain_rollout.add(await stage.rolled_out(pod.ready) - pod.ready)


@asynccontextmanager
async def _counting(client: Client, samples: Samples) -> AsyncIterator[None]:
    """Adds how many requests a client made meanwhile."""
    before = await asyncio.to_thread(client.requests)
    yield
    await asyncio.sleep(SETTLED_SECONDS)
    samples.add(await asyncio.to_thread(client.requests) - before)

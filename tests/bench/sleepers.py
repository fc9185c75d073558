"""Five old revisions, each kept by one turn that waits for a person."""

import asyncio
import time
from dataclasses import dataclass, field

from tests.bench.figures import Figure, Samples, Wanted
from tests.bench.requests import Client, per_minute
from tests.bench.stage import REVISION, Left, Stage
from tests.bench.upgrades import out_of_step

COUNT = 5
AWAKE = {"delay": "0s", "idle": "Keep"}
# With a delay: a turn may end before its pod is Ready, and the pod's start is to be seen too.
ASLEEP = {"delay": "5s", "idle": "ScaleToZero", "quiet": "0s"}


def _pods() -> Samples:
    return Samples("pods")


def _rate() -> Samples:
    return Samples("requests/min")


@dataclass
class Sleepers:
    """What is measured of them."""

    held: Samples = field(default_factory=_pods)
    kept: Samples = field(default_factory=_pods)
    wake: Samples = field(default_factory=Samples)
    pod_start: Samples = field(default_factory=Samples)
    own: Samples = field(default_factory=Samples)
    noticed: Samples = field(default_factory=Samples)
    resumed: Samples = field(default_factory=Samples)
    idle: Samples = field(default_factory=_rate)
    dormant: Samples = field(default_factory=_rate)

    def figures(self, turn: Samples) -> list[Figure]:
        return [
            Figure(
                f"{COUNT} old revisions, a suspended approval each: pods",
                self.held, "with drain.idle: Keep", self.kept, Wanted(0, 0),
            ),
            Figure("Approval given -> its turn has ended", self.wake, "pod start", self.pod_start),
            Figure(
                "- the same less its pod's start", self.own, "a turn with pods up", turn,
                Wanted(worst=1.0),
            ),
            Figure("- of it until its pod is made", self.noticed),
            Figure("- of it from pod Ready to the turn's end", self.resumed),
            Figure("API requests of the operator, idle", self.idle, wanted=Wanted(1)),
            Figure(
                f"API requests of the operator, {COUNT} revisions asleep",
                self.dormant, "idle", self.idle, Wanted(1),
            ),
        ]  # fmt: skip


async def measure(stage: Stage, operator: Client, idle_seconds: float) -> Sleepers:
    """Put five to sleep, and wake one after another."""
    found = Sleepers()
    found.idle.add(await per_minute(operator, idle_seconds))
    waiting = [await _leave_behind(stage, number) for number in range(COUNT)]
    found.kept.add(await asyncio.to_thread(stage.old_pods))
    await asyncio.to_thread(stage.apply_agent, f"asleep-{COUNT - 1}", **ASLEEP)
    await stage.world.until(
        lambda: stage.world.status().get("dormantRevisions") == COUNT, "all to be dormant"
    )
    found.held.add(await asyncio.to_thread(stage.old_pods))
    found.dormant.add(await per_minute(operator, idle_seconds))
    for left in waiting:
        await _wake(stage, left, found)
        total, pod = found.wake.values[-1], found.pod_start.values[-1]
        print(f"  woken in {total:.3f} s, its pod in {pod:.3f} s", flush=True)
    return found


async def _leave_behind(stage: Stage, number: int) -> Left:
    left = await stage.leave_behind(f"asleep-{number}", AWAKE)
    await stage.routed_elsewhere(left.route)
    await stage.world.until(
        lambda: stage.world.status()["activeRevision"] != left.revision, "the status to say so"
    )
    return left


async def _wake(stage: Stage, left: Left, found: Sleepers) -> None:
    await out_of_step()
    turns, asked = stage.world.turns, time.monotonic()
    await turns.answer("ClaimAgent", stage.world.key(left.session), left.approval, approved=True)
    given = time.monotonic()
    result = await turns.result(left.invocation)
    ended = time.monotonic()
    if result["revision"] != left.revision:
        raise RuntimeError(f"{result['revision']} went on, not {left.revision}")
    pod = await stage.pod_started(asked, left.revision)
    found.wake.add(ended - given)
    found.pod_start.add(pod.seconds)
    found.noticed.add(pod.made - given)
    found.resumed.add(ended - pod.ready)
    found.own.add(ended - given - pod.seconds)
    await stage.pod_leaves(REVISION, left.revision, asked)

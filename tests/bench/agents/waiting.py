"""Many sessions that wait for a person at the same time, and then all go on."""

import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from hack.restate import ROOT
from tests.bench.agents import sdk
from tests.bench.agents.memory import memory, most
from tests.bench.agents.processes import SDK, Contestant, Serving, environment
from tests.bench.agents.restate import Restate
from tests.bench.agents.scripted import message
from tests.bench.figures import Figure, Samples

AT_ONCE = 32
POLL_SECONDS = 0.1
PATIENCE = 600.0
TEXT = message(1, 1, "ask")


@dataclass(frozen=True)
class Waited:
    """What it took that sessions waited. Memory is of the agent's process, in MB.

    Attributes:
        before: when nobody waited yet.
        waiting: when all did.
        most: the most while all went on; 0: not known.
        seconds: from the first answer until all turns had ended.
    """

    before: float
    waiting: float
    most: float
    seconds: float


def figures(count: int, ours: Waited, other: Waited, plain: Waited) -> list[Figure]:
    """The lines of the table."""

    def one(value: float, unit: str = "MB") -> Samples:
        return Samples(unit, [value])

    return [
        Figure(f"{count} sessions wait: memory of the process", one(ours.waiting),
               "before", one(ours.before)),
        Figure("- SDK's", one(other.waiting), "before", one(other.before)),
        Figure("- plain ADK's", one(plain.waiting), "before", one(plain.before)),
        Figure("- the most while they go on", one(ours.most), "SDK's", one(other.most)),
        Figure("All are approved -> all have gone on", one(ours.seconds, "s"),
               "SDK's", one(other.seconds, "s")),
        Figure("- plain ADK's, of which nothing survives", one(plain.seconds, "s")),
    ]  # fmt: skip


async def measure(restate: Restate, serving: Serving, count: int) -> Waited:
    """Has so many sessions of one process wait until all sleep in Restate, and approves all."""
    contestant, run = serving.contestant, uuid.uuid4().hex[:8]
    sessions = [f"{run}-{number}" for number in range(count)]
    pid, before = serving.process.pid, memory(serving.process.pid)
    await _all(sessions, lambda session: restate.start(contestant, session, TEXT))
    await _until(lambda: _sleep(restate, contestant, count))
    waiting = memory(pid)
    asked = await _asked(restate, contestant, set(sessions))
    over = asyncio.Event()
    async with asyncio.TaskGroup() as watching:
        peak = watching.create_task(most(pid, over))
        started = time.monotonic()
        await _all(asked.items(), lambda item: restate.answer(contestant, *item))
        await _until(lambda: _over(restate, contestant))
        seconds = time.monotonic() - started
        over.set()
    return Waited(before, waiting, peak.result(), seconds)


async def _sleep(restate: Restate, contestant: Contestant, count: int) -> bool:
    return await restate.count(contestant, "suspended") == count


async def _over(restate: Restate, contestant: Contestant) -> bool:
    sql = (
        "select count(1) as n from sys_invocation where"
        f" target_service_name = '{contestant.name}' and status != 'completed'"
    )
    return bool((await restate.query(sql))[0]["n"] == 0)


async def _asked(restate: Restate, contestant: Contestant, sessions: set[str]) -> dict[str, str]:
    """By session, the id of what it waits for."""
    if contestant is SDK:
        found = await restate.state(contestant, sdk.PENDING)
    else:
        entries = await restate.state(contestant, "approvals")
        found = {session: asked[0]["id"] for session, asked in entries.items()}
    return {session: identity for session, identity in found.items() if session in sessions}


async def _all[T](items: Iterable[T], act: Callable[[T], Awaitable[object]]) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> None:
        async with slots:
            await act(item)

    await asyncio.gather(*(one(item) for item in items))


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 - Restate tells nobody
            await asyncio.sleep(POLL_SECONDS)


def in_memory(count: int) -> Waited:
    """The same with plain ADK, in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.agents.in_memory", str(count)]
    with subprocess.Popen(
        command, env=environment(0), cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        if process.stdin is None or process.stdout is None:
            raise AssertionError("asked for with PIPE")
        waiting = json.loads(process.stdout.readline())
        process.stdin.write("go on\n")
        process.stdin.flush()
        over = json.loads(process.stdout.readline())
    return Waited(waiting["before"], waiting["waiting"], 0, over["seconds"])

"""The agents' figures, all of them."""

import asyncio
import importlib.metadata
import platform
from contextlib import AsyncExitStack

from agent_service.testing.restate import NPM_VERSION
from hack.restate import RestateServer
from tests.bench.agents import long_session, overhead, starts, waiting
from tests.bench.agents.image import Image
from tests.bench.agents.processes import OURS, SDK, keep_bytecode, serving
from tests.bench.agents.restate import Restate
from tests.bench.figures import Figure
from tests.bench.page import Part

NAME = "agents"
PACKAGES = ("google-adk", "restate-sdk")


async def measure(rounds: int, turns: int, count: int) -> Part:
    """Measures ours, the SDK's and plain ADK.

    Args:
        rounds: of turns for the overhead, and of starts.
        turns: of the long session.
        count: sessions that wait at the same time.
    """
    keep_bytecode()
    figures: list[Figure] = []
    figures += await _durable(rounds, turns)
    figures += await _waiting(count)
    _say("starts")
    figures += await asyncio.to_thread(starts.figures, rounds, Image.built())
    return Part(NAME, figures, _with_what())


async def _durable(rounds: int, turns: int) -> list[Figure]:
    async with AsyncExitStack() as stack:
        # A server for each: one contestant's megabytes of journal must not hold up another's turns.
        restates: dict[str, Restate] = {}
        for contestant in long_session.DURABLE:
            server = stack.enter_context(RestateServer())
            process = stack.enter_context(serving(contestant))
            restate = await stack.enter_async_context(Restate(server))
            await restate.register(process)
            restates[contestant.name] = restate
        _say(f"overhead, {rounds} rounds")
        over = await overhead.measure(restates, rounds)
        _say(f"a session of {turns} turns")
        long = await long_session.measure(restates, turns)
    return [*over.figures(), *long.figures()]


async def _waiting(count: int) -> list[Figure]:
    found = []
    for contestant in (OURS, SDK):
        _say(f"{count} sessions of {contestant.name} wait")
        # A server and a process of its own: memory is what is measured.
        with RestateServer() as server, serving(contestant) as process:
            async with Restate(server) as restate:
                await restate.register(process)
                found.append(await waiting.measure(restate, process, count))
    _say(f"{count} sessions wait in memory")
    plain = await asyncio.to_thread(waiting.in_memory, count)
    return waiting.figures(count, found[0], found[1], plain)


def _with_what() -> str:
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    told = [f"Python {platform.python_version()}", f"restate-server {NPM_VERSION}", *versions]
    return f"{', '.join(told)}, a model that answers at once"


def _say(what: str) -> None:
    print(f"bench: {what} ...", flush=True)

"""Notices within a second that something that sleeps is called, with one cheap question for all.

However many objects sleep, each Restate is asked once a second, and not at all while none does.
Where pods are up, whoever is called has an answer: there the end of a *witness* is watched for, one
invocation of many that hold a revision. As long as it is there, the revision is needed.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent_operator.restate.server import Server
from agent_operator.restate.view import Signs

TICK_SECONDS: Final = 1.05
"""Between two questions: with the few full looks, no more than 60 queries a minute."""

Key = tuple[str, str]
Ask = Callable[[Server, frozenset[str]], Awaitable[Signs]]
Ids = Mapping[Server, frozenset[str]]


def _nobody(_: Key) -> None:
    """Until somebody wants to know."""


@dataclass(frozen=True)
class _Watched:
    """Of one object at one Restate: deployments without pods, and witnesses of others."""

    asleep: frozenset[str] = frozenset()
    witnesses: frozenset[str] = frozenset()

    def stirs(self, signs: Signs) -> bool:
        return bool(self.asleep & signs.tried or self.witnesses - signs.going)


@dataclass
class Sleepers:
    """Who sleeps where.

    ``ask`` asks a Restate for signs; ``outdated`` is told where a look made before says too
    little; ``woken`` whom that concerns.
    """

    ask: Ask
    outdated: Callable[[Server], None]
    woken: Callable[[Key], None] = _nobody
    _watched: dict[Server, dict[Key, _Watched]] = field(default_factory=dict)
    _tried: dict[Server, frozenset[str] | None] = field(default_factory=dict)
    _tasks: dict[Server, asyncio.Task[None]] = field(default_factory=dict)

    def put(self, key: Key, asleep: Ids, witnesses: Ids | None = None) -> None:
        """All that sleeps of one object: its deployments' ids, and witnesses, by their Restate."""
        held = witnesses or {}
        for restate in self._watched.keys() | asleep.keys() | held.keys():
            nothing: frozenset[str] = frozenset()
            watched = _Watched(asleep.get(restate, nothing), held.get(restate, nothing))
            if watched != _Watched():
                self._watched.setdefault(restate, {})[key] = watched
                self._see_to(restate)
            else:
                self._watched.get(restate, {}).pop(key, None)

    def quiet(self, restate: Server, ids: frozenset[str]) -> bool:
        """Whether, when last asked, nothing was tried at these deployments. Unknown is no."""
        tried = self._tried.get(restate, frozenset())
        return tried is not None and not ids & tried

    async def close(self) -> None:
        """Ask no more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _see_to(self, restate: Server) -> None:
        if restate not in self._tasks:
            self._tasks[restate] = asyncio.create_task(
                self._watch(restate), name=f"sleepers at {restate.url}"
            )

    async def _watch(self, restate: Server) -> None:
        try:
            while self._watched.get(restate):
                await asyncio.sleep(TICK_SECONDS)
                await self._ask(restate)
        finally:
            self._tasks.pop(restate, None)
            self._tried.pop(restate, None)

    async def _ask(self, restate: Server) -> None:
        asked = dict(self._watched.get(restate, {}))
        witnesses = frozenset[str]().union(*(watched.witnesses for watched in asked.values()))
        signs: Signs | None = None
        with contextlib.suppress(Exception):  # the full look tells what is wrong
            signs = await self.ask(restate, witnesses)
        self._tried[restate] = None if signs is None else signs.tried
        if signs is not None:
            self._wake(restate, [key for key, watched in asked.items() if watched.stirs(signs)])

    def _wake(self, restate: Server, keys: list[Key]) -> None:
        if keys:
            self.outdated(restate)
        for key in keys:
            self.woken(key)

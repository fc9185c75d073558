"""Notices within a second that something that sleeps is called, with one cheap question for all.

However many objects sleep, each Restate is asked once a second, and not at all while none does.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent_operator.restate.client import RestateUnavailableError
from agent_operator.restate.server import Server

TICK_SECONDS: Final = 1.05
"""Between two questions: with the few full looks, no more than 60 queries a minute."""

Key = tuple[str, str]
Attempted = Callable[[Server], Awaitable[frozenset[str]]]


def _nobody(_: Key) -> None:
    """Until somebody wants to know."""


@dataclass
class Sleepers:
    """Who sleeps where.

    ``attempted`` asks a Restate at which deployments something was tried; ``outdated`` is told
    where a look made before says too little; ``woken`` who is called.
    """

    attempted: Attempted
    outdated: Callable[[Server], None]
    woken: Callable[[Key], None] = _nobody
    _asleep: dict[Server, dict[Key, frozenset[str]]] = field(default_factory=dict)
    _called: dict[Server, frozenset[str] | None] = field(default_factory=dict)
    _tasks: dict[Server, asyncio.Task[None]] = field(default_factory=dict)

    def put(self, key: Key, asleep: Mapping[Server, frozenset[str]]) -> None:
        """All that sleeps of one object: its deployments' ids, by their Restate."""
        for restate in self._asleep.keys() | asleep.keys():
            if ids := asleep.get(restate):
                self._asleep.setdefault(restate, {})[key] = ids
                self._see_to(restate)
            else:
                self._asleep.get(restate, {}).pop(key, None)

    def quiet(self, restate: Server, ids: frozenset[str]) -> bool:
        """Whether, when last asked, nothing was tried at these deployments. Unknown is no."""
        called = self._called.get(restate, frozenset())
        return called is not None and not ids & called

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
            while self._asleep.get(restate):
                await asyncio.sleep(TICK_SECONDS)
                await self._ask(restate)
        finally:
            self._tasks.pop(restate, None)
            self._called.pop(restate, None)

    async def _ask(self, restate: Server) -> None:
        called: frozenset[str] | None = None
        with contextlib.suppress(RestateUnavailableError, KeyError, TypeError):
            called = await self.attempted(restate)
        self._called[restate] = called
        asleep = self._asleep.get(restate, {})
        woken = [key for key, ids in asleep.items() if called and ids & called]
        if woken:
            self.outdated(restate)
        for key in woken:
            self.woken(key)

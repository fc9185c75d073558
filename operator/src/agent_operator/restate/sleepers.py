"""Notices within a second that something that sleeps is called, with one cheap question for all.

However many objects sleep, each Restate is asked once a second, and not at all while none does.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent_operator.restate.client import RestateUnavailableError

TICK_SECONDS: Final = 1.05
"""Between two questions: with the few full looks, no more than 60 queries a minute."""

Key = tuple[str, str]
Attempted = Callable[[str], Awaitable[frozenset[str]]]


def _nobody(_: Key) -> None:
    """Until somebody wants to know."""


@dataclass
class Sleepers:
    """Who sleeps where.

    ``attempted`` asks a Restate at which deployments something was tried; ``outdated`` is told
    where a look made before says too little; ``woken`` who is called.
    """

    attempted: Attempted
    outdated: Callable[[str], None]
    woken: Callable[[Key], None] = _nobody
    _asleep: dict[str, dict[Key, frozenset[str]]] = field(default_factory=dict)
    _called: dict[str, frozenset[str] | None] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def put(self, key: Key, asleep: Mapping[str, frozenset[str]]) -> None:
        """All that sleeps of one object: its deployments' ids, by the address of their Restate."""
        for url in self._asleep.keys() | asleep.keys():
            if ids := asleep.get(url):
                self._asleep.setdefault(url, {})[key] = ids
                self._see_to(url)
            else:
                self._asleep.get(url, {}).pop(key, None)

    def quiet(self, url: str, ids: frozenset[str]) -> bool:
        """Whether, when last asked, nothing was tried at these deployments. Unknown is no."""
        called = self._called.get(url, frozenset())
        return called is not None and not ids & called

    async def close(self) -> None:
        """Ask no more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _see_to(self, url: str) -> None:
        if url not in self._tasks:
            self._tasks[url] = asyncio.create_task(self._watch(url), name=f"sleepers at {url}")

    async def _watch(self, url: str) -> None:
        try:
            while self._asleep.get(url):
                await asyncio.sleep(TICK_SECONDS)
                await self._ask(url)
        finally:
            self._tasks.pop(url, None)
            self._called.pop(url, None)

    async def _ask(self, url: str) -> None:
        called: frozenset[str] | None = None
        with contextlib.suppress(RestateUnavailableError, KeyError, TypeError):
            called = await self.attempted(url)
        self._called[url] = called
        asleep = self._asleep.get(url, {})
        woken = [key for key, ids in asleep.items() if called and ids & called]
        if woken:
            self.outdated(url)
        for key in woken:
            self.woken(key)

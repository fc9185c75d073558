"""Which AgentDeployment is looked at when: one task for each, woken by events or by its own time.

Level-triggered: a wake-up carries no content. Many of them while a look runs make one more look.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from agent_operator import logs, metrics
from agent_operator.kube.store import Key

log = logging.getLogger(__name__)

# Most of a look is waiting: for the API server, and up to seconds for a discovery.
CONCURRENT: Final = 64
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
JITTER: Final = 0.1

Look = Callable[[Key], Awaitable[timedelta | None]]


@dataclass
class _Watched:
    wake: asyncio.Event
    task: asyncio.Task[None]
    looking_since: float | None = None


@dataclass
class Loop:
    """Runs ``look`` for each AgentDeployment, one look at a time for each of them."""

    look: Look
    _watched: dict[Key, _Watched] = field(default_factory=dict)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENT))
    _closed: bool = False

    def wake(self, key: Key) -> None:
        """Look at this one again, soon."""
        if self._closed:
            return
        watched = self._watched.get(key)
        if watched is None:
            wake = asyncio.Event()
            task = asyncio.create_task(self._watch(key), name=f"{key[0]}/{key[1]}")
            watched = self._watched[key] = _Watched(wake, task)
        watched.wake.set()

    def longest_look(self) -> float:
        """Seconds that the longest look under way has taken: a liveness probe's business."""
        now = time.monotonic()
        since = [w.looking_since for w in self._watched.values() if w.looking_since is not None]
        return max((now - start for start in since), default=0.0)

    async def close(self) -> None:
        """Stop all looks, for good: once this has returned, nothing is done any more."""
        self._closed = True
        tasks = [watched.task for watched in self._watched.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, key: Key) -> None:
        failures = 0
        while True:
            watched = self._watched[key]
            watched.wake.clear()
            pause: float | None
            with logs.reconciling(*key):
                try:
                    pause = await self._look(key, watched)
                    failures = 0
                except Exception:
                    log.exception("the look failed")
                    metrics.RECONCILE_ERRORS.inc()
                    failures += 1
                    pause = min(FIRST_PAUSE_SECONDS * 2 ** (failures - 1), LONGEST_PAUSE_SECONDS)
            if pause is None and not watched.wake.is_set():
                del self._watched[key]  # gone; a later wake begins anew
                return
            await _wait(watched.wake, pause or 0.0, interruptible=failures == 0)

    async def _look(self, key: Key, watched: _Watched) -> float | None:
        async with self._slots:
            watched.looking_since = time.monotonic()
            try:
                again = await self.look(key)
            finally:
                watched.looking_since = None
        if again is None:
            return None
        # Spread looks, so that objects made together aren't looked at together for ever.
        return again.total_seconds() * (1 + JITTER * random.random())  # noqa: S311


async def _wait(wake: asyncio.Event, seconds: float, *, interruptible: bool) -> None:
    if not interruptible:
        await asyncio.sleep(seconds)  # events must not turn a failing look into a hot loop
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(wake.wait(), seconds)

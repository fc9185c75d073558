"""Which of several replicas acts: the one that holds a Lease (``coordination.k8s.io/v1``).

``kubernetes.aio.leaderelection`` (37.0) is not used. A connection error or a time-out ends its
``run()`` without ending the leader's work, a request that hangs lets the leader act past the lease,
it reads the wall clock, and it can't release.

How two never act at once. A holder counts from *before* the request that renewed the lease, and its
process ends after ``give_up`` seconds without a renewal; others count from *after* they saw the
lease change last, and wait for its whole duration, which is longer. No clock of one machine is
compared with that of another. The Lease is written only in the version that was read.
"""

import asyncio
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from agent_operator import metrics
from agent_operator.kube.client import Body, Kube, Resource
from agent_operator.kube.errors import KubeError
from agent_operator.settings import SHORTEST_LEASE_SECONDS

log = logging.getLogger(__name__)

LEASES: Final = Resource("Lease", "leases", "/apis/coordination.k8s.io/v1")
JITTER: Final = 0.2
WATCHDOG_SECONDS: Final = 0.25
LAST_WORDS_SECONDS: Final = 1.0
# Between the end of a holder that could not renew, and the end of its lease.
MARGIN_SECONDS: Final = 5
# For this long before its end a renewal that fails is tried again.
RETRYING_SECONDS: Final = 45.0
EXIT_LOST: Final = 1
# Somebody else has changed or deleted the lease since it was read.
OUTDATED: Final = frozenset({404, 409})

Role = Literal["starting", "standby", "leader"]


@dataclass(frozen=True)
class Timing:
    """Seconds. ``duration`` less ``give_up`` is what requests under way have to come to an end."""

    duration: int = SHORTEST_LEASE_SECONDS
    give_up: float = 10.0
    renew: float = 5.0
    retry: float = 1.0
    request: float = 4.0

    @classmethod
    def lasting(cls, duration: int) -> "Timing":
        """The times of a lease that runs for so long: a longer one is renewed less often."""
        give_up = float(duration - MARGIN_SECONDS)
        return cls(duration, give_up, max(give_up / 2, give_up - RETRYING_SECONDS))


def boot_time() -> float:
    """Seconds that also pass while the machine sleeps, as they do for the other replicas."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def end_process(reason: str) -> None:
    """End the process at once: another replica may act from now on, so no clean-up may run.

    The last words have a thread and a limit of their own: the log may be what hangs.
    """
    words = threading.Thread(target=log.critical, args=("%s: ending", reason), daemon=True)
    words.start()
    words.join(LAST_WORDS_SECONDS)
    os._exit(EXIT_LOST)


@dataclass
class Election:
    """One candidate for one Lease: ``acquire``, then ``hold`` while it works, then ``release``.

    ``end`` is called with the reason when a held lease is lost, from whatever thread notices; it
    must end the process.
    """

    kube: Kube
    identity: str
    namespace: str
    name: str
    timing: Timing = Timing()
    end: Callable[[str], None] = end_process
    clock: Callable[[], float] = boot_time
    role: Role = "starting"
    trouble: str | None = None
    _lease: Body | None = None
    _version: str | None = None
    _changed_at: float = float("-inf")
    _renewed_at: float = float("-inf")
    _over: threading.Event = field(default_factory=threading.Event)

    async def acquire(self) -> None:
        """Wait until this candidate holds the lease."""
        while not await self._attempt():
            self._lease = None
            # Spread, so that several candidates don't always come at the same time.
            await asyncio.sleep(self.timing.retry * (1 + JITTER * (random.random() - 0.5)))  # noqa: S311
        self.role = "leader"
        metrics.LEADER.set(1)
        threading.Thread(target=self._watch_over, name="lease", daemon=True).start()
        log.info("%s leads: it holds the lease %s/%s", self.identity, self.namespace, self.name)

    async def hold(self) -> None:
        """Renew for ever; cancel it before ``release``."""
        renewed = True
        while self.role == "leader":
            await asyncio.sleep(self.timing.renew if renewed else self.timing.retry)
            renewed = await self._attempt()

    async def release(self) -> None:
        """Let another candidate take over at once. Only after this one has stopped all it did.

        One that stood by comes here too: it may hold the lease by a request that was cut off.
        """
        self._over.set()
        level = logging.WARNING if self.role == "leader" else logging.DEBUG
        self.role = "standby"
        metrics.LEADER.set(0)
        try:
            async with asyncio.timeout(self.timing.request):
                if await self._give_back():
                    log.info("%s has given the lease back", self.identity)
        except (KubeError, TimeoutError) as error:
            log.log(level, "the lease was not released, so it runs out: %s", error)

    async def _give_back(self) -> bool:
        if self._lease and await self._put_if_current(self._lease, ""):
            return True
        # A renewal that was cut off may have arrived all the same.
        lease = await self._get()
        if lease is None or _holder(lease) != self.identity:
            return False
        await self._put(lease, "")
        return True

    async def _attempt(self) -> bool:
        """Take or renew the lease; whether this candidate holds it for sure."""
        asked_at = self.clock()
        try:
            async with asyncio.timeout(self.timing.request):
                made = await self._write()
        except (KubeError, TimeoutError) as error:
            self._lease = None  # what became of the request isn't known: look first
            self._complain(str(error) or f"no answer within {self.timing.request} s")
            return False
        if made is None:
            return False
        self._lease, self._renewed_at, self.trouble = made, asked_at, None
        return True

    async def _write(self) -> Body | None:
        if self._lease and (renewed := await self._put_if_current(self._lease, self.identity)):
            return renewed
        lease = await self._get()
        if lease is None:
            body = {"metadata": {"name": self.name}, "spec": self._spec({}, self.identity)}
            return await self.kube.create(LEASES, self.namespace, body)
        self._take_note(lease)
        if self._may_take(lease):
            return await self._put(lease, self.identity)
        if self.role == "leader":
            self.end(f"{_holder(lease)} took the lease {self.namespace}/{self.name}")
        elif self.role == "starting":
            log.info("%s stands by: %s leads", self.identity, _holder(lease))
        self.role, self.trouble = "standby", None
        return None

    def _take_note(self, lease: Body) -> None:
        version = str(lease["metadata"]["resourceVersion"])
        if version != self._version:
            self._version, self._changed_at = version, self.clock()

    def _may_take(self, lease: Body) -> bool:
        # One's own name: a container restarted in its pod, so the one before it has ended.
        if _holder(lease) in {"", self.identity}:
            return True
        if self.role == "leader":
            return False
        duration = max(lease["spec"].get("leaseDurationSeconds") or 0, self.timing.duration)
        return self.clock() - self._changed_at > duration

    async def _get(self) -> Body | None:
        try:
            return await self.kube.get(LEASES, self.namespace, self.name)
        except KubeError as error:
            if not error.missing:
                raise
            return None

    async def _put_if_current(self, lease: Body, holder: str) -> Body | None:
        try:
            return await self._put(lease, holder)
        except KubeError as error:
            if error.status not in OUTDATED:
                raise
            return None

    async def _put(self, lease: Body, holder: str) -> Body:
        body = {**lease, "spec": self._spec(lease.get("spec") or {}, holder)}
        path = LEASES.path(self.namespace, self.name)
        return await self.kube.request("PUT", path, body=body)

    def _spec(self, before: Body, holder: str) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {**before, "holderIdentity": holder, "renewTime": now}
        spec["leaseDurationSeconds"] = self.timing.duration
        if holder and before.get("holderIdentity") != holder:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = before.get("leaseTransitions", -1) + 1
        return spec

    def _watch_over(self) -> None:
        """End the process in time even if its event loop hangs. Runs in a thread of its own."""
        while not self._over.wait(min(WATCHDOG_SECONDS, self.timing.give_up / 4)):
            idle = self.clock() - self._renewed_at
            if idle > self.timing.give_up:
                name = f"{self.namespace}/{self.name}"
                self.end(f"the lease {name} was not renewed for {idle:.1f} s")
                return

    def _complain(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("the lease %s/%s: %s", self.namespace, self.name, trouble)
        self.trouble = trouble


def _holder(lease: Body) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")

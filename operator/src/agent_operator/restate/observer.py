"""One shared look at each Restate server for all AgentDeployments, cached for a moment.

Hundreds of objects on one server cost one set of queries, not hundreds; a server that is away is
asked again with backoff, however many objects wait for it.
"""

import asyncio
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from agent_operator.restate.client import RestateClient, RestateUnavailableError
from agent_operator.restate.server import Server
from agent_operator.restate.sleepers import Sleepers
from agent_operator.restate.view import RestateView, Unreachable

BACKOFF: Final = (1.0, 2.0, 4.0, 8.0, 10.0)
"""Seconds between attempts at a server that is away."""


ASLEEP_SECONDS: Final = 30.0
"""How old a look may be while all that it is wanted for is asleep."""


def without_credentials(server: Server) -> RestateClient:
    """A client of a server that lets anybody in."""
    return RestateClient(server.url)


@dataclass
class _Watched:
    client: RestateClient
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    seen: RestateView | Unreachable | None = None
    seen_at: float = float("-inf")
    begun_at: float = float("-inf")
    failures: int = 0
    changes: int = 0
    awake: dict[str, datetime] = field(default_factory=dict)

    def begun_since(self, asked_at: float) -> bool:
        """Whether the last look began after somebody asked for one, who waited meanwhile."""
        return isinstance(self.seen, RestateView) and self.begun_at > asked_at

    def still_good(self, now: float, max_age: float) -> bool:
        if isinstance(self.seen, Unreachable):
            max_age = BACKOFF[min(self.failures, len(BACKOFF)) - 1]
        return self.seen is not None and now - self.seen_at <= max_age


class RestateObserver:
    """What is known of each Restate server."""

    def __init__(
        self,
        connect: Callable[[Server], RestateClient] = without_credentials,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._watched: dict[Server, _Watched] = {}
        self.sleepers = Sleepers(
            lambda restate, witnesses: self.client(restate).signs(witnesses), self.forget
        )

    def client(self, restate: Server) -> RestateClient:
        """The client of one server."""
        return self._of(restate).client

    async def view(
        self, restate: Server, max_age: float, *, asleep: frozenset[str] = frozenset()
    ) -> RestateView | Unreachable:
        """A look at a server that is at most ``max_age`` seconds old.

        Where only dormant deployments make it worth a new look, ``asleep`` names them: then one is
        due only if something was tried there, which ``sleepers`` finds out more cheaply.
        A failed look is kept until the next attempt is due, so that waiting objects don't hammer.
        """
        server, asked_at = self._of(restate), self._clock()
        async with server.lock:
            # Many that have changed something wait here: the next look is new to all of them.
            good = server.begun_since(asked_at) or server.still_good(self._clock(), max_age)
            if not good and not self._nothing_woke(restate, server, asleep):
                await self._look(restate, server)
            if server.seen is None:  # pragma: no cover - _look always sets it
                raise AssertionError("a look leaves a view or an error")
            return server.seen

    async def fresh_view(self, restate: Server) -> RestateView:
        """A look made now, for a decision that can't be taken back.

        Raises:
            RestateUnavailableError: the server can't be asked.
        """
        return await _read(self._of(restate).client)

    def forget(self, restate: Server) -> None:
        """Make the next look a new one: something was just changed there."""
        server = self._of(restate)
        server.changes += 1
        if not isinstance(server.seen, Unreachable):
            server.seen_at = float("-inf")

    async def close(self) -> None:
        """Let all connections go."""
        await self.sleepers.close()
        for server in self._watched.values():
            await server.client.close()

    def _of(self, restate: Server) -> _Watched:
        if restate not in self._watched:
            self._watched[restate] = _Watched(self._connect(restate))
        return self._watched[restate]

    def _nothing_woke(self, restate: Server, server: _Watched, asleep: frozenset[str]) -> bool:
        young = server.still_good(self._clock(), ASLEEP_SECONDS)
        return bool(asleep) and young and self.sleepers.quiet(restate, asleep)

    async def _look(self, restate: Server, server: _Watched) -> None:
        started, changes = self._clock(), server.changes
        server.begun_at = started
        try:
            server.seen = _remembering(await _read(server.client), server.awake)
            server.failures = 0
            # What was changed meanwhile may be missing from it: good for now, but not for later.
            server.seen_at = started if server.changes == changes else float("-inf")
        except RestateUnavailableError as error:
            server.seen = Unreachable(restate.url, str(error), error.reason)
            server.failures += 1
            server.seen_at = self._clock()


async def _read(client: RestateClient) -> RestateView:
    try:
        # Services before loads: see RestateView.
        deployments = await client.deployments()
        services = await client.services()
        return RestateView(deployments, services, await client.loads())
    except RestateUnavailableError:
        raise
    except Exception as error:
        # Whatever it is: one Restate must not end the looks at agents that use others, too.
        raise RestateUnavailableError(
            f"{client.url} answered in a form that this operator does not know: {_where(error)}"
        ) from error


def _where(error: Exception) -> str:
    """An error's kind and place: its words may quote what was asked, credentials and all."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {last.name}"


def _remembering(view: RestateView, awake: dict[str, datetime]) -> RestateView:
    """The view, with when each deployment was last seen at work."""
    now = datetime.now(UTC)
    awake |= {found: now for found, load in view.loads.items() if load.calls}
    for gone in awake.keys() - {deployment.id for deployment in view.deployments}:
        del awake[gone]
    return replace(view, awake=dict(awake))

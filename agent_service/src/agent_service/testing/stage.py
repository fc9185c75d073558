"""Serves agents of the test's own process to a Restate server.

In the same process, so that breakpoints, patches and coverage work in agents as they do elsewhere.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import httpx

from agent_service.evaluation.serving import serving
from agent_service.settings import Settings
from agent_service.testing.replay import ReplayWatch
from agent_service.testing.restate import RestateServer
from agent_service.testing.turns import ServedAgent, Target

if TYPE_CHECKING:
    from agent_service.durable.agents import Served

CALL_SECONDS = 90.0


class ServeAgent(Protocol):
    """The fixture ``serve_agent``."""

    def __call__(
        self, agent: Served, *, replay: bool = True, settings: Settings | None = None
    ) -> ServedAgent:
        """Serves an agent until the test ends; see `Stage.serve`."""


class Stage:
    """One event loop, in a thread of its own, on which agents are served one after the other.

    One for all tests: a model's client stays with the event loop that it was first used on. Use it
    as a context manager.

    Args:
        server: the Restate server, which runs.
    """

    def __init__(self, server: RestateServer) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="agents under test", daemon=True
        )
        self._http = httpx.Client(timeout=CALL_SECONDS, trust_env=False)

    @contextmanager
    def serve(self, agent: Served, settings: Settings, *, replay: bool) -> Iterator[ServedAgent]:
        """Serves an agent as long as the context lasts.

        Args:
            agent: the agent, workflow or app; it isn't changed.
            settings: how to serve it.
            replay: whether its turns are replayed after each step.

        Raises:
            ConfigurationError: it can't be served so.
        """
        watch = ReplayWatch()
        admin, ingress = self._server.admin_url, self._server.ingress_url
        shown = watch.around(agent) if replay else agent
        served = serving([shown], settings, admin, ingress, whole_calls=replay)
        self._run(served.__aenter__())
        try:
            yield ServedAgent(Target(agent.name, ingress, admin, self._http, watch))
        finally:
            self._run(served.__aexit__(None, None, None))

    def _run[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

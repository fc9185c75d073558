"""The agent under evaluation, served for as long as it takes and registered with a Restate."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx

from agent_service.errors import ConfigurationError
from agent_service.evaluation.cases import Restate
from agent_service.serving import build_app, server_config, with_lifespan
from agent_service.settings import Settings

if TYPE_CHECKING:
    from agent_service.durable.agents import Served

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
PAUSE_SECONDS = 0.2


@asynccontextmanager
async def serving(
    agents: Sequence[Served],
    settings: Settings,
    admin: str,
    ingress: str,
    *,
    whole_calls: bool = False,
) -> AsyncIterator[Restate]:
    """Serves agents on loopback; the Restate knows them.

    Args:
        agents: the agents, workflows or apps.
        settings: how to serve them; the port is a free one, though.
        admin: the Restate's address for administration.
        ingress: its address for callers.
        whole_calls: whether Restate sends an attempt all that its journal has, and nothing more
            while it runs. So each step ends an attempt, and the next one replays all before it.

    Raises:
        ConfigurationError: an agent can't be served, or there is no Restate.
    """
    from hypercorn.asyncio import serve

    port = await _free_port()
    # Its Restate is on the same machine and signs nothing.
    chosen = replace(
        settings, port=port, identity_keys=(), graceful_timeout=1.0, ingress_url=ingress
    )
    config = server_config(chosen)
    config.bind = [f"127.0.0.1:{port}"]
    stop = asyncio.Event()
    app = with_lifespan(build_app(agents, chosen))
    task = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    try:
        async with httpx.AsyncClient(timeout=None, trust_env=False) as http:  # noqa: S113
            await _register(http, admin, f"http://127.0.0.1:{port}", whole_calls)
            yield Restate(http, admin, ingress)
    finally:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)


async def _register(
    http: httpx.AsyncClient, admin: str, uri: str, whole_calls: bool = False
) -> None:
    # Over HTTP/1.1 there are no streams in both directions, so Restate and the SDK do without.
    body = {"uri": uri, "force": True, "use_http_11": whole_calls}
    until, why = time.monotonic() + START_SECONDS, ""
    while time.monotonic() < until:
        try:
            answer = await http.post(f"{admin}/deployments", json=body)
        except httpx.HTTPError as error:
            why = repr(error)
        else:
            if answer.is_success:
                return
            why = answer.text
        await asyncio.sleep(PAUSE_SECONDS)
    raise ConfigurationError(f"the Restate at {admin} does not take the agent: {why}")


async def _free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port

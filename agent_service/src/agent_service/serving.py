"""Serves agents as one Restate endpoint, and stops without losing a turn."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent_service import garbage
from agent_service.errors import ConfigurationError
from agent_service.settings import Settings, provide_gemini_key

if TYPE_CHECKING:
    from google.adk.artifacts.base_artifact_service import BaseArtifactService
    from google.adk.memory.base_memory_service import BaseMemoryService
    from google.adk.models.base_llm import BaseLlm
    from hypercorn.config import Config

    from agent_service.durable.agents import Served

logger = logging.getLogger(__name__)

# Restate multiplexes all turns of a pod over few connections and keeps those for good.
MOST_STREAMS = 10_000
MOST_REQUESTS = 2**31
KEEP_ALIVE_SECONDS = 3_600.0


def _check_model(model: BaseLlm) -> str:
    """Returns where a model's calls go; refuses one without credentials."""
    from google.adk.models.google_llm import Gemini

    own_client = isinstance(model, Gemini) and (model.client or model.client_kwargs)
    if isinstance(model, Gemini) and not own_client:
        return f"{model.model} at {provide_gemini_key()}"
    return model.model


def build_app(
    agents: Sequence[Served],
    settings: Settings,
    memory_service: BaseMemoryService | None = None,
    artifact_service: BaseArtifactService | None = None,
) -> Any:
    """Makes the ASGI app that serves ``agents`` to Restate; see ``serve``.

    Raises:
        ConfigurationError: no agent, two of one name, a model without credentials, or a store or
            service that can't be used.
    """
    from agent_service.durable.agents import models_of
    from agent_service.durable.eager import with_sent_state
    from agent_service.durable.keeping import Chosen
    from agent_service.durable.manifest import keep_short
    from agent_service.durable.objects import agent_objects
    from agent_service.trust import trusting

    if not agents:
        raise ConfigurationError("no agent to serve: name at least one")
    names = [agent.name for agent in agents]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"two agents have the name {', '.join(twice)}; names must differ")
    for agent in agents:
        models = sorted({_check_model(model) for model in models_of(agent)})
        logger.info("agent", extra={"fields": {"agent": agent.name, "models": models}})
    # One for all agents of the process; it lets those that wait go on in the order they came.
    most = settings.model_concurrency
    slot = asyncio.Semaphore(most) if most else None
    chosen = Chosen.by(settings, memory_service, artifact_service)
    services = [one for agent in agents for one in agent_objects(agent, settings, slot, chosen)]
    keep_short(services)
    return with_sent_state(trusting(services, settings))


def server_config(settings: Settings) -> Config:
    """Returns hypercorn's configuration; it speaks HTTP/1.1 and h2c on one port."""
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"0.0.0.0:{settings.port}"]
    config.h2_max_concurrent_streams = MOST_STREAMS
    config.keep_alive_max_requests = MOST_REQUESTS
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.graceful_timeout = settings.graceful_timeout
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    return config


def with_lifespan(app: Any) -> Any:
    """Answers the server's start and stop events, which the SDK's app takes for an error."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    return wrapped


async def _serve(app: Any, agents: Sequence[Served], settings: Settings, started: float) -> None:
    from hypercorn.asyncio import serve as hypercorn_serve
    from restate.server import install_shutdown_hook

    from agent_service.connections import tune_connections
    from agent_service.durable.agents import models_of
    from agent_service.durable.models import journaled
    from agent_service.readiness import Readiness, with_probes
    from agent_service.telemetry.watching import watch
    from agent_service.warmup import warm_up

    readiness = None
    if settings.readiness_model:
        # The twins, which turns call: so their clients are made and connected before the first.
        readiness = Readiness(journaled(one) for agent in agents for one in models_of(agent))
    asking = asyncio.create_task(readiness.watch()) if readiness is not None else None
    stop = asyncio.Event()

    def on_stop() -> None:
        logger.info("stopping", extra={"fields": {"gracefulSeconds": settings.graceful_timeout}})
        stop.set()

    # Taken through the SDK, which would replace a handler of ours on the first request.
    for signum in (signal.SIGTERM, signal.SIGINT):
        install_shutdown_hook(asyncio.get_running_loop(), on_stop, signum)

    async def wait_for_stop() -> None:
        await stop.wait()

    tune_connections()
    await warm_up()
    garbage.begin()
    fields = {
        "port": settings.port,
        "revision": settings.revision,
        "requestsChecked": bool(settings.identity_keys),
        "startSeconds": round(time.monotonic() - started, 3),
    }
    # After the turn that warms up, which is nobody's to see.
    stop_watching = watch([agent.name for agent in agents], settings)
    logger.info("serving", extra={"fields": fields})
    await hypercorn_serve(
        with_lifespan(with_probes(app, readiness)),
        server_config(settings),
        shutdown_trigger=wait_for_stop,
    )
    if asking is not None:
        asking.cancel()
    await asyncio.to_thread(stop_watching)
    logger.info("stopped")


def serve(
    *agents: Served,
    settings: Settings | None = None,
    memory_service: BaseMemoryService | None = None,
    artifact_service: BaseArtifactService | None = None,
) -> None:
    """Serves agents until SIGTERM or SIGINT; turns under way may end first.

    Each agent becomes a virtual object of its name, with one session for each key. ``/health``
    answers 200 once the models have answered, and ``/live`` always.

    Args:
        agents: ADK agents, workflows or apps.
        settings: how to serve; from the environment by default.
        memory_service: an own one, for all agents; each call to it in a turn is a journaled step.
        artifact_service: an own one, likewise.

    Raises:
        ConfigurationError: it can't start like this; the message says what to change.
    """
    started = time.monotonic()
    chosen = settings or Settings.from_env()
    # Prompts and answers belong to the user, not to whoever collects traces.
    os.environ.setdefault("ADK_CAPTURE_MESSAGE_CONTENT_IN_SPANS", "false")
    app = build_app(agents, chosen, memory_service, artifact_service)
    asyncio.run(_serve(app, agents, chosen, started))

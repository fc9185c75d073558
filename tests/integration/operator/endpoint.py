"""A small Restate endpoint, made to measure: which services, how they wait or fail."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count

import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

from hack.restate import free_ports
from tests.support.ports import listening

HOUR = timedelta(hours=1)


def keyed(
    name: str, *, attempts: int | None = None, again: timedelta = HOUR
) -> restate.VirtualObject:
    """A virtual object whose handlers wait in the ways that matter to a drain.

    A second try comes after an hour, so that whatever goes on was resumed; with ``attempts``,
    Restate pauses an invocation after so many.
    """
    policy = restate.InvocationRetryPolicy(
        initial_interval=again,
        exponentiation_factor=1.0,
        max_attempts=attempts,
        on_max_attempts="pause",
    )
    tries = count(1)
    service = restate.VirtualObject(name, invocation_retry_policy=policy)

    @service.handler()
    async def quick(ctx: restate.ObjectContext) -> str:
        return "done"

    @service.handler()
    async def wait_after_a_step(ctx: restate.ObjectContext) -> str:
        """Pinned: it has a journal before it waits."""
        await ctx.run_typed("step", lambda: "made")
        awakeable, answer = ctx.awakeable(type_hint=str)
        ctx.set("awakeable", awakeable)
        return await answer

    @service.handler()
    async def wait_at_once(ctx: restate.ObjectContext) -> str:
        """Not pinned: an awakeable alone is no journal."""
        _, answer = ctx.awakeable(type_hint=str)
        return await answer

    @service.handler()
    async def fail(ctx: restate.ObjectContext) -> str:
        await ctx.run_typed("step", lambda: "made")
        raise RuntimeError("not this time")

    @service.handler()
    async def fail_slowly(ctx: restate.ObjectContext) -> str:
        await ctx.run_typed("step", lambda: "made")
        await asyncio.sleep(0.3)
        raise RuntimeError("not this time")

    @service.handler()
    async def recover(ctx: restate.ObjectContext) -> str:
        """Twelve tries, and the last one gets on and takes long."""
        if next(tries) < 12:
            raise RuntimeError("not this time")
        await ctx.run_typed("step", lambda: "made")
        await asyncio.sleep(60)
        return "done"

    return service


def plain(name: str) -> restate.Service:
    """A service that is no virtual object."""
    service = restate.Service(name)

    @service.handler()
    async def quick(ctx: restate.Context) -> str:
        return "done"

    return service


@asynccontextmanager
async def serving(
    *services: restate.VirtualObject | restate.Service,
    port: int = 0,
    keys: Sequence[str] = (),
) -> AsyncIterator[str]:
    """Serve them, on a free port unless one is given; the value is the endpoint's address."""
    port = port or free_ports(1)[0]
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = None
    config.graceful_timeout = 0.2
    stop = asyncio.Event()
    app = restate.app(services, identity_keys=list(keys))
    task = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    try:
        await listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

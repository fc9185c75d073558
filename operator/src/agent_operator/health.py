"""``/healthz``, ``/readyz`` and ``/metrics`` of the operator."""

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

# A look is many short requests, each with a time-out: one that takes this long hangs.
STUCK_SECONDS: Final = 300.0

Ready = Callable[[], str | None]
"""Why the operator isn't ready, or ``None``."""


async def serve(
    port: int, ready: Ready, longest_look: Callable[[], float], role: Callable[[], str]
) -> web.AppRunner:
    """Start the endpoints; ``cleanup()`` of what is returned stops them.

    ``role`` is what ``/readyz`` says where all is well: a standby is ready, too.
    """

    async def healthz(_: web.Request) -> web.Response:
        seconds = longest_look()
        if seconds > STUCK_SECONDS:
            return web.Response(status=503, text=f"a look has taken {seconds:.0f} s\n")
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        reason = ready()
        if reason:
            return web.Response(status=503, text=f"{reason}\n")
        return web.Response(text=f"{role()}\n")

    async def metrics(_: web.Request) -> web.Response:
        # In a thread: a thousand agents take a fifth of a second.
        body = await asyncio.to_thread(generate_latest)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner

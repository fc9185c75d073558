"""What a pod runs that answers for hundreds of agents; only its source is used, in that pod.

Stub pods run nothing, so all of them have this pod's address. It reads from the address that it was
called at (``<agent>-<hash>.<namespace>.svc...``) which agent is meant, and serves one service of
that agent's name: each AgentDeployment must have a service of its own.
"""

import asyncio
import functools
from typing import Any

import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

PORT = 9080


@functools.cache
def app_of(agent: str) -> Any:
    """The Restate endpoint of one agent."""
    service = restate.VirtualObject(agent)

    @service.handler()
    async def turn(ctx: restate.ObjectContext) -> str:
        return agent

    return restate.app([service])


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Hand a request over to the agent that it is for."""
    if scope["type"] != "http":
        return
    headers = dict(scope["headers"])
    host = headers.get(b"host") or headers.get(b":authority") or b"nobody-0"
    revision = host.decode().split(".")[0].split(":")[0]
    await app_of(revision.rpartition("-")[0])(scope, receive, send)


def main() -> None:
    """Serve until told to end."""
    config = Config()
    config.bind = [f"0.0.0.0:{PORT}"]
    asyncio.run(serve(answer, config))


if __name__ == "__main__":
    main()

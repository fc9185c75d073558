"""Connections end when their client ends them.

Once a client has closed a connection, hypercorn (0.18) still waits for the connection's keep-alive
timer before it closes its side. The timer is long here, for Restate's sake, and each probe of a pod
makes a connection of its own: hundreds of them would be held at any time.
"""

from __future__ import annotations

from typing import Any, Final

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Event, Updated

_PATCHED: Final = "_agent_service_patched"


def end_with_client() -> None:
    """Makes hypercorn's keep-alive timers stop where the client is gone, in all of this process."""
    read, send = TCPServer._read_data, TCPServer.protocol_send
    if hasattr(read, _PATCHED):
        return

    async def read_to_the_end(server: Any) -> None:
        await read(server)
        await server.idle_task.stop()

    async def send_without_timer(server: Any, event: Event) -> None:
        if isinstance(event, Updated) and server.reader.at_eof():
            await server.idle_task.stop()
        else:
            await send(server, event)

    setattr(read_to_the_end, _PATCHED, True)
    TCPServer._read_data = read_to_the_end  # type: ignore[method-assign,assignment]
    TCPServer.protocol_send = send_without_timer  # type: ignore[method-assign,assignment]

"""Connections as Restate needs them; hypercorn (0.18) has no settings for it.

- **They end when their client ends them.** Once a client has closed a connection, hypercorn still
  waits for the connection's keep-alive timer before it closes its side. The timer is long here, for
  Restate's sake, and each probe of a pod makes a connection of its own: hundreds of them would be
  held at any time.
- **HTTP/2 windows are wide.** Restate sends a session along with its turn. HTTP/2 begins with
  64 KiB for all streams of a connection together, in frames of 16 KiB: a session of 450 KB takes
  seven round trips, and longer beside others.
"""

from __future__ import annotations

from typing import Any, Final

from h2.settings import SettingCodes
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Event, Updated
from hypercorn.protocol.h2 import H2Protocol

FRAME_BYTES: Final = 2**20
STREAM_BYTES: Final = 4 * 2**20
CONNECTION_BYTES: Final = 16 * 2**20
_PATCHED: Final = "_agent_service_patched"


def tune_connections() -> None:
    """Makes all of this process's hypercorn connections such."""
    if hasattr(H2Protocol.initiate, _PATCHED):
        return
    _end_with_client()
    _widen_windows()
    setattr(H2Protocol.initiate, _PATCHED, True)


def _end_with_client() -> None:
    read, send = TCPServer._read_data, TCPServer.protocol_send

    async def read_to_the_end(server: Any) -> None:
        await read(server)
        await server.idle_task.stop()

    async def send_without_timer(server: Any, event: Event) -> None:
        if isinstance(event, Updated) and server.reader.at_eof():
            await server.idle_task.stop()
        else:
            await send(server, event)

    TCPServer._read_data = read_to_the_end  # type: ignore[method-assign,assignment]
    TCPServer.protocol_send = send_without_timer  # type: ignore[method-assign,assignment]


def _widen_windows() -> None:
    begin = H2Protocol.initiate

    async def begin_wide(protocol: Any, *args: Any, **kwargs: Any) -> None:
        await begin(protocol, *args, **kwargs)
        connection = protocol.connection
        sizes = {
            SettingCodes.INITIAL_WINDOW_SIZE: STREAM_BYTES,
            SettingCodes.MAX_FRAME_SIZE: FRAME_BYTES,
        }
        connection.update_settings(sizes)
        connection.increment_flow_control_window(
            CONNECTION_BYTES - connection.inbound_flow_control_window
        )
        await protocol._flush()

    H2Protocol.initiate = begin_wide  # type: ignore[method-assign,assignment]

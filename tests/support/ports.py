"""Waiting for what listens on a port of this machine."""

import asyncio


async def listening(port: int) -> None:
    """Wait until somebody takes connections."""
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise AssertionError(f"nothing listens on port {port}")

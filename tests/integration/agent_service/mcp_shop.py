"""A shop as an MCP server; notes in TEST_TRACE what it is asked. With a port: over HTTP."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from mcp.server.mcpserver import MCPServer


def note(line: str) -> None:
    with Path(os.environ["TEST_TRACE"]).open("a") as trace:
        trace.write(f"{line}\n")


class Shop(MCPServer):
    """Notes each listing."""

    async def list_tools(self):  # type: ignore[no-untyped-def]
        note("list")
        return await super().list_tools()


shop = Shop("shop")


@shop.tool()
def order(article: str) -> str:
    """Orders an article."""
    note(f"order {article}")
    return f"{article} ordered"


@shop.tool()
def refuse(article: str) -> str:
    """Is never of use."""
    note(f"refuse {article}")
    # Without an answer, as when the server dies.
    os._exit(1)


@shop.tool()
def ponder(article: str) -> str:
    """Thinks for a while."""
    note(f"ponder {article}")
    time.sleep(2)
    return f"{article} pondered"


if os.environ.get("TEST_MCP_MORE"):
    shop.tool(name="another")(order)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        shop.run("streamable-http", port=int(sys.argv[1]))
    else:
        shop.run("stdio")

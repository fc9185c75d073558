"""A shop as an MCP server over HTTP: ``python -m kit.shop``."""

from mcp.server.mcpserver import MCPServer

from .telling import go_on, note

PORT = 8080


class Shop(MCPServer):
    """Notes each listing."""

    async def list_tools(self):  # type: ignore[no-untyped-def]
        await note("list")
        return await super().list_tools()


shop = Shop("shop")


@shop.tool()
async def order(article: str) -> str:
    """Orders an article."""
    await note(f"order {article}")
    return f"{article} ordered"


@shop.tool()
async def ponder(article: str) -> str:
    """Thinks about an article until it is told to go on."""
    await note(f"ponder {article}")
    await go_on(article)
    return f"{article} pondered"


if __name__ == "__main__":
    shop.run("streamable-http", host="0.0.0.0", port=PORT)

"""An agent with the tools of the shop."""

from google.adk.agents import Agent
from google.adk.tools.mcp_tool.mcp_session_manager import StreamableHTTPConnectionParams
from google.adk.tools.mcp_tool.mcp_toolset import McpToolset

from .agents import MODEL

agent = Agent(
    name="Buyer",
    model=MODEL,
    tools=[
        McpToolset(connection_params=StreamableHTTPConnectionParams(url="http://shop:8080/mcp"))
    ],
)

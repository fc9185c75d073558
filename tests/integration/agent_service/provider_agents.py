"""Agents with tools of MCP servers and with models of other libraries."""

from __future__ import annotations

import os
import sys
from datetime import timedelta

from google.adk.agents import Agent
from google.adk.models.lite_llm import LiteLlm
from google.adk.tools.mcp_tool.mcp_session_manager import (
    StdioConnectionParams,
    StreamableHTTPConnectionParams,
)
from google.adk.tools.mcp_tool.mcp_toolset import McpToolset
from mcp import StdioServerParameters

from agent_service import mcp_retries
from tests.integration.agent_service.agents import MODEL, measure

SHOP = StdioConnectionParams(
    server_params=StdioServerParameters(
        command=sys.executable,
        args=["-m", "tests.integration.agent_service.mcp_shop"],
        env=dict(os.environ),
    ),
    timeout=30,
)

stdio = Agent(
    name="StdioTools",
    model=MODEL,
    tools=[McpToolset(connection_params=SHOP)],
)
# A server that dies at each call of one of its tools.
trying = Agent(
    name="TryingTools",
    model=MODEL,
    tools=[
        mcp_retries(
            McpToolset(connection_params=SHOP),
            max_attempts=2,
            first_pause=timedelta(milliseconds=10),
        )
    ],
)
over_http = Agent(
    name="HttpTools",
    model=MODEL,
    tools=[
        McpToolset(
            connection_params=StreamableHTTPConnectionParams(url=os.environ["TEST_MCP_URL"]),
            tool_list_cache_ttl_seconds=3_600,
        )
    ],
)
litellm = Agent(
    name="LiteAgent",
    model=LiteLlm(
        model="gemini/scripted",
        api_base=f"{os.environ['GOOGLE_GEMINI_BASE_URL']}/v1beta",
        api_key="scripted",
    ),
    tools=[measure],
)
# OpenAI's API, which most providers have; its client tries again by itself unless told not to.
openai = Agent(
    name="OpenAgent",
    model=LiteLlm(
        model="openai/scripted",
        api_base=f"{os.environ['GOOGLE_GEMINI_BASE_URL']}/v1",
        api_key="scripted",
        num_retries=0,
    ),
    tools=[measure],
)

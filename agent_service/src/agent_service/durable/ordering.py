"""Lets what ADK runs side by side enter as branches: tool calls, and agents in own tasks."""

from __future__ import annotations

from typing import Any, override

from google.adk.agents.base_agent import BaseAgent
from google.adk.agents.callback_context import CallbackContext
from google.adk.plugins.base_plugin import BasePlugin
from google.adk.tools.base_tool import BaseTool
from google.adk.tools.tool_context import ToolContext
from google.genai import types

from agent_service.durable.confirmation import confirm_first
from agent_service.durable.mcp import journal_mcp
from agent_service.durable.scope import current_turn


class OrderedBranches(BasePlugin):
    """The first thing that each tool call and each agent does is to enter (`branches.py`).

    Nothing has to be done at their end: it is the end of the *task* that ends a branch, so that a
    call which failed, was answered by another plugin or names an unknown tool can't block others.
    """

    def __init__(self) -> None:
        super().__init__(name="agent_service_ordered_branches")

    @override
    async def before_agent_callback(
        self, *, agent: BaseAgent, callback_context: CallbackContext
    ) -> types.Content | None:
        # A callback may have been the first to load them.
        journal_mcp()
        await current_turn().branches.enter()
        return None

    @override
    async def before_tool_callback(
        self, *, tool: BaseTool, tool_args: dict[str, Any], tool_context: ToolContext
    ) -> dict[str, Any] | None:
        await current_turn().branches.enter()
        await confirm_first(tool, tool_args, tool_context)
        return None

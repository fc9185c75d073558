"""Counts the calls of tools, once each."""

from __future__ import annotations

from typing import Any, override

from google.adk.plugins.base_plugin import BasePlugin
from google.adk.tools.base_tool import BaseTool
from google.adk.tools.tool_context import ToolContext

from agent_service.telemetry import metrics
from agent_service.telemetry.attempts import current_attempt


class CountedTools(BasePlugin):
    """To be in front of other plugins, which may answer in a tool's place."""

    def __init__(self) -> None:
        super().__init__(name="agent_service_counted_tools")

    @override
    async def after_tool_callback(
        self,
        *,
        tool: BaseTool,
        tool_args: dict[str, Any],
        tool_context: ToolContext,
        result: dict[str, Any],
    ) -> dict[str, Any] | None:
        attempt = current_attempt()
        # A plugin or callback made a result of the error, which was counted.
        if attempt is not None and tool_context.function_call_id not in attempt.failed_tools:
            metrics.count_tool(attempt, tool.name, "ok")
        return None

    @override
    async def on_tool_error_callback(
        self,
        *,
        tool: BaseTool,
        tool_args: dict[str, Any],
        tool_context: ToolContext,
        error: Exception,
    ) -> dict[str, Any] | None:
        attempt = current_attempt()
        # ADK also tells of calls that are cancelled, as those of a turn that suspends are.
        if attempt is None or not isinstance(error, Exception):
            return None
        if tool_context.function_call_id:
            attempt.failed_tools.add(tool_context.function_call_id)
        # ADK's stand-in for a name that the model made up: it must not become a label.
        known = None if type(tool) is BaseTool else tool.name
        metrics.count_tool(attempt, known, "error")
        return None

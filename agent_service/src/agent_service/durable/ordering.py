"""Tools of one model response run one after the other, in the model's order.

ADK starts them in parallel. Each may write to the journal, and a replay has to meet the entries
in the order in which they were written.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any, override

from google.adk.plugins.base_plugin import BasePlugin
from google.adk.tools.base_tool import BaseTool
from google.adk.tools.tool_context import ToolContext

from agent_service.durable.scope import current_turn

# The tool call inside of which we are: its own calls (an AgentTool's) queue apart from its
# siblings, which wait for it.
_enclosing: ContextVar[asyncio.Task[Any] | None] = ContextVar("enclosing_tool_call", default=None)


class OrderedTools(BasePlugin):
    """Makes each tool call wait until the one that started before it has ended, however it ends.

    ADK starts a task for each call, in the model's order, and this callback is the first thing
    that each one does. It is the end of the *task* that lets the next one go, not a callback: a
    call that failed, was answered by another plugin or names an unknown tool can't block others.
    """

    def __init__(self) -> None:
        super().__init__(name="agent_service_ordered_tools")

    @override
    async def before_tool_callback(
        self, *, tool: BaseTool, tool_args: dict[str, Any], tool_context: ToolContext
    ) -> dict[str, Any] | None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a tool call runs outside of a task")
        last_calls = current_turn().last_calls
        before = last_calls.get(_enclosing.get())
        last_calls[_enclosing.get()] = task
        _enclosing.set(task)
        if before is not None and before is not task:
            await asyncio.wait([before])
            if before.cancelled() or before.exception() is not None:
                # ADK is about to cancel this one too; it must not write to the journal before.
                raise asyncio.CancelledError
        return None

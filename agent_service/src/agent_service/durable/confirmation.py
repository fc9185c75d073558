"""ADK's own tool confirmation, answered by people like any other approval.

With plain ADK a tool that needs confirmation ends the run, and the caller has to send the answer as
a function response of a new one. In a turn, the tool's call waits for an approval instead.
"""

from __future__ import annotations

import json
from typing import Any, Final

from google.adk.tools.base_tool import BaseTool
from google.adk.tools.function_tool import FunctionTool
from google.adk.tools.tool_confirmation import ToolConfirmation
from google.adk.tools.tool_context import ToolContext

from agent_service.durable.approvals import approval
from agent_service.durable.scope import in_step, in_turn

_MARK: Final = "_agent_service_asks"


async def confirm_first(tool: BaseTool, args: dict[str, Any], tool_context: ToolContext) -> None:
    """Asks a person before a call of a tool that was made with ``require_confirmation``."""
    if tool_context.tool_confirmation is not None:
        return
    if await tool.check_require_confirmation(args, tool_context) is True:
        asked = ToolConfirmation()
        tool_context.tool_confirmation = await _confirmation(tool, args, asked)


def ask_for_confirmations() -> None:
    """Makes function tools that ask in their body wait for a person, in turns (google-adk 2.13)."""
    plain = FunctionTool.run_async
    if hasattr(plain, _MARK):
        return

    async def run_async(
        tool: FunctionTool, *, args: dict[str, Any], tool_context: ToolContext
    ) -> Any:
        result = await plain(tool, args=args, tool_context=tool_context)
        while in_turn() and not in_step() and (asked := _request(tool_context)):
            tool_context.tool_confirmation = await _confirmation(tool, args, asked)
            # What ADK sets to end the run; it goes on.
            tool_context.actions.skip_summarization = None
            result = await plain(tool, args=args, tool_context=tool_context)
        return result

    setattr(run_async, _MARK, True)
    setattr(FunctionTool, "run_async", run_async)  # noqa: B010 - mypy


def _request(tool_context: ToolContext) -> ToolConfirmation | None:
    call = tool_context.function_call_id
    return tool_context.actions.requested_tool_confirmations.pop(call, None) if call else None


async def _confirmation(
    tool: BaseTool, args: dict[str, Any], asked: ToolConfirmation
) -> ToolConfirmation:
    wanted = "" if asked.payload is None else f"Asked for: {_text(asked.payload)}"
    decision = await approval(
        title=f"{tool.name}({', '.join(f'{key}={_text(value)}' for key, value in args.items())})",
        details="\n".join(part for part in (asked.hint, wanted) if part),
    )
    payload = asked.payload if decision.data is None else decision.data
    return ToolConfirmation(hint=asked.hint, confirmed=decision.approved, payload=payload)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)

"""MCP tools as journaled steps: what a server lists, and what each call of a tool gives.

The steps are put into ADK's own classes (google-adk 2.13), so that every ``McpToolset`` is durable
as it is. They are patched only once ADK has loaded them: without the extra ``mcp`` they can't be.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from pydantic import BaseModel
from restate import RunOptions

from agent_service.durable.failures import final_status
from agent_service.durable.scope import current_turn, enter_step, in_step, in_turn
from agent_service.durable.tools import tool_step

if TYPE_CHECKING:
    from google.adk.tools.mcp_tool.mcp_toolset import McpToolset
    from google.adk.tools.tool_context import ToolContext

_TOOLSET: Final = "google.adk.tools.mcp_tool.mcp_toolset"
_PATCHED: Final = "_agent_service_journaled"
# JSON-RPC's method not found, invalid params and internal error: another try meets them again.
_FINAL_CODES: Final = frozenset({-32601, -32602, -32603})

# By the session manager, which a toolset shares with its tools.
_retries: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()
_failed: ContextVar[list[Exception] | None] = ContextVar("agent_service_mcp_failed", default=None)


class ServerAnswer(BaseModel):
    """What the journal keeps of a question to an MCP server.

    Attributes:
        kind: the class of ``mcp.types`` that the answer is.
        value: the answer.
    """

    kind: str
    value: dict[str, Any]


def mcp_retries(
    toolset: McpToolset,
    *,
    max_attempts: int | None = None,
    max_duration: timedelta | None = None,
    first_pause: timedelta | None = None,
    longest_pause: timedelta | None = None,
) -> McpToolset:
    """Says how often calls to an MCP server that fail are tried again; without it, until they work.

    Args:
        toolset: whose calls; it is changed and returned.
        max_attempts: how often a call is tried before the turn fails.
        max_duration: how long it is tried, likewise.
        first_pause: between the first two attempts; it doubles from one to the next.
        longest_pause: between two attempts.
    """
    _retries[toolset._mcp_session_manager] = {
        "max_attempts": max_attempts,
        "max_duration": max_duration,
        "initial_retry_interval": first_pause,
        "max_retry_interval": longest_pause,
    }
    return toolset


def journal_mcp() -> None:
    """Makes every ``McpToolset`` of this process durable inside of turns, if there can be one."""
    module = sys.modules.get(_TOOLSET)
    if module is None or hasattr(module, _PATCHED):
        return
    toolset, tool = module.McpToolset, module.McpTool
    toolset._execute_with_session = _asking(toolset._execute_with_session)
    toolset._tool_list_cache_key = _uncached(toolset._tool_list_cache_key)
    tool.run_async = _calling(tool.run_async)
    tool._run_async_impl = _noting(tool._run_async_impl)
    setattr(module, _PATCHED, True)


def _asking(plain: Callable[..., Awaitable[BaseModel]]) -> Callable[..., Awaitable[BaseModel]]:
    async def ask(
        toolset: Any, question: Any, error_message: str, *args: Any, **kwargs: Any
    ) -> BaseModel:
        if not in_turn() or in_step():
            return await plain(toolset, question, error_message, *args, **kwargs)
        turn = current_turn()
        await turn.branches.enter()
        # ADK's cache lasts as long as the process; a replay in another one would ask again.
        toolset._use_invocation_cache = False
        key = (id(toolset), error_message)
        known: BaseModel | None = turn.listed.get(key)
        if known is not None:
            return known

        async def step() -> ServerAnswer:
            enter_step()
            answer = await plain(toolset, question, error_message, *args, **kwargs)
            value = answer.model_dump(mode="json", by_alias=True, exclude_none=True)
            return ServerAnswer(kind=type(answer).__name__, value=value)

        name = f"MCP: {error_message.removeprefix('Failed to ')}"
        options = _retries.get(toolset._mcp_session_manager, {})
        kept = await turn.context.run_typed(
            name, step, RunOptions(type_hint=ServerAnswer, **options)
        )
        answer = _read(kept)
        if kept.kind == "ListToolsResult":
            # Once a turn: the model must not see tools come and go between its calls.
            turn.listed[key] = answer
        return answer

    return ask


def _read(kept: ServerAnswer) -> BaseModel:
    from mcp import types

    kind: type[BaseModel] = getattr(types, kept.kind)
    return kind.model_validate(kept.value)


def _uncached(plain: Callable[..., str | None]) -> Callable[..., str | None]:
    def key(toolset: Any, headers: dict[str, str]) -> str | None:
        return None if in_turn() else plain(toolset, headers)

    return key


def _calling(plain: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def run_async(tool: Any, *, args: dict[str, Any], tool_context: ToolContext) -> Any:
        call = partial(_call, plain, tool, args, tool_context)
        if not in_turn() or in_step():
            return await plain(tool, args=args, tool_context=tool_context)
        await current_turn().branches.enter()
        options = _retries.get(tool._mcp_session_manager, {})
        return await tool_step(f"MCP tool {tool.name}", call, tool_context, options)

    return run_async


async def _call(
    plain: Callable[..., Awaitable[Any]], tool: Any, args: dict[str, Any], tool_context: ToolContext
) -> Any:
    """Calls the tool; raises what another try may not meet, which ADK makes an answer of."""
    failed: list[Exception] = []
    token = _failed.set(failed)
    try:
        result = await plain(tool, args=args, tool_context=tool_context)
    finally:
        _failed.reset(token)
    if failed and not _is_final(failed[0]):
        raise failed[0]
    return result


def _noting(plain: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def run(tool: Any, **kwargs: Any) -> Any:
        try:
            return await plain(tool, **kwargs)
        except Exception as error:
            failed = _failed.get()
            if failed is not None:
                failed.append(error)
            raise

    return run


def _is_final(error: Exception) -> bool:
    code = getattr(getattr(error, "error", None), "code", None)
    return code in _FINAL_CODES or final_status(error)

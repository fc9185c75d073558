"""Plain functions as durable tools: each call is one journaled step, done once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial, wraps
from typing import Any, Final, overload

from google.adk.events.event_actions import EventActions
from google.adk.tools.tool_context import ToolContext
from pydantic import BaseModel
from pydantic_core import to_jsonable_python
from restate import RunOptions

from agent_service.durable.scope import current_turn, enter_step, in_step, in_turn
from agent_service.durable.stores import ModelSerde

# What a tool may ask of ADK besides its result; the state is put back key by key.
_ASKED: Final = tuple(name for name in EventActions.model_fields if name != "state_delta")


class ToolStep(BaseModel):
    """What the journal keeps of one call.

    Attributes:
        result: as JSON.
        actions: what the tool asked of ADK through its context: changes of the state, a transfer,
            an escalation.
    """

    result: Any = None
    actions: dict[str, Any] = {}


# Made once, where the SDK would look at the type with each call. A result may have None inside.
_STEP: Final = ModelSerde(ToolStep, keep_none=True)


@overload
def durable_tool[**P, R](function: Callable[P, R], /) -> Callable[P, Awaitable[R]]: ...


@overload
def durable_tool[**P, R](
    *,
    max_attempts: int | None = None,
    max_duration: timedelta | None = None,
    first_pause: timedelta | None = None,
    longest_pause: timedelta | None = None,
) -> Callable[[Callable[P, R]], Callable[P, Awaitable[R]]]: ...


def durable_tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    max_attempts: int | None = None,
    max_duration: timedelta | None = None,
    first_pause: timedelta | None = None,
    longest_pause: timedelta | None = None,
) -> Any:
    """Makes a function tool durable: a call that has succeeded is never made again.

    The whole body is one step, so there can be no steps in it: no ``run_typed``, no ``approval``.
    What it raises is tried again; a ``restate.TerminalError`` ends the turn. Outside of a turn (in
    a unit test, say) the function is as it was.

    Args:
        function: a plain or async function, as ADK takes them for tools.
        max_attempts: how often it is tried before the turn fails; without a limit until it works.
        max_duration: how long it is tried, likewise.
        first_pause: between the first two attempts; it doubles from one to the next.
        longest_pause: between two attempts.

    Returns:
        The tool, to be used as ``@durable_tool`` or ``@durable_tool(max_attempts=3)``.
    """
    options = {
        "max_attempts": max_attempts,
        "max_duration": max_duration,
        "initial_retry_interval": first_pause,
        "max_retry_interval": longest_pause,
    }

    def decorate(plain: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        name = f"tool {plain.__name__}"

        @wraps(plain)
        async def tool(*args: Any, **kwargs: Any) -> Any:
            call = partial(_call, plain, *args, **kwargs)
            if not in_turn() or in_step():
                return await call()
            await current_turn().branches.enter()
            return await tool_step(name, call, _context_in(args, kwargs), options)

        return tool

    return decorate if function is None else decorate(function)


async def tool_step(
    name: str,
    call: Callable[[], Awaitable[Any]],
    tool_context: ToolContext | None,
    options: dict[str, Any],
) -> Any:
    """Runs a tool's call as one step, and does to its context what the call did when it ran.

    Args:
        name: the step's.
        call: what runs once.
        tool_context: the call's, if it takes one.
        options: how it is tried again, as ``RunOptions`` has them.
    """

    async def step() -> ToolStep:
        enter_step()
        before = _asked(tool_context)
        result = to_jsonable_python(await call())
        after = _asked(tool_context)
        changed = {key: value for key, value in after.items() if before.get(key) != value}
        return ToolStep(result=result, actions=changed)

    run = current_turn().context.run_typed
    done = await run(name, step, RunOptions(serde=_STEP, **options))
    _ask_again(tool_context, done.actions)
    return done.result


async def _call(plain: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if inspect.iscoroutinefunction(plain):
        return await plain(*args, **kwargs)
    # As ADK may do: a slow one must not hold up other turns of this process.
    return await asyncio.to_thread(plain, *args, **kwargs)


def _context_in(args: tuple[Any, ...], kwargs: dict[str, Any]) -> ToolContext | None:
    given = (*args, *kwargs.values())
    return next((value for value in given if isinstance(value, ToolContext)), None)


def _asked(tool_context: ToolContext | None) -> dict[str, Any]:
    if tool_context is None:
        return {}
    return tool_context.actions.model_dump(mode="json", exclude_none=True)


def _ask_again(tool_context: ToolContext | None, actions: dict[str, Any]) -> None:
    """Repeats on a replay's context what the tool asked of ADK on the first one."""
    if tool_context is None or not actions:
        return
    for key, value in actions.get("state_delta", {}).items():
        tool_context.state[key] = value
    read = EventActions.model_validate(actions)
    for name in _ASKED:
        alias = EventActions.model_fields[name].alias or name
        if name in actions or alias in actions:
            setattr(tool_context.actions, name, getattr(read, name))

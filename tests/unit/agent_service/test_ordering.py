"""Tool calls take turns, whatever becomes of each."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from agent_service.api import Usage
from agent_service.durable import scope as scopes
from agent_service.durable.ordering import OrderedTools
from agent_service.durable.scope import Clock, TurnScope, current_turn


@pytest.fixture
def plugin() -> OrderedTools:
    return OrderedTools()


async def _call(plugin: OrderedTools, done: list[str], name: str, inner: Any = None) -> None:
    nothing = cast("Any", None)
    await plugin.before_tool_callback(tool=nothing, tool_args={}, tool_context=nothing)
    done.append(f"+{name}")
    await asyncio.sleep(0.01 if name == "a" else 0)
    if inner is not None:
        await inner()
    done.append(f"-{name}")


async def _run(plugin: OrderedTools, *calls: Any) -> None:
    turn = TurnScope(cast("Any", None), Clock(0.0), 1.0, Usage())
    token = scopes._current.set(turn)
    try:
        await asyncio.wait_for(asyncio.gather(*map(asyncio.create_task, calls)), 5)
    finally:
        scopes._current.reset(token)


async def test_one_after_the_other(plugin: OrderedTools) -> None:
    done: list[str] = []
    await _run(plugin, *(_call(plugin, done, name) for name in "abc"))
    assert done == ["+a", "-a", "+b", "-b", "+c", "-c"]


async def test_calls_inside_a_call_do_not_wait_for_it(plugin: OrderedTools) -> None:
    done: list[str] = []

    async def inner() -> None:
        await asyncio.gather(
            *(asyncio.create_task(_call(plugin, done, name)) for name in ("x", "y"))
        )

    await _run(plugin, _call(plugin, done, "a", inner), _call(plugin, done, "b"))
    assert done == ["+a", "+x", "-x", "+y", "-y", "-a", "+b", "-b"]


async def test_a_failed_call_does_not_let_the_next_begin(plugin: OrderedTools) -> None:
    done: list[str] = []

    async def fail() -> None:
        raise ValueError("broken tool")

    with pytest.raises(ValueError, match="broken tool"):
        await _run(plugin, _call(plugin, done, "a", fail), _call(plugin, done, "b"))
    assert done == ["+a"]


def test_there_is_no_turn_outside_of_one() -> None:
    with pytest.raises(RuntimeError, match="only inside an agent"):
        current_turn()

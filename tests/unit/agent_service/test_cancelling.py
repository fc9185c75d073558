from __future__ import annotations

import asyncio
from contextlib import suppress

from restate import TerminalError
from restate.server_context import LazyFuture

from agent_service.durable.cancelling import (
    TurnCancelled,
    cancellation,
    see_who_waits,
    tidying_up,
)
from agent_service.durable.failures import is_cancellation, terminal_error


async def _seen() -> bool:
    """What a wait of the SDK sees, which runs in a task of its own."""
    see_who_waits()

    async def wait() -> bool:
        await asyncio.sleep(0)
        return tidying_up()

    found: bool = await LazyFuture(wait)
    return found


def _fail(error: BaseException, cause: BaseException | None = None) -> None:
    raise error from cause


async def test_waits_in_except_and_finally_blocks_tidy_up() -> None:
    seen = []
    try:
        try:
            _fail(cancellation())
        finally:
            seen.append(await _seen())
    except TerminalError:
        seen.append(await _seen())
    assert seen == [True, True]


async def test_waits_after_it_was_caught_do_not() -> None:
    with suppress(TerminalError):
        _fail(cancellation())
    assert not await _seen()
    try:
        _fail(ValueError("something else"))
    except ValueError:
        assert not await _seen()


async def test_an_error_that_a_cancellation_led_to_counts_as_one() -> None:
    try:
        _fail(RuntimeError("wrapped"), cancellation())
    except RuntimeError:
        assert await _seen()


def test_it_ends_the_turn_as_cancelled_and_passes_broad_excepts() -> None:
    assert not issubclass(TurnCancelled, Exception)
    ended = TurnCancelled()
    ended.__cause__ = cancellation()
    final = terminal_error(ended)
    assert final is not None
    assert is_cancellation(final)
    assert not is_cancellation(TerminalError("cancelled", 400))

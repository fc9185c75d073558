"""A cancellation of a turn, which no code of the turn can swallow.

Restate's SDK raises one at whatever is awaited, as a ``TerminalError``, once. Whoever handles it,
in an ``except`` or ``finally`` block, may await more, to undo what it began. But where it was
caught and things go on as if nothing had been, the next wait raises ``TurnCancelled``, which is no
``Exception``, so that a broad ``except`` lets it through.
"""

from __future__ import annotations

import asyncio
import sys
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any, Final

from restate import TerminalError
from restate.server_context import LazyFuture

from agent_service.durable.failures import causes, is_cancellation

_MARK: Final = "_agent_service_handling"


class TurnCancelled(BaseException):
    """Ends a turn whose code goes on though it was cancelled."""


def cancellation() -> TerminalError:
    """What the caller of a cancelled turn gets, in the words of Restate's SDK."""
    return TerminalError("cancelled", HTTPStatus.CONFLICT)


# What the code that awaits a future of the SDK handles meanwhile.
_handled: ContextVar[BaseException | None] = ContextVar("agent_service_handled", default=None)


def tidying_up() -> bool:
    """Whether the code that waits does so while it handles the end of its work."""
    error = sys.exception() or _handled.get()
    if error is None:
        return False
    # asyncio's is what ends a task when one beside it was cancelled.
    endings = (asyncio.CancelledError, TurnCancelled)
    return any(isinstance(cause, endings) or is_cancellation(cause) for cause in causes(error))


def see_who_waits() -> None:
    """Makes ``tidying_up`` see through the tasks in which the SDK awaits its futures (1.3)."""
    plain = LazyFuture.get
    if hasattr(plain, _MARK):
        return

    async def get(future: LazyFuture[Any]) -> Any:
        # The task that this makes takes a copy of the context, so it is told here.
        token = _handled.set(sys.exception())
        try:
            waiting = plain(future)
            return await waiting
        finally:
            _handled.reset(token)

    setattr(get, _MARK, True)
    setattr(LazyFuture, "get", get)  # noqa: B010 - mypy

"""Suspending a turn at once where it is known to wait for long.

Restate asks an attempt to suspend only after the inactivity timeout, and that timeout can't be
short: it would also end the connection during every slow model call, so that each one costs
another attempt and none can finish after SIGTERM.
"""

from __future__ import annotations

from collections.abc import Awaitable

from restate import ObjectContext
from restate.server_context import ServerDurableFuture, ServerInvocationContext


def sleep_until(context: ObjectContext, waiting: Awaitable[object]) -> None:
    """Makes the next await of ``waiting`` suspend the turn now, unless it has its value.

    The state machine is told that nothing more comes in on this attempt, as it is by Restate
    after the inactivity timeout. Restate starts a new attempt when the value is there.

    Args:
        context: the turn's context.
        waiting: the only thing that the turn is about to wait for.
    """
    if not isinstance(context, ServerInvocationContext):
        return
    if isinstance(waiting, ServerDurableFuture) and not waiting.is_completed():  # type: ignore[no-untyped-call]
        context.vm.notify_input_closed()  # type: ignore[no-untyped-call]

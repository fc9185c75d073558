"""Suspending a turn at once where it is known to wait for long.

Restate asks an attempt to suspend only after the inactivity timeout, and that timeout can't be
short: it would also end the connection during every slow model call, so that each one costs
another attempt and none can finish after SIGTERM.
"""

from __future__ import annotations

from collections.abc import Awaitable

from restate.server_context import ServerDurableFuture

from agent_service.durable.branches import Branches


def sleep_until(branches: Branches, waiting: Awaitable[object]) -> None:
    """Says that ``waiting`` may last for days: the turn suspends once nothing else is under way.

    The state machine is then told that nothing more comes in on this attempt, as it is by Restate
    after the inactivity timeout. Restate starts a new attempt when a value is there.

    Args:
        branches: the turn's.
        waiting: what a branch of it is about to wait for.
    """
    if isinstance(waiting, ServerDurableFuture):
        branches.be_patient(waiting.handle)

"""One attempt of a turn: what the model, the tools and the session share while it runs.

ADK asks its platform providers for ids and times. Here both come from the journal, so that a
replay makes the very same events.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

import restate
from google.adk.agents.invocation_context import LlmCallsLimitExceededError
from google.adk.platform import time as platform_time
from google.adk.platform import uuid as platform_uuid
from restate import TerminalError

from agent_service.api import PendingApproval, Usage
from agent_service.durable.branches import Branches
from agent_service.durable.identity import SessionId
from agent_service.telemetry.attempts import current_attempt

if TYPE_CHECKING:
    from agent_service.durable.children import Child
    from agent_service.durable.publishing import TurnStream

# Distinct times keep the order of events where only their times are compared.
_TICK = 1e-5


class Clock:
    """The time as the journal knows it, in seconds since 1970; it moves at journaled steps."""

    def __init__(self, start: float) -> None:
        self.start = start
        self._now = start

    def now(self) -> float:
        """Returns a time later than that of any call before."""
        self._now += _TICK
        return self._now

    def last(self) -> float:
        """Returns the time last given, or taken over since."""
        return self._now

    def advance(self, to: float) -> None:
        """Takes over a later time that came out of the journal."""
        self._now = max(self._now, to)


@dataclass
class TurnScope:
    """What one attempt of a turn shares.

    Attributes:
        context: Restate's context of the turn.
        clock: the journal's time.
        model_timeout: seconds a model call may take.
        most_model_calls: how many it may make; 0: any number.
        branches: what runs side by side in it.
        usage: tokens so far.
        model_calls: how many model calls have begun.
        pending: the approvals that it waits for, by id, oldest first.
        number: the turn's in its session, from 1; 0 until it is known.
        agent: the agent that takes the turn.
        identity: the session's.
        created_at: when the session was made, in seconds since 1970; 0 until it is known.
        calls: how many calls of other agents it has made.
        waits_for: where those of them were made that have not ended.
        model_slot: what a model call holds while it is under way.
        stream: where the text of its model calls is published; ``None``: nowhere.
        listed: what MCP servers have listed in this turn, by toolset and question.
    """

    context: restate.ObjectContext
    clock: Clock
    model_timeout: float
    branches: Branches
    agent: str
    identity: SessionId
    most_model_calls: int = 0
    usage: Usage = field(default_factory=Usage)
    model_calls: int = 0
    pending: dict[str, PendingApproval] = field(default_factory=dict)
    number: int = 0
    created_at: float = 0.0
    calls: int = 0
    waits_for: list[Child] = field(default_factory=list)
    model_slot: AbstractAsyncContextManager[None] = field(default_factory=nullcontext)
    stream: TurnStream | None = None
    listed: dict[tuple[int, str], Any] = field(default_factory=dict)

    def begin_model_call(self) -> None:
        """Counts a model call.

        ADK's own limit counts the calls of each runner alone, and an `AgentTool` has its own one.

        Raises:
            LlmCallsLimitExceededError: the turn has made too many.
        """
        self.model_calls += 1
        if 0 < self.most_model_calls < self.model_calls:
            raise LlmCallsLimitExceededError(
                f"Max number of llm calls limit of `{self.most_model_calls}` exceeded"
            )

    @property
    def replaying(self) -> bool:
        """Whether what runs here repeats what an earlier attempt has done."""
        attempt = current_attempt()
        return attempt is not None and attempt.replaying


_step: ContextVar[bool] = ContextVar("agent_service_step", default=False)
_current: ContextVar[TurnScope | None] = ContextVar("agent_service_turn", default=None)


def current_turn() -> TurnScope:
    """Returns the turn that runs here.

    Raises:
        RuntimeError: called outside of a turn of an agent served by this package.
    """
    scope = _current.get()
    if scope is None:
        raise RuntimeError(
            "there is no turn here: this works only inside an agent that agent_service serves"
        )
    return scope


def in_turn() -> bool:
    """Whether a turn of an agent served by this package runs here."""
    return _current.get() is not None


@contextmanager
def turn_scope(scope: TurnScope) -> Iterator[TurnScope]:
    """Makes ``scope`` the current turn, and pins ADK's ids and times to the journal."""
    # Seeded once, so that ids taken here don't shift those that tools take from the context.
    ids = Random(scope.context.random().getrandbits(64))  # noqa: S311
    token = _current.set(scope)
    if (attempt := current_attempt()) is not None:
        attempt.scope = scope
    platform_uuid.set_id_provider(lambda: str(UUID(int=ids.getrandbits(128), version=4)))
    platform_time.set_time_provider(scope.clock.now)
    try:
        yield scope
    finally:
        _use_real_ids_and_time()
        _current.reset(token)


async def entered_turn(what: str) -> TurnScope:
    """Returns the turn that runs here, for work that adds to its journal.

    Args:
        what: the work, for the error.

    Raises:
        restate.TerminalError: in the body of a step, nothing can be added.
    """
    if in_step():
        raise TerminalError(
            f"a step can't {what}: do so in the tool around it, and not in a durable_tool",
            HTTPStatus.INTERNAL_SERVER_ERROR,
        )
    turn = current_turn()
    await turn.branches.enter()
    return turn


def in_step() -> bool:
    """Whether the body of a journaled step runs here, where nothing else can be journaled."""
    return _step.get()


def enter_step() -> None:
    """For the body of a journaled step: it won't run again, so it must not use up pinned ids."""
    _step.set(True)
    _use_real_ids_and_time()


def _use_real_ids_and_time() -> None:
    platform_uuid.reset_id_provider()
    platform_time.reset_time_provider()

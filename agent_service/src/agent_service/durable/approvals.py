"""Asking a person, and waiting for the answer for as long as it takes, at no cost.

A pending approval is an awakeable of Restate plus an entry in the session's state that says what
it is about; the answer stays in the state, as a record of who decided what and when.
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Protocol

import restate
from pydantic import BaseModel, ValidationError
from restate import TerminalError
from restate.serde import BytesSerde

from agent_service.api import (
    AnswerReceipt,
    ApprovalAnswer,
    Decision,
    PendingApproval,
    PendingApprovals,
)
from agent_service.durable.scope import TurnScope, current_turn
from agent_service.durable.sessions import ModelSerde, Reader, Store
from agent_service.durable.suspension import sleep_until

PENDING_KEY = "approvals"
ANSWERED_PREFIX = "answered/"

__all__ = ["Decision", "answer", "approval", "drop_stale", "pending"]


class AnsweredApproval(BaseModel):
    """What stays on record of an approval."""

    request: PendingApproval
    decision: Decision


_PENDING = ModelSerde(PendingApprovals)
_ANSWERED = ModelSerde(AnsweredApproval)


class Resolver(Reader, Protocol):
    """What answering needs of Restate."""

    def resolve_awakeable(self, name: str, value: bytes, serde: BytesSerde) -> None:
        """Hands a value to whoever waits for the awakeable."""


async def approval(*, title: str, details: str = "") -> Decision:
    """Asks a person to allow something, and waits for the answer.

    Call it from a tool. While it waits, the turn is suspended: it needs no process, and goes on
    wherever the agent runs when the answer comes, be it days later.

    Args:
        title: what is asked, in one line.
        details: what the person needs to know to decide.

    Returns:
        The decision; a rejected awakeable counts as not approved, with the reason as comment.

    Raises:
        restate.TerminalError: the turn was cancelled.
    """
    turn = current_turn()
    note = ""
    while True:
        identity, waiting = turn.context.awakeable(serde=BytesSerde())
        asked = await _now(turn.context)
        request = PendingApproval(
            id=identity, title=title, details=f"{details}{note}", requested_at=asked
        )
        turn.pending[identity] = request
        _write_pending(turn)
        sleep_until(turn.branches, waiting)
        try:
            decision = await _decision(waiting)
        except TerminalError:
            _drop(turn, identity)
            raise
        _drop(turn, identity)
        if decision is not None:
            break
        # Anyone can resolve an awakeable with anything; what can't be read decides nothing.
        note = "\n(The last answer could not be read; it needs approved: true or false.)"
    if decision.at is None:
        decision = decision.model_copy(update={"at": await _now(turn.context)})
    record = AnsweredApproval(request=request, decision=decision)
    turn.context.set(ANSWERED_PREFIX + identity, record, serde=_ANSWERED)
    return decision


async def _now(context: restate.ObjectContext) -> datetime:
    seconds = await context.time()
    current_turn().clock.advance(seconds)
    return datetime.fromtimestamp(seconds, UTC)


async def _decision(waiting: Awaitable[bytes | None]) -> Decision | None:
    try:
        answer_bytes = await waiting
    except TerminalError as error:
        if error.status_code == HTTPStatus.CONFLICT and error.message == "cancelled":
            raise
        return Decision(approved=False, comment=error.message)
    try:
        return Decision.model_validate_json(answer_bytes or b"")
    except ValidationError:
        return None


def _drop(turn: TurnScope, identity: str) -> None:
    del turn.pending[identity]
    if turn.pending:
        _write_pending(turn)
    else:
        turn.context.clear(PENDING_KEY)


def _write_pending(turn: TurnScope) -> None:
    # One entry for all: it is read at each turn's begin, which must not list the session's keys.
    entries = PendingApprovals(list(turn.pending.values()))
    turn.context.set(PENDING_KEY, entries, serde=_PENDING)


async def pending(reader: Reader) -> PendingApprovals:
    """Lists what the session waits for, oldest first."""
    return await reader.get(PENDING_KEY, serde=_PENDING) or PendingApprovals([])


async def drop_stale(store: Store) -> None:
    """Forgets what a killed turn waited for; nobody waits for it any more.

    To be called when a turn begins: a session runs one turn at a time.
    """
    if await store.get(PENDING_KEY, serde=_PENDING) is not None:
        store.clear(PENDING_KEY)


async def answer(resolver: Resolver, given: ApprovalAnswer, at: datetime) -> AnswerReceipt:
    """Hands an answer to the turn that waits for it.

    Raises:
        restate.TerminalError: 404 if the session knows no such approval, 409 if it was answered.
    """
    waiting = await pending(resolver)
    if not any(entry.id == given.id for entry in waiting.root):
        record = await resolver.get(ANSWERED_PREFIX + given.id, serde=_ANSWERED)
        if record is None:
            raise TerminalError(
                f"no approval {given.id!r} is pending in this session", HTTPStatus.NOT_FOUND
            )
        raise TerminalError(_already(record), HTTPStatus.CONFLICT)
    decision = Decision(approved=given.approved, by=given.by, comment=given.comment, at=at)
    body = decision.model_dump_json().encode()
    resolver.resolve_awakeable(given.id, body, serde=BytesSerde())
    return AnswerReceipt(id=given.id, approved=given.approved)


def _already(record: AnsweredApproval) -> str:
    decision = record.decision
    outcome = "approved" if decision.approved else "refused"
    by = f" by {decision.by}" if decision.by else ""
    at = f" at {decision.at:%Y-%m-%d %H:%M:%S} UTC" if decision.at else ""
    return f"approval {record.request.id!r} was already {outcome}{by}{at}"

"""The approvals of one session, in its state: those that are waited for, and those on record."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from http import HTTPStatus
from typing import Protocol, cast

import restate
from restate import TerminalError
from restate.serde import BytesSerde

from agent_service.api import (
    AnsweredApproval,
    AnswerReceipt,
    ApprovalAnswer,
    Decision,
    PendingApproval,
    PendingApprovals,
)
from agent_service.durable.children import CALLS_KEY
from agent_service.durable.scope import TurnScope
from agent_service.durable.stores import ModelSerde, Reader, Store
from agent_service.telemetry.attempts import current_attempt
from agent_service.telemetry.metrics import count_answered, count_asked

# One entry for all: it is read at each turn's begin, which must not list the session's keys.
PENDING_KEY = "approvals"
ANSWERED_PREFIX = "answered/"
_WAITING = (PENDING_KEY, CALLS_KEY)

_PENDING = ModelSerde(PendingApprovals)
_ANSWERED = ModelSerde(AnsweredApproval)


class Resolver(Reader, Protocol):
    """What answering needs of Restate."""

    def resolve_awakeable(self, name: str, value: bytes, serde: BytesSerde) -> None:
        """Hands a value to whoever waits for the awakeable."""


def put(turn: TurnScope, request: PendingApproval) -> None:
    """Shows people that a turn waits for an approval."""
    turn.pending[request.id] = request
    count_asked(current_attempt())
    _write(turn)


def take(turn: TurnScope, identity: str) -> None:
    """Shows it no more."""
    del turn.pending[identity]
    if turn.pending:
        _write(turn)
    else:
        turn.context.clear(PENDING_KEY)


def _write(turn: TurnScope) -> None:
    entries = PendingApprovals(list(turn.pending.values()))
    turn.context.set(PENDING_KEY, entries, serde=_PENDING)


def record(context: restate.ObjectContext, answered: AnsweredApproval) -> None:
    """Keeps for good what was asked and decided."""
    count_answered(current_attempt(), answered.decision)
    context.set(ANSWERED_PREFIX + answered.request.id, answered, serde=_ANSWERED)


async def pending(reader: Reader) -> PendingApprovals:
    """Lists what the session waits for, oldest first."""
    return await reader.get(PENDING_KEY, serde=_PENDING) or PendingApprovals([])


async def answered(reader: Reader) -> list[AnsweredApproval]:
    """Lists what is on record, oldest first."""
    keys = [key for key in await reader.state_keys() if key.startswith(ANSWERED_PREFIX)]
    found: list[AnsweredApproval] = []
    for key in keys:
        entry = await reader.get(key, serde=_ANSWERED)
        if entry is not None:
            found.append(entry)
    return sorted(found, key=lambda entry: entry.request.requested_at)


def drop(turn: TurnScope) -> None:
    """Forgets what the turn still waited for; to be called when it ends without an answer."""
    if turn.pending:
        turn.pending.clear()
        turn.context.clear(PENDING_KEY)
    if turn.waits_for:
        turn.waits_for.clear()
        turn.context.clear(CALLS_KEY)


def stale_in(keys: Collection[str]) -> list[str]:
    """What a session's state has of a turn that was killed while it waited."""
    return [key for key in _WAITING if key in keys]


def drop_stale(store: Store, stale: Collection[str] | None) -> None:
    """Forgets what a killed turn waited for; nobody waits for it any more.

    To be called when a turn begins: a session runs one turn at a time.

    Args:
        store: the session's state.
        stale: from ``stale_in``; ``None`` if that couldn't be told.
    """
    for key in _WAITING if stale is None else stale:
        store.clear(key)


async def answer(resolver: Resolver, given: ApprovalAnswer, at: datetime) -> AnswerReceipt:
    """Hands an answer to the turn that waits for it.

    Raises:
        restate.TerminalError: 404 if the session knows no such approval, 409 if it was answered,
            403 if somebody else has to answer it, 400 if it names none of the choices.
    """
    waiting = await pending(resolver)
    request = next((entry for entry in waiting.root if entry.id == given.id), None)
    if request is None:
        raise await _why_unknown(resolver, given.id)
    _check(request, given)
    decision = Decision.model_validate({**given.model_dump(by_alias=False), "at": at})
    body = decision.model_dump_json().encode()
    resolver.resolve_awakeable(given.id, body, serde=BytesSerde())
    return AnswerReceipt(id=given.id, approved=given.approved)


def _check(request: PendingApproval, given: ApprovalAnswer) -> None:
    if request.who and given.by not in request.who:
        raise TerminalError(
            f"approval {given.id!r} is for {', '.join(request.who)} to answer, and"
            f" {given.by or 'nobody named'!r} is not among them",
            HTTPStatus.FORBIDDEN,
        )
    if given.approved and request.choices and given.choice not in request.choices:
        raise TerminalError(
            f"choice must be one of {', '.join(request.choices)}, and is {given.choice!r}",
            HTTPStatus.BAD_REQUEST,
        )
    if given.choice and not request.choices:
        raise TerminalError(
            f"approval {given.id!r} has no choices: it is yes or no", HTTPStatus.BAD_REQUEST
        )


async def _why_unknown(reader: Reader, identity: str) -> TerminalError:
    entry = await reader.get(ANSWERED_PREFIX + identity, serde=_ANSWERED)
    if entry is None:
        return TerminalError(
            f"no approval {identity!r} is pending in this session", HTTPStatus.NOT_FOUND
        )
    return TerminalError(_already(entry), HTTPStatus.CONFLICT)


def _already(entry: AnsweredApproval) -> str:
    decision = entry.decision
    outcome = decision.choice or ("approved" if decision.approved else "refused")
    by = f" by {decision.by}" if decision.by else ""
    by = " for want of an answer" if decision.timed_out else by
    at = f" at {decision.at:%Y-%m-%d %H:%M:%S} UTC" if decision.at else ""
    return f"approval {entry.request.id!r} was already {outcome}{by}{at}"


def as_resolver(context: restate.ObjectSharedContext) -> Resolver:
    """The SDK's context, as what answering needs."""
    return cast("Resolver", context)

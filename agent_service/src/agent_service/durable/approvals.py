"""Asking a person, and waiting for the answer for as long as it takes, at no cost.

A pending approval is an awakeable of Restate plus an entry in the session's state that says what
it is about (`inbox.py`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import restate
from pydantic import BaseModel, ValidationError
from restate import TerminalError
from restate.context import RestateDurableFuture
from restate.serde import BytesSerde

from agent_service.api import AnsweredApproval, Decision, PendingApproval
from agent_service.durable import inbox
from agent_service.durable.failures import is_cancellation
from agent_service.durable.scope import TurnScope, current_turn, in_step
from agent_service.durable.suspension import sleep_until

__all__ = ["Decision", "approval"]

UNREADABLE = "\n(The last answer could not be read; it needs approved: true or false.)"


class _Asked(BaseModel):
    """What the journal keeps of a question: its id, and when it was, in seconds since 1970."""

    id: str
    at: float


@dataclass(frozen=True)
class _Question:
    """What is asked, of whom, and what holds if nobody answers."""

    title: str
    details: str
    choices: Sequence[str]
    deadline: timedelta | None
    escalate_to: Sequence[str]
    default: str | bool

    def check(self) -> None:
        for wrong, why in (
            (not self.title.strip(), "the title must not be empty"),
            (
                len(set(self.choices)) != len(self.choices)
                or not all(map(str.strip, self.choices)),
                f"choices must differ and not be empty: {list(self.choices)!r}",
            ),
            (
                isinstance(self.default, str) and self.default not in self.choices,
                f"default {self.default!r} is none of the choices",
            ),
            (self.default is True and bool(self.choices), "default must name one of the choices"),
            (
                self.deadline is None and bool(self.escalate_to),
                "escalate_to needs a deadline, after which they are asked",
            ),
            (
                self.deadline is not None and self.deadline <= timedelta(0),
                f"the deadline must lie ahead, and is {self.deadline}",
            ),
        ):
            if wrong:
                raise TerminalError(f"approval: {why}", HTTPStatus.INTERNAL_SERVER_ERROR)

    def unanswered(self, at: datetime) -> Decision:
        return Decision(
            approved=self.default is not False,
            choice=self.default if isinstance(self.default, str) else "",
            comment="nobody answered in time",
            at=at,
            timed_out=True,
        )


async def approval(
    *,
    title: str,
    details: str = "",
    choices: Sequence[str] = (),
    who: Sequence[str] = (),
    deadline: timedelta | None = None,
    escalate_to: Sequence[str] = (),
    default: str | bool = False,
) -> Decision:
    """Asks a person to decide something, and waits for the answer.

    Call it from a tool. While it waits, the turn is suspended: it needs no process, and goes on
    wherever the agent runs when the answer comes, be it days later. Tools that the model called
    together may each wait for an approval at the same time.

    Args:
        title: what is asked, in one line.
        details: what the person needs to know to decide.
        choices: what can be chosen; without any it is yes or no.
        who: names of those who may answer; without any, anybody may. They are compared with the
            answer's ``by``, which whoever lets people in has to vouch for.
        deadline: how long to wait; for ever without one.
        escalate_to: who may answer instead once the deadline is over, for as long again.
        default: what holds when nobody has answered: False (refused), True, or a choice.

    Returns:
        The decision; a rejected awakeable counts as not approved, with the reason as comment.

    Raises:
        restate.TerminalError: the turn was cancelled; or, with status 500, the arguments
            contradict each other, which no other try would mend.
    """
    question = _Question(title, details, choices, deadline, escalate_to, default)
    question.check()
    if in_step():
        raise TerminalError("approval can't wait inside of a step: call it from a plain tool", 500)
    decision = await _ask(question, who, escalated=False)
    if decision is None and escalate_to:
        decision = await _ask(question, escalate_to, escalated=True)
    if decision is None:
        raise AssertionError("the last one to be asked decides, or the default does")
    return decision


async def _ask(question: _Question, who: Sequence[str], *, escalated: bool) -> Decision | None:
    """Asks some people; ``None``: nobody answered in time, and others are to be asked."""
    turn = current_turn()
    ends = await _now(turn.context) + question.deadline if question.deadline else None
    timer = turn.context.sleep(question.deadline) if question.deadline else None
    note = ""
    while True:
        identity, waiting = turn.context.awakeable(serde=BytesSerde())
        asked = await _asked(turn, identity)
        request = PendingApproval(
            id=asked.id,
            title=question.title,
            details=f"{question.details}{note}",
            choices=list(question.choices),
            who=list(who),
            requested_at=datetime.fromtimestamp(asked.at, UTC),
            deadline=ends,
            escalated=escalated,
        )
        answered, decision = await _answer(turn, request, waiting, timer)
        if not answered and question.escalate_to and not escalated:
            decision = question.unanswered(await _now(turn.context))
            _record(turn, request, decision)
            return None
        if not answered:
            decision = question.unanswered(await _now(turn.context))
        if decision is not None:
            break
        # Anyone can resolve an awakeable with anything; what can't be read decides nothing.
        note = UNREADABLE
    if decision.at is None:
        decision = decision.model_copy(update={"at": await _now(turn.context)})
    else:
        # It may have taken weeks: what the turn says from here on is no older than the answer.
        turn.clock.advance(decision.at.timestamp())
    _record(turn, request, decision)
    return decision


async def _asked(turn: TurnScope, identity: str) -> _Asked:
    """Journals when it is asked under which id.

    A turn that is restarted from a step gets other ids, which would not be those that its entries
    were made with. The answer is among them, so the old one does no harm. (A turn must not be
    restarted from between the two: nobody could answer it.)
    """

    async def note() -> _Asked:
        return _Asked(id=identity, at=time.time())

    asked = await turn.context.run_typed("ask", note)
    turn.clock.advance(asked.at)
    return asked


async def _answer(
    turn: TurnScope,
    request: PendingApproval,
    waiting: RestateDurableFuture[bytes],
    timer: RestateDurableFuture[None] | None,
) -> tuple[bool, Decision | None]:
    """Whether an answer came before the timer ended, and what it says, if that can be read."""
    inbox.put(turn, request)
    sleep_until(turn.branches, waiting)
    try:
        if timer is not None:
            sleep_until(turn.branches, timer)
            ended, _ = await restate.wait_completed(waiting, timer)
            if waiting not in ended:
                inbox.take(turn, request.id)
                return False, None
        decision = await _decision(waiting, request)
    except TerminalError:
        inbox.take(turn, request.id)
        raise
    inbox.take(turn, request.id)
    return True, decision


def _record(turn: TurnScope, request: PendingApproval, decision: Decision) -> None:
    inbox.record(turn.context, AnsweredApproval(request=request, decision=decision))


async def _now(context: restate.ObjectContext) -> datetime:
    seconds = await context.time()
    current_turn().clock.advance(seconds)
    return datetime.fromtimestamp(seconds, UTC)


async def _decision(waiting: Awaitable[bytes | None], request: PendingApproval) -> Decision | None:
    try:
        answer_bytes = await waiting
    except TerminalError as error:
        if is_cancellation(error):
            raise
        return Decision(approved=False, comment=error.message)
    try:
        decision = Decision.model_validate_json(answer_bytes or b"")
    except ValidationError:
        return None
    chosen = not decision.approved or not request.choices or decision.choice in request.choices
    return decision if chosen else None

"""Sessions of other agents that belong to this one: its turns opened them, to ask those agents.

=================== ==========================================================
state entry         keeps
=================== ==========================================================
``calls``           ``Calls``: the calls that the running turn waits for
``child/AGENT/KEY`` ``Child``: a session that belongs to this one, and goes when it does
=================== ==========================================================

A person who looks at a session finds there what the agents it waits for ask, and can answer it
there (docs/decisions/0048).
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from pydantic import BaseModel, RootModel
from restate import TerminalError

from agent_service.api import AnswerReceipt, ApprovalAnswer, PendingApproval, PendingApprovals
from agent_service.durable.stores import ModelSerde, Reader

if TYPE_CHECKING:
    import restate

    from agent_service.durable.identity import SessionId
    from agent_service.durable.scope import TurnScope

CALLS_KEY: Final = "calls"
CHILD_PREFIX: Final = "child/"
SEPARATOR: Final = "~"


class Child(BaseModel):
    """A session of another agent; ``session`` is its key."""

    agent: str
    session: str


class Calls(RootModel[list[Child]]):
    """Where the running turn waits for an answer, in the order in which it asked."""


CHILDREN = ModelSerde(Child)
_CALLS = ModelSerde(Calls)


def session_name(caller: str, parent: SessionId, created_at: float, call: str = "") -> str:
    """Names a child session after the session it belongs to: ``Caller~17~19aed3f4c21.3.1``.

    Two sessions never have the same child, nor has one that was deleted and begun anew: an agent's
    name holds no separator, and what follows the last one is the time at which the session was
    made (ms since 1970, in hexadecimal), the turn's number and the call's.

    Args:
        caller: the agent that calls.
        parent: the session that calls.
        created_at: when it was made, in seconds since 1970.
        call: which call it is for; empty for all of the session.
    """
    suffix = f"{round(created_at * 1000):x}"
    return SEPARATOR.join((caller, parent.session, f"{suffix}.{call}" if call else suffix))


def begin_call(turn: TurnScope, child: Child) -> None:
    """Shows people that a turn waits for another agent."""
    turn.waits_for.append(child)
    _write(turn)


def end_call(turn: TurnScope, child: Child) -> None:
    """Shows it no more."""
    if child in turn.waits_for:
        turn.waits_for.remove(child)
        _write(turn)


def _write(turn: TurnScope) -> None:
    if turn.waits_for:
        # Two calls in one conversation wait at the same place.
        places = {state_key(child): child for child in turn.waits_for}
        turn.context.set(CALLS_KEY, Calls(list(places.values())), serde=_CALLS)
    else:
        turn.context.clear(CALLS_KEY)


def state_key(child: Child) -> str:
    """The name of the state entry that says whose a session is."""
    return f"{CHILD_PREFIX}{child.agent}/{child.session}"


def children_in(keys: Iterable[str]) -> list[Child]:
    """Finds the children of a session by the keys of its state."""
    found = []
    for key in keys:
        if key.startswith(CHILD_PREFIX):
            agent, _, session = key.removeprefix(CHILD_PREFIX).partition("/")
            found.append(Child(agent=agent, session=session))
    return found


async def _called(context: restate.ObjectSharedContext) -> list[Child]:
    found = await cast("Reader", context).get(CALLS_KEY, serde=_CALLS)
    return [] if found is None else found.root


async def pending_there(context: restate.ObjectSharedContext) -> list[PendingApproval]:
    """What the agents ask that the session waits for, and those that these wait for."""
    called = await _called(context)
    asked = [context.generic_call(c.agent, "approvals", b"", c.session) for c in called]
    found: list[PendingApproval] = []
    for child, answer in zip(called, asked, strict=True):
        try:
            listed = PendingApprovals.model_validate_json(await answer, extra="ignore").root
        except TerminalError:
            # It has no such list, so it is no agent that asks.
            continue
        whose = {"agent": child.agent, "session": child.session}
        found += [one if one.agent else one.model_copy(update=whose) for one in listed]
    return found


async def answer_there(
    context: restate.ObjectSharedContext, given: ApprovalAnswer
) -> AnswerReceipt | None:
    """Hands an answer to the agent that asked; ``None``: no agent that is called did.

    Raises:
        restate.TerminalError: that agent doesn't take the answer.
    """
    body = given.model_dump_json().encode()
    for child in await _called(context):
        try:
            receipt = await context.generic_call(child.agent, "answer", body, child.session)
        except TerminalError as error:
            if error.status_code == HTTPStatus.NOT_FOUND:
                continue
            raise
        return AnswerReceipt.model_validate_json(receipt, extra="ignore")
    return None

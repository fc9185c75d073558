"""An agent as a Restate virtual object: one session for each key."""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import cast, override

import restate
from google.adk.agents.run_config import RunConfig
from google.adk.events.event import Event
from google.adk.runners import Runner
from google.genai import types
from pydantic import BaseModel, ValidationError
from restate import TerminalError
from restate.retry_policy import InvocationRetryPolicy
from restate.serde import Serde

from agent_service.api import (
    AnswerReceipt,
    ApprovalAnswer,
    Approvals,
    History,
    PendingApprovals,
    TurnAnswer,
    TurnRequest,
)
from agent_service.durable import inbox
from agent_service.durable.agents import Served, durable_app, root_of
from agent_service.durable.branches import branching
from agent_service.durable.eager import SentState, sent_state
from agent_service.durable.failures import terminal_error
from agent_service.durable.scope import Clock, TurnScope, turn_scope
from agent_service.durable.sessions import ObjectSessions, Store, read_history, text_of
from agent_service.settings import Settings

USER = "user"

# Waiting is cheap and losing a turn is not: go on trying for hours, a pod may be on its way.
# What is paused in the end can be resumed; nothing is ever killed.
RETRIES = InvocationRetryPolicy(
    initial_interval=timedelta(milliseconds=100),
    exponentiation_factor=2.0,
    max_interval=timedelta(seconds=10),
    max_attempts=1_000,
    on_max_attempts="pause",
)


@dataclass(frozen=True)
class Unreadable:
    """A request body that doesn't fit; the handler refuses it with 400."""

    reason: str


class RequestSerde[M: BaseModel](Serde[M]):
    """Reads a request; the SDK would answer 500 if this raised, so it returns what is wrong."""

    def __init__(self, model: type[M]) -> None:
        self._model = model

    @override
    def serialize(self, obj: M | None) -> bytes:
        return b"" if obj is None else obj.model_dump_json().encode()

    @override
    def deserialize(self, buf: bytes) -> M | None:
        try:
            return self._model.model_validate_json(buf)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, p['loc'])) or 'body'}: {p['msg']}" for p in error.errors()
            )
            return cast("M", Unreadable(problems))


def _readable[M: BaseModel](request: M | Unreadable) -> M:
    if isinstance(request, Unreadable):
        raise TerminalError(f"the request is not valid: {request.reason}", HTTPStatus.BAD_REQUEST)
    return request


class Begin(BaseModel):
    """What the first attempt of a turn found, for all that follow.

    Attributes:
        at: when it was, in seconds since 1970.
        sent: whether the whole session came along with the call.
    """

    at: float
    sent: bool


async def _begin(context: restate.ObjectContext) -> Begin:
    async def look() -> Begin:
        return Begin(at=time.time(), sent=sent_state() is not None)

    return await context.run_typed("begin", look)


def _sent_session(begin: Begin) -> SentState | None:
    """The session as sent, if the first attempt read it from there: a replay has to do likewise.

    Raises:
        RuntimeError: this attempt didn't get it; another one may.
    """
    if not begin.sent:
        return None
    found = sent_state()
    if found is None:
        raise RuntimeError("Restate sent only a part of the session, unlike at the first attempt")
    return found


class AgentTurns:
    """Runs the turns of one agent.

    Args:
        served: the user's agent or app; it is copied.
        settings: how to serve it.
        model_slot: what each model call holds while it is under way; a semaphore limits them.
    """

    def __init__(
        self,
        served: Served,
        settings: Settings,
        model_slot: AbstractAsyncContextManager[None] | None = None,
    ) -> None:
        self._model_slot = model_slot or nullcontext()
        self._app = durable_app(served)
        self._settings = settings
        self._run_config = RunConfig(max_llm_calls=settings.max_model_calls)
        self.name: str = served.name

    async def run(self, context: restate.ObjectContext, request: TurnRequest) -> TurnAnswer:
        """Runs one turn in the session of the context's key.

        Raises:
            restate.TerminalError: the turn failed for good. Its message and what it had done so
                far are kept in the session.
        """
        if not request.message.strip():
            raise TerminalError("message must not be empty", HTTPStatus.BAD_REQUEST)
        begin = await _begin(context)
        clock = Clock(begin.at)
        async with branching(context) as branches:
            scope = TurnScope(context, clock, self._settings.model_timeout, branches)
            scope.model_slot = self._model_slot
            with turn_scope(scope):
                sessions = ObjectSessions(
                    cast("Store", context), context.key(), clock, _sent_session(begin)
                )
                number, text = await self._take_turn(context, sessions, request.message)
        return TurnAnswer(
            answer=text,
            agent=self.name,
            session=context.key(),
            turn=number,
            revision=self._settings.revision,
            usage=scope.usage,
        )

    async def _take_turn(
        self, context: restate.ObjectContext, sessions: ObjectSessions, message: str
    ) -> tuple[int, str]:
        await inbox.drop_stale(cast("Store", context))
        number = await sessions.begin_turn(app_name=self.name, user_id=USER, message=message)
        try:
            text = await self._answer(sessions, context.key(), message)
        except Exception as error:
            final = terminal_error(error)
            if final is None:
                raise
            sessions.end_turn(revision=self._settings.revision, error=final.message)
            raise final from error
        sessions.end_turn(revision=self._settings.revision)
        return number, text

    async def _answer(self, sessions: ObjectSessions, session: str, message: str) -> str:
        runner = Runner(app=self._app, app_name=self.name, session_service=sessions)
        text, problem = "", ""
        async with aclosing(
            runner.run_async(
                user_id=USER,
                session_id=session,
                new_message=types.UserContent(message),
                run_config=self._run_config,
            )
        ) as events:
            # To the very end, errors included: ADK reports one as an event before it raises it.
            async for event in events:
                text = _final_text(event) or text
                problem = event.error_message or event.error_code or ""
        if problem and not text:
            raise TerminalError(f"the model gave no answer: {problem}", HTTPStatus.BAD_GATEWAY)
        return text


def _final_text(event: Event) -> str:
    return text_of(event.content) if event.is_final_response() else ""


def agent_object(
    served: Served,
    settings: Settings,
    model_slot: AbstractAsyncContextManager[None] | None = None,
) -> restate.VirtualObject:
    """Makes the virtual object that serves an agent, named after it.

    Its handlers: ``turn``, and shared with a running turn ``history``, ``approvals``, ``answer``,
    ``decisions``.
    """
    turns = AgentTurns(served, settings, model_slot)
    service = restate.VirtualObject(
        turns.name,
        description=root_of(served).description or None,
        inactivity_timeout=timedelta(seconds=settings.inactivity_timeout),
        abort_timeout=timedelta(seconds=settings.abort_timeout),
        journal_retention=timedelta(seconds=settings.journal_retention),
        invocation_retry_policy=RETRIES,
    )

    @service.handler(input_serde=RequestSerde(TurnRequest))
    async def turn(ctx: restate.ObjectContext, request: TurnRequest) -> TurnAnswer:
        """Gives the agent a message and returns its answer."""
        return await turns.run(ctx, _readable(request))

    @service.handler(kind="shared")
    async def history(ctx: restate.ObjectSharedContext) -> History:
        """Returns the session's messages, those of a running turn included."""
        messages = await read_history(cast("Store", ctx), sent_state())
        return History(agent=turns.name, session=ctx.key(), messages=messages)

    @service.handler(name="approvals", kind="shared")
    async def list_approvals(ctx: restate.ObjectSharedContext) -> PendingApprovals:
        """Lists the approvals that the session's turn waits for."""
        return await inbox.pending(cast("Store", ctx))

    @service.handler(kind="shared")
    async def decisions(ctx: restate.ObjectSharedContext) -> Approvals:
        """Lists who decided what, and when, in this session."""
        return Approvals(answered=await inbox.answered(cast("Store", ctx)))

    @service.handler(kind="shared", input_serde=RequestSerde(ApprovalAnswer))
    async def answer(ctx: restate.ObjectSharedContext, request: ApprovalAnswer) -> AnswerReceipt:
        """Answers a pending approval of this session."""
        given = _readable(request)
        at = datetime.fromtimestamp(await ctx.time(), UTC)
        return await inbox.answer(inbox.as_resolver(ctx), given, at)

    return service

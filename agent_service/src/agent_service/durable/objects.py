"""An agent as a Restate virtual object: one session for each key."""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, cast

import restate
from google.adk.agents.run_config import RunConfig, StreamingMode  # type: ignore[attr-defined]
from google.adk.events.event import Event
from google.adk.runners import Runner
from google.adk.telemetry.context import TelemetryConfig
from google.genai import types
from pydantic import BaseModel
from restate import RunOptions, TerminalError
from restate.retry_policy import InvocationRetryPolicy

from agent_service.api import (
    AnswerReceipt,
    ApprovalAnswer,
    Approvals,
    History,
    PendingApprovals,
    SessionQuery,
    SessionView,
    TurnAnswer,
    TurnRequest,
)
from agent_service.durable import children, inbox
from agent_service.durable.agents import Served, durable_app, root_of
from agent_service.durable.branches import branching
from agent_service.durable.cancelling import TurnCancelled
from agent_service.durable.children import Child
from agent_service.durable.eager import SentState, sent_state
from agent_service.durable.failures import terminal_error
from agent_service.durable.identity import SessionId, session_of
from agent_service.durable.keeping import Chosen, Keeping
from agent_service.durable.partial_text import Ending
from agent_service.durable.peers import Peers
from agent_service.durable.publishing import Ingress, TurnStream
from agent_service.durable.removal import add_removal, disown
from agent_service.durable.requests import RequestSerde, readable
from agent_service.durable.scope import Clock, TurnScope, turn_scope
from agent_service.durable.session_store import (
    Window,
    next_turn,
    read_history,
    text_of,
    turn_numbers,
)
from agent_service.durable.sessions import ObjectSessions, Shared
from agent_service.durable.shared_state import Opening, Profile, SharedState
from agent_service.durable.stores import ModelSerde, Store
from agent_service.durable.streams import NO_INGRESS, Streams
from agent_service.durable.views import view
from agent_service.settings import Settings
from agent_service.telemetry.attempts import began_in, watched_turns

# Waiting is cheap and losing a turn is not: go on trying for hours, a pod may be on its way.
# What is paused in the end can be resumed; nothing is ever killed.
RETRIES = InvocationRetryPolicy(
    initial_interval=timedelta(milliseconds=100),
    exponentiation_factor=2.0,
    max_interval=timedelta(seconds=10),
    max_attempts=1_000,
    on_max_attempts="pause",
)


class Begin(BaseModel):
    """What the first attempt of a turn found, for all that follow.

    Attributes:
        at: when it was, in seconds since 1970.
        sent: whether the whole session came along with the call.
        number: the turn's in the session, if that could be told.
        invocation: Restate's id of the turn.
        app: the agent's ``app:`` state, if the process knew it.
        streams: whether partial text is published; absent if nobody asked for it.
        stale: what a turn that was killed has left in the session, if that could be told.
    """

    at: float
    sent: bool
    number: int | None = None
    invocation: str = ""
    app: Profile | None = None
    streams: bool | None = None
    stale: list[str] | None = None


async def _begin(
    context: restate.ObjectContext, shared: SharedState, streams: bool | None
) -> Begin:
    async def look() -> Begin:
        sent = sent_state()
        return Begin(
            at=time.time(),
            sent=sent is not None,
            number=None if sent is None else max(turn_numbers(sent.entries), default=0) + 1,
            invocation=context.request().id,
            app=shared.cached(),
            streams=streams,
            stale=None if sent is None else inbox.stale_in(sent.entries),
        )

    return await context.run_typed("begin", look, RunOptions(serde=_BEGIN))


_BEGIN = ModelSerde(Begin)


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


@dataclass(frozen=True)
class _Turn:
    """One attempt of a turn."""

    scope: TurnScope
    identity: SessionId
    sessions: ObjectSessions
    begin: Begin
    children: list[Child] = field(default_factory=list)
    """Sessions of other agents, found when the turn has deleted its own."""


class AgentTurns:
    """Runs the turns of one agent.

    Args:
        served: the user's agent or app; it is copied.
        settings: how to serve it.
        shared: what its sessions share.
        keeping: its artifacts and memory.
        streams: what keeps the partial text of turns.
        model_slot: what each model call holds while it is under way; a semaphore limits them.
    """

    def __init__(
        self,
        served: Served,
        settings: Settings,
        shared: SharedState,
        keeping: Keeping,
        streams: Streams,
        model_slot: AbstractAsyncContextManager[None] | None = None,
    ) -> None:
        self._keeping = keeping
        self._model_slot = model_slot or nullcontext()
        self._app = durable_app(served)
        self._window = Window(settings.recent_turns, self._app.events_compaction_config is not None)
        self._settings = settings
        self._shared = shared
        self._streams = streams
        self._ingress = Ingress(settings.ingress_url) if settings.ingress_url else None
        # Without it, ADK asks the environment for each span.
        self._telemetry = TelemetryConfig()
        self.name: str = served.name

    async def run(self, context: restate.ObjectContext, request: TurnRequest) -> TurnAnswer:
        """Runs one turn in the session of the context's key.

        Raises:
            restate.TerminalError: the turn failed for good. Its message and what it had done so
                far are kept in the session.
        """
        identity = session_of(context)
        if not request.message.strip():
            raise TerminalError("message must not be empty", HTTPStatus.BAD_REQUEST)
        streams = self._ingress is not None if request.stream else None
        begin = await _begin(context, self._shared, streams)
        began_in(begin.invocation)
        clock = Clock(begin.at)
        async with branching(context) as branches:
            scope = TurnScope(
                context, clock, self._settings.model_timeout, branches, self.name, identity
            )
            scope.model_slot = self._model_slot
            scope.most_model_calls = self._settings.max_model_calls
            with turn_scope(scope):
                sessions = ObjectSessions(
                    cast("Store", context),
                    self.name,
                    identity,
                    clock,
                    _sent_session(begin),
                    Peers(context, self.name, self._shared),
                    self._window,
                )
                turn = _Turn(scope, identity, sessions, begin)
                number, text = await self._take_turn(turn, request.message)
        return TurnAnswer(
            answer=text,
            agent=self.name,
            user=identity.user,
            session=identity.session,
            turn=number,
            revision=self._settings.revision,
            usage=scope.usage,
            not_streamed=NO_INGRESS if begin.streams is False else "",
        )

    async def _take_turn(self, turn: _Turn, message: str) -> tuple[int, str]:
        store, sessions = cast("Store", turn.scope.context), turn.sessions
        inbox.drop_stale(store, turn.begin.stale)
        number = turn.begin.number or await next_turn(store, None)
        created_at = await sessions.begin_turn(number, message, turn.begin.invocation)
        turn.scope.number, turn.scope.created_at = number, created_at
        self._begin_stream(turn)
        try:
            await self._share(turn, created_at)
            text = await self._answer(turn, message)
            turn.scope.branches.check_cancelled()
            await self._save(turn)
        except (Exception, TurnCancelled, BaseExceptionGroup) as error:
            final = terminal_error(error)
            if final is None:
                raise
            with suppress(TerminalError):
                await self._save(turn)
            self._end(turn, final.message)
            raise final from error
        self._end(turn)
        return number, text

    def _end(self, turn: _Turn, error: str | None = None) -> None:
        """Writes how the turn ended; nothing may be awaited from here on."""
        inbox.drop(turn.scope)
        turn.sessions.end_turn(revision=self._settings.revision, error=error)
        if turn.sessions.deleted:
            self._remove(turn)
        elif turn.begin.streams:
            self._tell_end(turn)

    def _remove(self, turn: _Turn) -> None:
        """Removes a session that its own turn has deleted.

        Last of all, and waiting for nobody: an attempt after this would miss what the turn read.
        """
        context, identity = turn.scope.context, turn.identity
        disown(context, self.name, turn.children)
        context.clear_all()
        self._keeping.forget_session_later(context, identity)
        self._streams.forget_later(context, identity.key)
        if identity.user:
            self._shared.forget_later(context, identity.user, identity.session)

    def _begin_stream(self, turn: _Turn) -> None:
        context, number = turn.scope.context, turn.scope.number
        if turn.begin.streams is False:
            # Readers shall not wait for what won't come.
            self._tell_end(turn, NO_INGRESS)
        elif turn.begin.streams and self._ingress is not None:
            turn.scope.stream = TurnStream(
                self._ingress,
                self._streams.service.name,
                turn.identity.key,
                # Its own id, which readers know it by, also where it was restarted from a step.
                context.request().id,
                number,
                self._settings.stream_interval,
            )

    def _tell_end(self, turn: _Turn, reason: str = "") -> None:
        # By the number and the id that the journal knows: a restarted turn must say the same.
        ending = Ending(turn=turn.begin.invocation, number=turn.scope.number, reason=reason)
        self._streams.end(turn.scope.context, turn.identity.key, ending)

    async def _share(self, turn: _Turn, created_at: float) -> None:
        """Reads the state that the session shares with others."""
        context, user, begin = turn.scope.context, turn.identity.user, turn.begin
        profile = None
        if user:
            opening = Opening(session=turn.identity.session, created_at=created_at, at=begin.at)
            profile = await self._shared.open(context, user, opening)
        app = begin.app or await self._shared.app_state(context, begin.at)
        turn.sessions.share(Shared(None if profile is None else profile.state, app.state))

    async def _save(self, turn: _Turn) -> None:
        """Writes what the turn changed outside of its session."""
        context, user = turn.scope.context, turn.identity.user
        await turn.sessions.look_for_later_turns()
        user_state, app_state = turn.sessions.changed()
        if user_state or app_state:
            await self._shared.save(context, user, user_state, app_state)
        if turn.sessions.deleted:
            turn.children[:] = children.children_in(await context.state_keys())

    async def _answer(self, turn: _Turn, message: str) -> str:
        identity = turn.identity
        runner = Runner(
            app=self._app,
            app_name=self.name,
            session_service=turn.sessions,
            artifact_service=self._keeping.artifacts_in_turn(),
            memory_service=self._keeping.memory_in_turn(),
        )
        text, problem = "", ""
        async with aclosing(
            runner.run_async(
                user_id=identity.user_id,
                session_id=identity.session,
                new_message=types.UserContent(message),
                run_config=RunConfig(
                    max_llm_calls=self._settings.max_model_calls,
                    streaming_mode=StreamingMode.SSE if turn.begin.streams else StreamingMode.NONE,
                    telemetry=self._telemetry,
                ),
            )
        ) as events:
            # To the very end, errors included: ADK reports one as an event before it raises it.
            async for event in events:
                problem = event.error_message or event.error_code or ""
                # After an error, what another agent had said before is no answer.
                text = _final_text(event) or ("" if problem else text)
        if problem and not text:
            raise TerminalError(f"the model gave no answer: {problem}", HTTPStatus.BAD_GATEWAY)
        return text


def _final_text(event: Event) -> str:
    return text_of(event.content) if event.is_final_response() else ""


def agent_objects(
    served: Served,
    settings: Settings,
    model_slot: AbstractAsyncContextManager[None] | None = None,
    chosen: Chosen | None = None,
) -> list[restate.VirtualObject]:
    """Makes the virtual object that serves an agent, named after it, and its companions.

    Its handlers: ``turn``, and shared with a running turn ``history``, ``get``, ``approvals``,
    ``answer``, ``decisions``, ``cancel``, ``delete``.
    """
    options: dict[str, Any] = {
        "inactivity_timeout": timedelta(seconds=settings.inactivity_timeout),
        "abort_timeout": timedelta(seconds=settings.abort_timeout),
        "invocation_retry_policy": RETRIES,
    }
    shared = SharedState(served.name, options)
    keeping = Keeping(served.name, options, chosen or Chosen())
    streams = Streams(served.name, options)
    turns = AgentTurns(served, settings, shared, keeping, streams, model_slot)
    service = restate.VirtualObject(
        turns.name,
        description=root_of(served).description or None,
        journal_retention=timedelta(seconds=settings.journal_retention),
        **options,
    )

    @service.handler(
        input_serde=RequestSerde(TurnRequest),
        invocation_context_managers=[watched_turns(turns.name, settings.revision)],
    )
    async def turn(ctx: restate.ObjectContext, request: TurnRequest) -> TurnAnswer:
        """Gives the agent a message and returns its answer."""
        return await turns.run(ctx, readable(request))

    @service.handler(kind="shared")
    async def history(ctx: restate.ObjectSharedContext) -> History:
        """Returns the session's messages, those of a running turn included."""
        identity = session_of(ctx)
        messages = await read_history(cast("Store", ctx), sent_state())
        return History(
            agent=turns.name, user=identity.user, session=identity.session, messages=messages
        )

    @service.handler(kind="shared", input_serde=RequestSerde(SessionQuery))
    async def get(ctx: restate.ObjectSharedContext, request: SessionQuery) -> SessionView:
        """Returns the session: its state, and all of its events or some."""
        return await view(ctx, turns.name, session_of(ctx), readable(request), shared)

    @service.handler(name="approvals", kind="shared")
    async def list_approvals(ctx: restate.ObjectSharedContext) -> PendingApprovals:
        """Lists the approvals that the session's turn waits for, those of agents it calls too."""
        own = (await inbox.pending(cast("Store", ctx))).root
        return PendingApprovals([*own, *await children.pending_there(ctx)])

    @service.handler(kind="shared")
    async def decisions(ctx: restate.ObjectSharedContext) -> Approvals:
        """Lists who decided what, and when, in this session."""
        return Approvals(answered=await inbox.answered(cast("Store", ctx)))

    @service.handler(kind="shared", input_serde=RequestSerde(ApprovalAnswer))
    async def answer(ctx: restate.ObjectSharedContext, request: ApprovalAnswer) -> AnswerReceipt:
        """Answers a pending approval of this session, or of an agent that it calls."""
        given = readable(request)
        at = datetime.fromtimestamp(await ctx.time(), UTC)
        try:
            return await inbox.answer(inbox.as_resolver(ctx), given, at)
        except TerminalError as error:
            if error.status_code != HTTPStatus.NOT_FOUND:
                raise
            receipt = await children.answer_there(ctx, given)
            if receipt is None:
                raise
            return receipt

    add_removal(service, shared, keeping, streams)
    return [service, shared.users, shared.app, *keeping.companions, streams.service]

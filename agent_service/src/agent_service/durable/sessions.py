"""ADK's session service in a turn, for the session that `session_store` keeps."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Protocol, override

from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import (
    BaseSessionService,
    GetSessionConfig,
    ListSessionsResponse,
)
from google.adk.sessions.session import Session
from google.adk.sessions.state import State

from agent_service.durable.eager import SentState
from agent_service.durable.identity import SessionId
from agent_service.durable.scope import Clock
from agent_service.durable.session_store import (
    ALL_TURNS,
    SessionHead,
    TurnRecord,
    Window,
    events_of,
    has_summaries,
    latest_turn,
    load_before,
    read_head,
    write_head,
    write_turn,
)
from agent_service.durable.stores import Store

SHARED_PREFIXES = (State.APP_PREFIX, State.USER_PREFIX)


@dataclass
class Shared:
    """The state that a turn's session shares with others, as it was when the turn began.

    Attributes:
        user: ``user:`` state by key without the prefix; ``None``: it is the session's own, since
            no user is named for it.
        app: ``app:`` state, likewise.
    """

    user: dict[str, Any] | None = None
    app: dict[str, Any] = field(default_factory=dict)


class Elsewhere(Protocol):
    """How a turn reaches other sessions than its own; see ``peers.py``."""

    async def get(self, other: SessionId, config: GetSessionConfig | None) -> Session | None:
        """Reads another session of this agent."""

    async def list(self, user_id: str | None) -> list[Session]:
        """Lists sessions, without their events."""

    async def delete(self, other: SessionId) -> None:
        """Deletes another session."""

    async def user_state(self, user: str) -> dict[str, Any]:
        """Reads another user's state."""


class ObjectSessions(BaseSessionService):
    """ADK's session service in a turn, for the session that lives in a virtual object's state.

    It works on a session in memory, and writes at the turn's begin and end: what is written in
    between would be journaled again and again.

    Args:
        store: Restate's context of the turn.
        app_name: the agent's name.
        identity: the session's.
        clock: the turn's time.
        sent: the session as Restate sent it with this attempt; without it the turns before are
            read one by one, through the journal.
        elsewhere: for what is asked about other sessions; without it there are none.
        window: how far back the turn is shown its session.
    """

    def __init__(
        self,
        store: Store,
        app_name: str,
        identity: SessionId,
        clock: Clock,
        sent: SentState | None = None,
        elsewhere: Elsewhere | None = None,
        window: Window = ALL_TURNS,
    ) -> None:
        self._store = store
        self._app = app_name
        self._identity = identity
        self._clock = clock
        self._sent = sent
        self._elsewhere = elsewhere
        self._window = window
        self._summaries: list[int] = []
        self._number = 0
        self._record: TurnRecord | None = None
        self._created_at = 0.0
        self._session: Session | None = None
        self._shared = Shared()
        self._touched: set[str] = set()
        self._new: list[Event] = []
        self._later = False

    async def begin_turn(self, number: int, message: str, invocation: str = "") -> float:
        """Writes down that a turn begins, so that its message stays whatever happens.

        Args:
            number: the turn's, from ``next_turn``.
            message: what the user says.
            invocation: Restate's id of the turn.

        Returns:
            When the session was made, in seconds since 1970.
        """
        head = await read_head(self._store)
        if head is None:
            # No turn has ended yet; the first one tells when the session was made.
            before = await load_before(self._store, self._sent, number)
        else:
            # Another pod, with another clock, may have taken the turn before.
            self._clock.advance(head.updated_at)
            self._summaries = head.summaries
            before = await load_before(
                self._store, self._sent, number, self._window, head.summaries
            )
        self._number = number
        self._record = TurnRecord(
            message=message, started_at=self._clock.now(), invocation=invocation
        )
        first = before[0][1] if before else self._record
        self._created_at = head.created_at if head is not None else first.started_at
        self._session = self._make_session(head, events_of(before))
        write_turn(self._store, number, self._record)
        return self._created_at

    def share(self, shared: Shared) -> None:
        """Adds the state that is kept outside of the session; to be called before ADK reads it."""
        self._shared = shared
        # Copies: tools may change in place what they find in the state.
        if self._session is not None:
            self._session.state.update(deepcopy(_prefixed(shared)))

    def changed(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the turn changed so far of the ``user:`` and the ``app:`` state it shares.

        Nothing for a turn that was restarted after later ones: those have the last word.
        """
        if self._session is None or self._later:
            return {}, {}
        state = _persistent({key: self._session.state.get(key) for key in self._touched})
        before = _prefixed(self._shared)
        new = {k: v for k, v in state.items() if k not in before or before[k] != v}
        shares_user = self._shared.user is not None
        return _scoped(new, State.USER_PREFIX) if shares_user else {}, _scoped(
            new, State.APP_PREFIX
        )

    async def look_for_later_turns(self) -> None:
        """Finds out whether the turn is the latest of the session; to be called near its end."""
        self._later = await latest_turn(self._store, self._sent) > self._number

    def end_turn(self, *, revision: str, error: str | None = None) -> None:
        """Writes the turn's events and outcome, and the state it leaves.

        Nothing may be awaited between this and the turn's end: together they reach Restate at
        once, so that events which a tool made differently on a replay can't contradict it.
        """
        if self._record is None:
            raise RuntimeError("no turn has begun")
        if self._session is None:
            # A tool has deleted it, and whoever ends the turn removes all of it.
            return
        now = self._clock.now()
        self._record = self._record.model_copy(
            update={
                "events": self._new,
                "status": "completed" if error is None else "failed",
                "finished_at": now,
                "revision": revision,
                "error": error,
            }
        )
        write_turn(self._store, self._number, self._record)
        if self._later:
            return
        mine = [self._number] if has_summaries(self._new) else []
        head = SessionHead(
            created_at=self._created_at,
            updated_at=now,
            state=self._own(self._session.state),
            summaries=[*self._summaries, *mine],
        )
        write_head(self._store, head)

    @override
    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Refuses: a session is made by its first turn, and this one is there.

        Raises:
            AlreadyExistsError: it is this turn's session that is asked for.
            ValueError: it is another one.
        """
        if self._is_mine(app_name, user_id, session_id or self._identity.session):
            raise AlreadyExistsError(f"session {self._identity.key!r} already exists")
        raise ValueError(
            f"a turn can't make session {session_id!r}: a session begins with its first turn"
        )

    @override
    async def get_session(
        self,
        *,
        app_name: str,
        user_id: str,
        session_id: str,
        config: GetSessionConfig | None = None,
    ) -> Session | None:
        if self._is_mine(app_name, user_id, session_id):
            session = self._session
            return session if session is None or config is None else filtered(session, config)
        other = self._other(app_name, user_id, session_id)
        if other is None or self._elsewhere is None:
            return None
        return await self._elsewhere.get(other, config)

    @override
    async def list_sessions(
        self, *, app_name: str, user_id: str | None = None
    ) -> ListSessionsResponse:
        """Lists the sessions of a user, or of all users; of those without one only this turn's."""
        found: list[Session] = []
        if app_name == self._app and self._session is not None:
            mine = self._session
            if user_id in (None, mine.user_id):
                found.append(mine.model_copy(update={"events": [], "state": dict(mine.state)}))
            if self._elsewhere is not None:
                others = await self._elsewhere.list(user_id)
                same = (mine.user_id, mine.id)
                found += [other for other in others if (other.user_id, other.id) != same]
        found.sort(key=lambda one: (one.last_update_time, one.user_id, one.id))
        return ListSessionsResponse(sessions=found)

    @override
    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Deletes a session; its own one once the turn ends, until when its events are needed.

        What is taken away earlier would be missed by a replay.
        """
        if not self._is_mine(app_name, user_id, session_id):
            other = self._other(app_name, user_id, session_id)
            if other is not None and self._elsewhere is not None:
                await self._elsewhere.delete(other)
            return
        self._session = None

    @override
    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        if app_name != self._app:
            return {}
        if user_id == self._identity.user_id:
            state = self._session.state if self._session is not None else {}
            return _scoped(state, State.USER_PREFIX)
        return {} if self._elsewhere is None else await self._elsewhere.user_state(user_id)

    @override
    async def append_event(self, session: Session, event: Event) -> Event:
        if event.partial:
            return event
        mine = self._session
        event = await super().append_event(session, event)
        session.last_update_time = event.timestamp
        if mine is not None and mine is not session:
            # ADK holds a filtered copy; the whole one has to follow.
            mine.events.append(event)
            mine.state.update(event.actions.state_delta)
            mine.last_update_time = event.timestamp
        self._touched |= event.actions.state_delta.keys()
        self._new.append(event)
        return event

    @property
    def deleted(self) -> bool:
        """Whether the turn deleted its own session."""
        return self._record is not None and self._session is None

    def _is_mine(self, app_name: str, user_id: str, session_id: str) -> bool:
        mine = (self._app, self._identity.user_id, self._identity.session)
        return (app_name, user_id, session_id) == mine

    def _other(self, app_name: str, user_id: str, session_id: str) -> SessionId | None:
        if app_name != self._app:
            return None
        return SessionId.for_adk(user_id, session_id)

    def _make_session(self, head: SessionHead | None, events: list[Event]) -> Session:
        return Session(
            id=self._identity.session,
            app_name=self._app,
            user_id=self._identity.user_id,
            state=dict(head.state) if head is not None else {},
            events=events,
            last_update_time=head.updated_at if head is not None else self._created_at,
        )

    def _own(self, state: dict[str, Any]) -> dict[str, Any]:
        """The part of the state that is kept with the session."""
        elsewhere = [State.APP_PREFIX] if self._shared.user is None else list(SHARED_PREFIXES)
        kept = {k: v for k, v in state.items() if not k.startswith(tuple(elsewhere))}
        return _persistent(kept)


def with_shared(state: dict[str, Any], shared: Shared) -> dict[str, Any]:
    """Returns a session's own state, and what it shares, as ADK shows it."""
    return {**state, **_prefixed(shared)}


def _prefixed(shared: Shared) -> dict[str, Any]:
    user = {State.USER_PREFIX + key: value for key, value in (shared.user or {}).items()}
    return {**{State.APP_PREFIX + key: value for key, value in shared.app.items()}, **user}


def _scoped(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _persistent(state: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in state.items() if not k.startswith(State.TEMP_PREFIX)}
    # EventActions knows how to turn what tools put into the state into JSON.
    dumped = EventActions(state_delta=kept).model_dump(mode="json")
    return dict(dumped["state_delta"])


def filtered(session: Session, config: GetSessionConfig) -> Session:
    """Returns the session with those of its events that are asked for."""
    events = session.events
    if config.after_timestamp is not None:
        events = [event for event in events if event.timestamp >= config.after_timestamp]
    if config.num_recent_events is not None:
        events = events[-config.num_recent_events :] if config.num_recent_events else []
    return session.model_copy(update={"events": list(events), "state": dict(session.state)})

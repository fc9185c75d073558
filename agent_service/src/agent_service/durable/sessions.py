"""A session in the state of one virtual object: a small head, and one entry for each turn.

A turn writes its own events and the head, never the turns before it. It reads those out of what
Restate sends along with the call, so that its journal doesn't hold them either (`eager.py`):

=================== ==========================================================
``turn/000001``     ``TurnRecord``: the message, then the events and the outcome
``session``         ``SessionHead``: when, and ADK's state, as the latest turn left it
=================== ==========================================================

Nothing counts the turns but their entries. A turn takes its number in its first step, and writes
nothing at its begin that others wrote before: so a turn that is restarted from a step, long after
later ones, replaces its own entry and nothing else (docs/decisions/0033).
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeVar, override

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
from google.genai import types
from pydantic import BaseModel
from restate.serde import Serde

from agent_service.api import Message
from agent_service.durable.eager import SentState
from agent_service.durable.identity import SessionId
from agent_service.durable.scope import Clock

HEAD_KEY = "session"
TURN_PREFIX = "turn/"
SHARED_PREFIXES = (State.APP_PREFIX, State.USER_PREFIX)
KILLED = "the turn was killed before it could answer"

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class Reader(Protocol):
    """What reading a session needs of Restate; shared handlers have it too."""

    def get(self, name: str, serde: Serde[T]) -> Awaitable[T | None]:
        """Reads one state entry."""

    def state_keys(self) -> Awaitable[list[str]]:
        """Lists the state's keys."""


class Store(Reader, Protocol):
    """What writing a session needs as well."""

    def set(self, name: str, value: T, serde: Serde[T]) -> None:
        """Writes one state entry."""

    def clear(self, name: str) -> None:
        """Removes one state entry."""


class ModelSerde(Serde[M]):
    """A pydantic model as JSON, without the fields that are None."""

    def __init__(self, model: type[M]) -> None:
        self._model = model

    @override
    def serialize(self, obj: M | None) -> bytes:
        return b"" if obj is None else obj.model_dump_json(exclude_none=True).encode()

    @override
    def deserialize(self, buf: bytes) -> M | None:
        return self._model.model_validate_json(buf) if buf else None


class SessionHead(BaseModel):
    """What every turn reads, and writes at its end.

    Attributes:
        created_at: in seconds since 1970.
        updated_at: when the latest turn ended, likewise.
        state: ADK's session state after it.
    """

    created_at: float
    updated_at: float
    state: dict[str, Any] = {}


class TurnRecord(BaseModel):
    """One turn.

    Attributes:
        message: what the user said; there from the turn's begin.
        started_at: in seconds since 1970.
        invocation: Restate's id of it.
        status: ``running`` until it ends; a turn that was killed stays so.
        events: ADK's events, once it has ended.
        finished_at: when it ended.
        revision: the revision that finished it.
        error: why it failed.
    """

    message: str
    started_at: float
    invocation: str = ""
    status: Literal["running", "completed", "failed"] = "running"
    events: list[Event] = []
    finished_at: float | None = None
    revision: str = ""
    error: str | None = None


_HEAD = ModelSerde(SessionHead)
_TURN = ModelSerde(TurnRecord)


def _turn_key(number: int) -> str:
    return f"{TURN_PREFIX}{number:06d}"


def turn_numbers(keys: Iterable[str]) -> list[int]:
    """The numbers of the turns that a session's state has entries of, in order."""
    return sorted(int(key.removeprefix(TURN_PREFIX)) for key in keys if key.startswith(TURN_PREFIX))


async def next_turn(reader: Reader, sent: SentState | None) -> int:
    """The number of a turn that begins now."""
    return max(await _numbers(reader, sent), default=0) + 1


async def _numbers(reader: Reader, sent: SentState | None) -> list[int]:
    return turn_numbers(await reader.state_keys() if sent is None else sent.entries)


def text_of(content: types.Content | None) -> str:
    """Joins a content's text, without the model's thoughts."""
    parts = (content.parts if content else None) or []
    return "".join(part.text for part in parts if part.text and not part.thought)


def _events_of(number: int, record: TurnRecord) -> list[Event]:
    if record.events:
        return record.events
    # The turn was killed, or failed before ADK began: only the message is known.
    return [
        Event(
            id=f"turn-{number}",
            invocation_id=f"turn-{number}",
            author="user",
            timestamp=record.started_at,
            content=types.UserContent(record.message),
        )
    ]


type Turns = list[tuple[int, TurnRecord]]


async def _load_turns(reader: Reader, sent: SentState | None, before: int | None = None) -> Turns:
    """Reads a session's turns with their numbers, in order; those before one, if given."""
    found: Turns = []
    for number in await _numbers(reader, sent):
        if before is not None and number >= before:
            break
        key = _turn_key(number)
        if sent is None:
            turn = await reader.get(key, serde=_TURN)
        else:
            turn = _TURN.deserialize(sent.entries[key])
        if turn is not None:
            found.append((number, turn))
    return found


def _events(turns: Turns) -> list[Event]:
    return [event for number, turn in turns for event in _events_of(number, turn)]


@dataclass(frozen=True)
class StoredSession:
    """A session as it is stored.

    Attributes:
        created_at: in seconds since 1970.
        updated_at: when its latest turn ended, or began if it has not ended.
        state: its own, without what it shares with others.
        turns: with their numbers, in order.
    """

    created_at: float
    updated_at: float
    state: dict[str, Any]
    turns: Turns

    @property
    def events(self) -> list[Event]:
        """ADK's events of all turns that have ended, and the messages of all others."""
        return _events(self.turns)


async def read_session(reader: Reader, sent: SentState | None = None) -> StoredSession | None:
    """Reads the session; ``None``: there is none."""
    head = await reader.get(HEAD_KEY, serde=_HEAD)
    turns = await _load_turns(reader, sent)
    if head is None and not turns:
        return None
    times = [time for _, turn in turns for time in (turn.started_at, turn.finished_at or 0.0)]
    return StoredSession(
        created_at=head.created_at if head is not None else times[0],
        updated_at=max(times, default=head.updated_at if head is not None else 0.0),
        state=head.state if head is not None else {},
        turns=turns,
    )


async def running_turn(reader: Reader, sent: SentState | None = None) -> str:
    """The invocation of the turn that runs, or was killed; empty if the latest has ended."""
    numbers = await _numbers(reader, sent)
    if not numbers:
        return ""
    last = await reader.get(_turn_key(numbers[-1]), serde=_TURN)
    return last.invocation if last is not None and last.status == "running" else ""


async def read_history(reader: Reader, sent: SentState | None = None) -> list[Message]:
    """Returns the session's messages, oldest first; none for a session that doesn't exist."""
    turns = await _load_turns(reader, sent)
    latest = turns[-1][0] if turns else 0
    return [m for number, turn in turns for m in _messages_of(number, turn, number == latest)]


def _messages_of(number: int, turn: TurnRecord, latest: bool) -> list[Message]:
    def message(role: Literal["user", "agent", "error"], text: str, at: float) -> Message:
        moment = datetime.fromtimestamp(at, UTC)
        return Message(role=role, text=text, at=moment, turn=number, revision=turn.revision)

    found = [message("user", turn.message, turn.started_at)]
    for event in turn.events:
        text = text_of(event.content)
        if text and event.author != "user":
            found.append(message("agent", text, event.timestamp))
    if turn.error is not None:
        found.append(message("error", turn.error, turn.finished_at or turn.started_at))
    elif turn.status == "running" and not latest:
        # Another turn has begun since, so it doesn't run any more.
        found.append(message("error", KILLED, turn.started_at))
    return found


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
    """

    def __init__(
        self,
        store: Store,
        app_name: str,
        identity: SessionId,
        clock: Clock,
        sent: SentState | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._store = store
        self._app = app_name
        self._identity = identity
        self._clock = clock
        self._sent = sent
        self._elsewhere = elsewhere
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
        head = await self._store.get(HEAD_KEY, serde=_HEAD)
        before = await _load_turns(self._store, self._sent, before=number)
        self._number = number
        self._record = TurnRecord(
            message=message, started_at=self._clock.now(), invocation=invocation
        )
        first = before[0][1] if before else self._record
        self._created_at = head.created_at if head is not None else first.started_at
        self._session = self._make_session(head, _events(before))
        self._store.set(_turn_key(number), self._record, serde=_TURN)
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
        self._later = max(await _numbers(self._store, self._sent), default=0) > self._number

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
        self._store.set(_turn_key(self._number), self._record, serde=_TURN)
        if self._later:
            return
        head = SessionHead(
            created_at=self._created_at, updated_at=now, state=self._own(self._session.state)
        )
        self._store.set(HEAD_KEY, head, serde=_HEAD)

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

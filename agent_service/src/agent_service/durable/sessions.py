"""A session in the state of one virtual object: a small head, and one entry for each turn.

A turn writes its own events and the head, never the turns before it. It reads those out of what
Restate sends along with the call, so that its journal doesn't hold them either (`eager.py`):

=================== ==========================================================
``session``         ``SessionHead``: who, when, how many turns, ADK's state
``turn/000001``     ``TurnRecord``: the message, then the events and the outcome
=================== ==========================================================
"""

from __future__ import annotations

from collections.abc import Awaitable
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
from agent_service.durable.scope import Clock

HEAD_KEY = "session"
TURN_PREFIX = "turn/"

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
    """What every turn reads and writes.

    Attributes:
        app_name: the agent's name.
        user_id: whose session it is.
        created_at: in seconds since 1970.
        updated_at: when the last turn ended, likewise.
        turns: how many turns have begun.
        state: ADK's session state after the last turn.
    """

    app_name: str
    user_id: str
    created_at: float
    updated_at: float
    turns: int = 0
    state: dict[str, Any] = {}


class TurnRecord(BaseModel):
    """One turn.

    Attributes:
        message: what the user said; there from the turn's begin.
        started_at: in seconds since 1970.
        status: ``running`` until it ends; a turn that was killed stays so.
        events: ADK's events, once it has ended.
        finished_at: when it ended.
        revision: the revision that finished it.
        error: why it failed.
    """

    message: str
    started_at: float
    status: Literal["running", "completed", "failed"] = "running"
    events: list[Event] = []
    finished_at: float | None = None
    revision: str = ""
    error: str | None = None


_HEAD = ModelSerde(SessionHead)
_TURN = ModelSerde(TurnRecord)


def _turn_key(number: int) -> str:
    return f"{TURN_PREFIX}{number:06d}"


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


async def _load_turns(
    reader: Reader, head: SessionHead, sent: SentState | None
) -> list[TurnRecord]:
    found: list[TurnRecord] = []
    for number in range(1, head.turns + 1):
        key = _turn_key(number)
        if sent is None:
            turn = await reader.get(key, serde=_TURN)
        else:
            turn = _TURN.deserialize(sent.entries.get(key, b""))
        if turn is not None:
            found.append(turn)
    return found


async def read_history(reader: Reader, sent: SentState | None = None) -> list[Message]:
    """Returns the session's messages, oldest first; none for a session that doesn't exist."""
    head = await reader.get(HEAD_KEY, serde=_HEAD)
    if head is None:
        return []
    messages: list[Message] = []
    for number, turn in enumerate(await _load_turns(reader, head, sent), start=1):
        messages.extend(_messages_of(number, turn))
    return messages


def _messages_of(number: int, turn: TurnRecord) -> list[Message]:
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
    return found


class ObjectSessions(BaseSessionService):
    """ADK's session service for the one session that lives in a virtual object's state.

    It works on a session in memory, and writes at a turn's begin and end: what is written in
    between would be journaled again and again. ``user:`` and ``app:`` state is kept with the
    session, since a virtual object can't write another one's state.

    Args:
        store: Restate's context of the turn.
        session_id: the virtual object's key.
        clock: the turn's time.
        sent: the session as Restate sent it with this attempt; without it the turns before are
            read one by one, through the journal.
    """

    def __init__(
        self, store: Store, session_id: str, clock: Clock, sent: SentState | None = None
    ) -> None:
        self._store = store
        self._id = session_id
        self._clock = clock
        self._sent = sent
        self._head: SessionHead | None = None
        self._session: Session | None = None
        self._record: TurnRecord | None = None
        self._loaded = False
        self._new: list[Event] = []

    async def begin_turn(self, *, app_name: str, user_id: str, message: str) -> int:
        """Writes down that a turn begins, so that its message stays whatever happens.

        Returns:
            The turn's number, from 1.
        """
        await self._load()
        if self._head is None:
            await self.create_session(app_name=app_name, user_id=user_id, session_id=self._id)
        head = self._existing_head()
        head.turns += 1
        self._record = TurnRecord(message=message, started_at=self._clock.now())
        self._write()
        return head.turns

    def end_turn(self, *, revision: str, error: str | None = None) -> None:
        """Writes the turn's events and outcome, and the state it leaves.

        Nothing may be awaited between this and the turn's end: together they reach Restate at
        once, so that events which a tool made differently on a replay can't contradict it.
        """
        if self._record is None:
            raise RuntimeError("no turn has begun")
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
        head = self._existing_head()
        head.updated_at = now
        if self._session is not None:
            head.state = _persistent(self._session.state)
        self._write()

    @override
    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        await self._load()
        if session_id is not None and session_id != self._id:
            raise ValueError(f"session {session_id!r} can't be made in the object of {self._id!r}")
        if self._head is not None:
            raise AlreadyExistsError(f"session {self._id!r} already exists")
        now = self._clock.now()
        self._head = SessionHead(
            app_name=app_name,
            user_id=user_id,
            created_at=now,
            updated_at=now,
            state=_persistent(state or {}),
        )
        self._session = self._make_session(self._head, [])
        self._store.set(HEAD_KEY, self._head, serde=_HEAD)
        return self._session

    @override
    async def get_session(
        self,
        *,
        app_name: str,
        user_id: str,
        session_id: str,
        config: GetSessionConfig | None = None,
    ) -> Session | None:
        await self._load()
        session = self._session
        if session is None or (session.app_name, session.user_id, session.id) != (
            app_name,
            user_id,
            session_id,
        ):
            return None
        return session if config is None else _filtered(session, config)

    @override
    async def list_sessions(
        self, *, app_name: str, user_id: str | None = None
    ) -> ListSessionsResponse:
        await self._load()
        head = self._head
        if head is None or head.app_name != app_name or user_id not in (None, head.user_id):
            return ListSessionsResponse()
        return ListSessionsResponse(sessions=[self._make_session(head, [])])

    @override
    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        session = await self.get_session(app_name=app_name, user_id=user_id, session_id=session_id)
        if session is None:
            return
        for number in range(1, self._existing_head().turns + 1):
            self._store.clear(_turn_key(number))
        self._store.clear(HEAD_KEY)
        self._head = self._session = None
        self._new = []

    @override
    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        await self._load()
        head = self._head
        if head is None or (head.app_name, head.user_id) != (app_name, user_id):
            return {}
        state = self._session.state if self._session is not None else head.state
        prefix = State.USER_PREFIX
        return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

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
        self._new.append(event)
        return event

    async def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        self._head = await self._store.get(HEAD_KEY, serde=_HEAD)
        if self._head is not None:
            turns = await _load_turns(self._store, self._head, self._sent)
            events = [e for n, turn in enumerate(turns, 1) for e in _events_of(n, turn)]
            self._session = self._make_session(self._head, events)

    def _make_session(self, head: SessionHead, events: list[Event]) -> Session:
        return Session(
            id=self._id,
            app_name=head.app_name,
            user_id=head.user_id,
            state=dict(head.state),
            events=events,
            last_update_time=head.updated_at,
        )

    def _existing_head(self) -> SessionHead:
        if self._head is None:
            raise RuntimeError(f"session {self._id!r} does not exist")
        return self._head

    def _write(self) -> None:
        head = self._existing_head()
        if self._record is not None:
            self._store.set(_turn_key(head.turns), self._record, serde=_TURN)
        self._store.set(HEAD_KEY, head, serde=_HEAD)


def _persistent(state: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in state.items() if not k.startswith(State.TEMP_PREFIX)}
    # EventActions knows how to turn what tools put into the state into JSON.
    dumped = EventActions(state_delta=kept).model_dump(mode="json")
    return dict(dumped["state_delta"])


def _filtered(session: Session, config: GetSessionConfig) -> Session:
    events = session.events
    if config.after_timestamp is not None:
        events = [event for event in events if event.timestamp >= config.after_timestamp]
    if config.num_recent_events is not None:
        events = events[-config.num_recent_events :] if config.num_recent_events else []
    return session.model_copy(update={"events": list(events), "state": dict(session.state)})

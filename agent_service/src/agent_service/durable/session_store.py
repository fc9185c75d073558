"""A session as it is stored in the state of one virtual object: a small head, and its turns.

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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from google.adk.events.event import Event
from google.genai import types
from pydantic import BaseModel

from agent_service.api import Message
from agent_service.durable.eager import SentState
from agent_service.durable.stores import ModelSerde, Reader, Store

HEAD_KEY = "session"
TURN_PREFIX = "turn/"
KILLED = "the turn was killed before it could answer"


class SessionHead(BaseModel):
    """What every turn reads, and writes at its end.

    Attributes:
        created_at: in seconds since 1970.
        updated_at: when the latest turn ended, likewise.
        state: ADK's session state after it.
        summaries: the numbers of the turns that have summed up others.
    """

    created_at: float
    updated_at: float
    state: dict[str, Any] = {}
    summaries: list[int] = []


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


async def read_head(reader: Reader) -> SessionHead | None:
    """Reads the head; ``None``: no turn has ended yet."""
    return await reader.get(HEAD_KEY, serde=_HEAD)


def write_head(store: Store, head: SessionHead) -> None:
    """Writes the head."""
    store.set(HEAD_KEY, head, serde=_HEAD)


def write_turn(store: Store, number: int, record: TurnRecord) -> None:
    """Writes a turn's entry."""
    store.set(_turn_key(number), record, serde=_TURN)


def turn_numbers(keys: Iterable[str]) -> list[int]:
    """The numbers of the turns that a session's state has entries of, in order."""
    return sorted(int(key.removeprefix(TURN_PREFIX)) for key in keys if key.startswith(TURN_PREFIX))


async def next_turn(reader: Reader, sent: SentState | None) -> int:
    """The number of a turn that begins now."""
    return await latest_turn(reader, sent) + 1


async def latest_turn(reader: Reader, sent: SentState | None) -> int:
    """The number of the latest turn; 0: there is none."""
    return max(await _numbers(reader, sent), default=0)


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


async def _load_turns(reader: Reader, sent: SentState | None) -> Turns:
    """Reads a session's turns with their numbers, in order."""
    return await _load(reader, sent, await _numbers(reader, sent))


async def _load(reader: Reader, sent: SentState | None, numbers: Iterable[int]) -> Turns:
    return [
        (number, turn)
        for number in numbers
        if (turn := await _load_turn(reader, sent, number)) is not None
    ]


async def _load_turn(reader: Reader, sent: SentState | None, number: int) -> TurnRecord | None:
    key = _turn_key(number)
    if sent is None:
        return await reader.get(key, serde=_TURN)
    return _TURN.deserialize(sent.entries[key])


@dataclass(frozen=True)
class Window:
    """How far back a turn is shown its session.

    Attributes:
        turns: so many of the latest turns are shown as they were, or a few more; 0: all.
        summed_up: whether the app sums turns up (`events_compaction_config`): a turn is left out
            only if a summary stands for it.
    """

    turns: int = 0
    summed_up: bool = False


ALL_TURNS: Final = Window()


async def load_before(
    reader: Reader,
    sent: SentState | None,
    number: int,
    window: Window = ALL_TURNS,
    summaries: Sequence[int] = (),
) -> Turns:
    """Reads the turns before one, as far as it is shown them.

    What is left out is not even parsed: that takes longer than all else that a turn does with it.

    Args:
        reader: of the session's state.
        sent: the state as Restate sent it, if it is to be read there.
        number: the turn that looks back.
        window: how far back. Of older turns, summaries alone are shown.
        summaries: the numbers of turns that have any.
    """
    numbers = [one for one in await _numbers(reader, sent) if one < number]
    border = max(len(numbers) - window.turns, 0) if window.turns else 0
    shown = await _load(reader, sent, numbers[border:])
    old = dict(await _load(reader, sent, [one for one in numbers[:border] if one in summaries]))
    known = [*old.values(), *(turn for _, turn in shown)]
    summed_up_to = max(map(_summed_up_to, known), default=0.0)
    for one in reversed(numbers[:border]):
        turn = old.get(one) or await _load_turn(reader, sent, one)
        if turn is None:
            continue
        if not _belongs(turn, shown, window, summed_up_to):
            break
        shown.insert(0, (one, turn))
    first = shown[0][0] if shown else number
    return [*((one, _summaries_of(turn)) for one, turn in old.items() if one < first), *shown]


def _belongs(turn: TurnRecord, shown: Turns, window: Window, summed_up_to: float) -> bool:
    """Whether a turn has to be shown together with those after it."""
    if not turn.events:
        return True
    told = [event for event in turn.events if not _is_summary(event)]
    if window.summed_up and any(event.timestamp > summed_up_to for event in told):
        return True
    # A task that goes on for several turns is one invocation for ADK, which looks for its begin.
    after = next((later for _, later in shown if later.events), None)
    return after is None or not _invocations(turn).isdisjoint(_invocations(after))


def _invocations(turn: TurnRecord) -> set[str]:
    return {event.invocation_id for event in turn.events if event.invocation_id}


def _is_summary(event: Event) -> bool:
    return bool(event.actions and event.actions.compaction)


def has_summaries(events: Iterable[Event]) -> bool:
    """Whether any of these events sums up others."""
    return any(map(_is_summary, events))


def _summed_up_to(turn: TurnRecord) -> float:
    """The latest time that the turn's summaries stand for; 0: it has none."""
    found = [event.actions.compaction for event in turn.events if _is_summary(event)]
    return max((one.end_timestamp for one in found if one is not None), default=0.0)


def _summaries_of(turn: TurnRecord) -> TurnRecord:
    return turn.model_copy(
        update={"events": [event for event in turn.events if _is_summary(event)]}
    )


def events_of(turns: Turns) -> list[Event]:
    """ADK's events of turns; of those that have none, the message."""
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
        return events_of(self.turns)


async def read_session(reader: Reader, sent: SentState | None = None) -> StoredSession | None:
    """Reads the session; ``None``: there is none."""
    head = await read_head(reader)
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


async def running_turn(reader: Reader) -> str:
    """The invocation of the turn that runs, or was killed; empty if the latest has ended."""
    # Not out of what Restate sent: a session changes while somebody waits to delete it.
    latest = await latest_turn(reader, None)
    last = await _load_turn(reader, None, latest) if latest else None
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

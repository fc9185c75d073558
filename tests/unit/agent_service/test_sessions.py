from __future__ import annotations

from typing import Any

import pytest
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions, EventCompaction
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.session import Session
from google.genai import types

from agent_service.durable.eager import SentState
from agent_service.durable.identity import SessionId
from agent_service.durable.scope import Clock
from agent_service.durable.session_store import (
    ALL_TURNS,
    KILLED,
    Window,
    next_turn,
    read_history,
    text_of,
)
from agent_service.durable.sessions import ObjectSessions, Shared
from tests.unit.agent_service.fakes import FakeStore

APP, USER, KEY = "App", "user", "s1"
MINE = SessionId(USER, KEY)


def _sessions(
    store: FakeStore,
    start: float = 1000.0,
    sent: SentState | None = None,
    window: Window = ALL_TURNS,
) -> ObjectSessions:
    return ObjectSessions(store, APP, MINE, Clock(start), sent, window=window)


async def _begun(store: FakeStore, message: str = "go", start: float = 1000.0) -> ObjectSessions:
    sessions = _sessions(store, start)
    await sessions.begin_turn(await next_turn(store, None), message)
    return sessions


async def _read(store: FakeStore) -> Session:
    """The session as the next turn gets it."""
    return await _session(await _begun(FakeStore(store.state)))


async def _session(sessions: ObjectSessions) -> Session:
    session = await sessions.get_session(app_name=APP, user_id=USER, session_id=KEY)
    assert session is not None
    return session


def _event(text: str, author: str = "App", at: float = 1000.5, **delta: object) -> Event:
    content = types.Content(role="model", parts=[types.Part(text=text)])
    actions = EventActions(state_delta=dict(delta))
    return Event(author=author, content=content, timestamp=at, actions=actions)


async def _turn(store: FakeStore, text: str, answer: str, start: float = 1000.0) -> None:
    sessions = await _begun(store, text, start)
    session = await _session(sessions)
    await sessions.append_event(session, _event(text, author="user", at=start))
    await sessions.append_event(session, _event(answer, at=start + 0.5, last=text))
    sessions.end_turn(revision="r1")


async def test_a_turn_is_read_back_by_the_next() -> None:
    store = FakeStore()
    await _turn(store, "hi", "hello")
    session = await _read(store)
    assert [text_of(event.content) for event in session.events] == ["hi", "hello"]
    assert session.state == {"last": "hi"}
    messages = await read_history(store)
    assert [(m.role, m.text, m.turn, m.revision) for m in messages] == [
        ("user", "hi", 1, "r1"),
        ("agent", "hello", 1, "r1"),
    ]


async def test_a_turn_writes_its_own_entry_and_the_head_alone() -> None:
    store = FakeStore()
    await _turn(store, "one", "1")
    store.written.clear()
    await _turn(store, "two", "2", start=2000.0)
    assert set(store.written) == {"turn/000002", "session"}


async def test_the_message_is_kept_from_the_begin() -> None:
    store = FakeStore()
    await _begun(store, "lost?")
    # No end: the turn was killed.
    assert [(m.role, m.text) for m in await read_history(store)] == [("user", "lost?")]
    session = await _read(store)
    assert text_of(session.events[0].content) == "lost?"


async def test_a_failed_turn_keeps_its_events_and_says_why() -> None:
    store = FakeStore()
    sessions = await _begun(store)
    await sessions.append_event(await _session(sessions), _event("so far", done=True))
    sessions.end_turn(revision="", error="model refused")
    assert [m.role for m in await read_history(store)] == ["user", "agent", "error"]
    assert (await _read(store)).state == {"done": True}


async def test_temporary_state_and_partial_events_are_not_stored() -> None:
    store = FakeStore()
    sessions = await _begun(store)
    session = await _session(sessions)
    delta: dict[str, Any] = {"temp:x": 1, "user:y": 2, "z": {"when": 3}}
    await sessions.append_event(session, _event("all", **delta))
    partial = _event("par")
    partial.partial = True
    await sessions.append_event(session, partial)
    assert session.state["temp:x"] == 1
    sessions.end_turn(revision="")
    read = await _begun(store)
    # Nobody said that the user's state is kept elsewhere, so it is kept here.
    assert (await _session(read)).state == {"user:y": 2, "z": {"when": 3}}
    assert len((await _session(read)).events) == 1
    assert await read.get_user_state(app_name=APP, user_id=USER) == {"y": 2}


@pytest.mark.parametrize(
    ("config", "texts"),
    [
        (GetSessionConfig(num_recent_events=1), ["hello"]),
        (GetSessionConfig(num_recent_events=0), []),
        (GetSessionConfig(after_timestamp=1000.2), ["hello"]),
        (GetSessionConfig(after_timestamp=1000.0, num_recent_events=5), ["hi", "hello"]),
    ],
)
async def test_get_filters_events(config: GetSessionConfig, texts: list[str]) -> None:
    store = FakeStore()
    await _turn(store, "hi", "hello")
    sessions = await _begun(store)
    session = await sessions.get_session(app_name=APP, user_id=USER, session_id=KEY, config=config)
    assert session is not None
    assert [text_of(event.content) for event in session.events] == texts


async def test_events_appended_to_a_filtered_session_are_not_lost() -> None:
    store = FakeStore()
    await _turn(store, "hi", "hello")
    sessions = await _begun(store, "more")
    part = await sessions.get_session(
        app_name=APP,
        user_id=USER,
        session_id=KEY,
        config=GetSessionConfig(num_recent_events=0),
    )
    assert part is not None
    await sessions.append_event(part, _event("news", fresh=1))
    assert len(part.events) == 1
    assert len((await _session(sessions)).events) == 3
    sessions.end_turn(revision="")
    assert (await _read(store)).state == {"last": "hi", "fresh": 1}


async def test_other_identities_see_nothing() -> None:
    store = FakeStore()
    await _turn(store, "hi", "hello")
    sessions = await _begun(store)
    for app, user, key in (("Other", USER, KEY), (APP, "other", KEY), (APP, USER, "other")):
        found = await sessions.get_session(app_name=app, user_id=user, session_id=key)
        assert found is None
    assert (await sessions.list_sessions(app_name="Other")).sessions == []
    assert (await sessions.list_sessions(app_name=APP, user_id="other")).sessions == []
    assert await sessions.get_user_state(app_name="Other", user_id=USER) == {}
    (listed,) = (await sessions.list_sessions(app_name=APP)).sessions
    assert (listed.id, listed.user_id, listed.events) == (KEY, USER, [])


async def test_a_turn_makes_no_sessions() -> None:
    sessions = await _begun(FakeStore())
    with pytest.raises(AlreadyExistsError):
        await sessions.create_session(app_name=APP, user_id=USER)
    with pytest.raises(ValueError, match="other"):
        await sessions.create_session(app_name=APP, user_id=USER, session_id="other")


async def test_a_turn_that_deletes_its_session_leaves_it_until_it_ends() -> None:
    store = FakeStore()
    await _turn(store, "hi", "hello")
    sessions = await _begun(store)
    session = await _session(sessions)
    await sessions.delete_session(app_name=APP, user_id="other", session_id=KEY)
    assert not sessions.deleted
    before = dict(store.state)
    await sessions.delete_session(app_name=APP, user_id=USER, session_id=KEY)
    assert sessions.deleted
    assert await sessions.get_session(app_name=APP, user_id=USER, session_id=KEY) is None
    await sessions.append_event(session, _event("the rest"))
    sessions.end_turn(revision="")
    # A replay reads it again; who ends the turn removes it with all else.
    assert store.state == before


async def test_shared_state_is_not_kept_with_the_session() -> None:
    store = FakeStore()
    sessions = await _begun(store)
    sessions.share(Shared(user={"name": "Ann", "tags": ["a"]}, app={"limit": 3}))
    session = await _session(sessions)
    assert session.state == {"user:name": "Ann", "user:tags": ["a"], "app:limit": 3}
    same: dict[str, Any] = {"user:name": "Ann", "app:limit": 3}
    await sessions.append_event(session, _event("same", **same))
    assert sessions.changed() == ({}, {})
    session.state["user:tags"].append("b")
    delta: dict[str, Any] = {"user:tags": ["a", "b"], "app:limit": 4, "mine": 1, "temp:x": 2}
    await sessions.append_event(session, _event("changed", **delta))
    assert sessions.changed() == ({"tags": ["a", "b"]}, {"limit": 4})
    sessions.end_turn(revision="")
    assert (await _read(store)).state == {"mine": 1}


async def _add(store: FakeStore, *events: Event, start: float = 1000.0) -> None:
    """A turn with these events."""
    sessions = await _begun(store, "go", start)
    session = await _session(sessions)
    for event in events:
        await sessions.append_event(session, event)
    sessions.end_turn(revision="")


def _summary(until: float) -> Event:
    content = types.Content(role="model", parts=[types.Part(text=f"all until {until:.0f}")])
    compaction = EventCompaction(
        start_timestamp=1.0, end_timestamp=until, compacted_content=content
    )
    actions = EventActions(compaction=compaction)
    return Event(author="user", timestamp=until + 0.5, actions=actions)


async def _shown(store: FakeStore, window: Window, sent: bool = True) -> list[str]:
    """What the next turn is shown; a summary as its text."""
    state = SentState(dict(store.state), complete=True) if sent else None
    sessions = _sessions(FakeStore(store.state), 9000.0, state, window)
    await sessions.begin_turn(await next_turn(store, None), "next")
    session = await _session(sessions)
    compacted = ((event, event.actions.compaction) for event in session.events)
    return [text_of(one.compacted_content if one else event.content) for event, one in compacted]


@pytest.mark.parametrize("sent", [True, False])
async def test_a_turn_may_be_shown_the_latest_turns_and_summaries_of_others(sent: bool) -> None:
    store = FakeStore()
    await _add(store, _event("1", at=1001))
    await _add(store, _event("2", at=1002))
    await _add(store, _event("3", at=1003), _summary(1003))
    await _add(store, _event("4", at=1004))
    await _add(store, _event("5", at=1005))
    assert await _shown(store, Window(2), sent) == ["all until 1003", "4", "5"]
    assert await _shown(store, Window(2, summed_up=True), sent) == ["all until 1003", "4", "5"]
    assert await _shown(store, ALL_TURNS, sent) == ["1", "2", "3", "all until 1003", "4", "5"]
    # What a turn isn't shown is still there.
    assert len(await read_history(store)) == 10


async def test_no_turn_is_left_out_that_no_summary_stands_for() -> None:
    store = FakeStore()
    for number in range(1, 6):
        await _add(store, _event(str(number), at=1000 + number))
    summed_up = Window(1, summed_up=True)
    assert await _shown(store, Window(1)) == ["5"]
    assert await _shown(store, summed_up) == ["1", "2", "3", "4", "5"]
    await _add(store, _event("6", at=1006), _summary(1003))
    assert await _shown(store, summed_up) == ["4", "5", "6", "all until 1003"]
    await _add(store, _event("7", at=1007), _summary(1006))
    assert await _shown(store, summed_up) == ["all until 1003", "7", "all until 1006"]


async def test_what_adk_takes_for_one_invocation_is_not_cut_apart() -> None:
    """A task that an agent was given goes on for several turns; ADK looks for its begin."""
    store = FakeStore()
    for number, invocation in enumerate(("a", "task", "task", "task"), 1):
        event = _event(str(number), at=1000 + number)
        await _add(store, event.model_copy(update={"invocation_id": invocation}))
    await _begun(store, "killed")
    assert await _shown(store, Window(1)) == ["2", "3", "4", "killed"]
    await _add(store, _event("6", at=1006).model_copy(update={"invocation_id": "b"}))
    assert await _shown(store, Window(1)) == ["killed", "6"]


async def test_a_session_in_which_no_turn_has_ended_is_as_old_as_its_first() -> None:
    store = FakeStore()
    for number in range(3):
        await _begun(store, "killed", start=1000.0 + number)
    sessions = _sessions(store, start=2000.0, window=Window(1))
    assert await sessions.begin_turn(4, "now") == pytest.approx(1000.0, abs=0.1)


async def test_a_turn_is_later_than_the_one_before_whatever_its_pods_clock_says() -> None:
    """ADK compares times of events: one that is too early counts as summed up."""
    store = FakeStore()
    await _turn(store, "one", "1", start=5000.0)
    await _begun(store, "two", start=4000.0)
    messages = await read_history(store)
    assert messages[-1].text == "two"
    assert messages[-1].at > messages[0].at


async def test_none_is_a_value_of_the_state() -> None:
    store = FakeStore()
    sessions = await _begun(store)
    await sessions.append_event(await _session(sessions), _event("x", nothing=None))
    sessions.end_turn(revision="")
    assert (await _read(store)).state == {"nothing": None}


async def test_a_turn_restarted_after_later_ones_replaces_its_own_entry_alone() -> None:
    store = FakeStore()
    await _turn(store, "one", "1")
    await _turn(store, "two", "2", start=2000.0)
    await _turn(store, "three", "3", start=3000.0)
    head = store.state["session"]
    sessions = _sessions(store, 4000.0)
    sessions.share(Shared(user={}))
    await sessions.begin_turn(2, "two")
    session = await _session(sessions)
    assert [text_of(event.content) for event in session.events] == ["one", "1"]
    again: dict[str, Any] = {"last": "again", "user:x": 1}
    await sessions.append_event(session, _event("2 again", **again))
    await sessions.look_for_later_turns()
    assert sessions.changed() == ({}, {})
    sessions.end_turn(revision="r2")
    assert store.state["session"] == head
    assert [m.text for m in await read_history(store)] == [
        "one",
        "1",
        "two",
        "2 again",
        "three",
        "3",
    ]


async def test_a_killed_turn_is_told_from_a_running_one() -> None:
    store = FakeStore()
    await _begun(store, "lost")
    assert [m.role for m in await read_history(store)] == ["user"]
    await _turn(store, "next", "here")
    assert [(m.role, m.text) for m in await read_history(store)] == [
        ("user", "lost"),
        ("error", KILLED),
        ("user", "next"),
        ("agent", "here"),
    ]


async def test_binary_parts_survive() -> None:
    store = FakeStore()
    sessions = await _begun(store, "look")
    blob = types.Part(inline_data=types.Blob(data=b"\xff\x00\xfe", mime_type="image/png"))
    signed = types.Part(text="x", thought_signature=b"\xfe\xff")
    event = Event(author="App", content=types.Content(role="model", parts=[blob, signed]))
    await sessions.append_event(await _session(sessions), event)
    sessions.end_turn(revision="")
    parts = (await _read(store)).events[0].content
    assert parts == event.content

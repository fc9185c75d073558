"""Partial text of turns that stream, next to turns that stay as durable as they were."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import httpx
import pytest

from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from tests.integration.agent_service.harness import Endpoint, Restate, wait_until
from tests.integration.agent_service.reading import (
    TEXT,
    WORDS,
    Reader,
    begin,
    breaks_once,
    read,
    says,
    wait_text,
)

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("scripted_model")]

AGENT = "ToolsAgent"


@pytest.fixture
def live(restate: Restate, endpoint: Endpoint) -> Restate:
    assert endpoint.process is not None
    return restate


@pytest.fixture
def session() -> str:
    return f"ann:s-{uuid.uuid4().hex[:8]}"


def test_text_comes_before_the_turn_ends(
    live: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(says())
    turn = begin(live, session, AGENT)
    readers = [Reader(live, session, turn, AGENT) for _ in range(3)]
    for reader in readers:
        wait_text(reader)
    running = live.messages(AGENT, session)
    assert running == [("user", "go")]
    answer = live.result(turn).json()
    assert (answer["answer"], answer["turn"], answer["notStreamed"]) == (TEXT, 1, "")
    for reader in readers:
        assert reader.finish() == [TEXT]
        assert set(reader.authors.values()) == {AGENT}
        # Words come in batches, and in several.
        assert 3 < len(reader.pages) < len(WORDS)
        assert reader.resets == 0
    # One that comes late finds the text, and later at least the end.
    late = read(live, session, AGENT, turn=turn)
    assert (late["chunks"][0]["text"], late["ended"]) == (TEXT, True)
    assert read(live, session, AGENT, turn=turn, offset=late["next"])["chunks"] == []
    assert read(live, session, AGENT)["turn"] == turn


def test_the_journal_is_that_of_a_turn_that_does_not_stream(
    live: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(says(pause=0))
    answers, journals, events = [], [], []
    for number, stream in enumerate((False, True)):
        key = f"{session}-{number}"
        body = {"message": "go", "stream": stream}
        sent = live.call(AGENT, key, "turn/send", body).json()["invocationId"]
        answers.append(live.result(sent).json() | {"session": ""})
        rows = live.query(
            "select entry_type, coalesce(name, '') as name from sys_journal"
            f" where id = '{sent}' and entry_type like 'Command: %'"
            # How fresh the process' copy of the app: state is makes a difference of its own.
            " and entry_type != 'Command: Call' order by \"index\""
        )
        journals.append([(row["entry_type"], row["name"]) for row in rows])
        view = live.call(AGENT, key, "get", {}).json()["events"]
        kept = ("author", "content", "finishReason", "usageMetadata", "modelVersion")
        events.append([{name: event.get(name) for name in kept} for event in view])
    assert answers[0] == answers[1]
    assert events[0] == events[1]
    # That its text has ended is told, and that is all.
    plain, streamed = journals
    assert streamed == [*plain[:-1], ("Command: OneWayCall", ""), plain[-1]]


def test_text_of_a_model_call_that_failed_is_void(
    live: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(breaks_once(), says(pause=0.01))
    turn = begin(live, session, AGENT)
    reader = Reader(live, session, turn, AGENT)
    assert live.result(turn).json()["answer"] == TEXT
    assert reader.finish() == [TEXT]
    assert reader.resets == 1


def test_a_turn_restarted_from_a_step_streams_under_its_new_id(
    live: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    call = Call(name="measure", args={"what": session, "seconds": 0})
    scripted_model.put_first(
        Rule(name="first", when=When(text="go", after_response=False), reply=Reply(calls=[call])),
        says("second", pause=0, after_response=True),
    )
    turn = begin(live, session, AGENT)
    assert live.result(turn).json()["answer"] == TEXT
    (model,) = live.query(
        f"select max(\"index\") as i from sys_journal where id = '{turn}' and name like 'measure%'"
    )
    url = f"{live.server.admin_url}/invocations/{turn}/restart-as-new"
    sent = live.http.patch(url, params={"from": model["i"]}).raise_for_status()
    again = str(sent.json()["new_invocation_id"])
    reader = Reader(live, session, again, AGENT)
    assert live.result(again).json()["answer"] == TEXT
    assert reader.finish() == [TEXT]
    assert reader.resets == 0


def test_text_of_a_process_that_died_is_void_and_what_was_complete_stays(
    live: Restate, endpoint: Endpoint, session: str, scripted_model: ScriptedModel
) -> None:
    call = Call(name="measure", args={"what": session, "seconds": 0})
    scripted_model.put_first(
        Rule(
            name="first",
            when=When(text="go", after_response=False),
            reply=Reply(text="Let me see.", calls=[call]),
        ),
        says("second", after_response=True),
    )
    turn = begin(live, session, AGENT)
    reader = Reader(live, session, turn, AGENT)
    wait_until("the second message begins", lambda: reader.texts.get(2))
    endpoint.kill()
    assert reader.resets == 0
    endpoint.start()
    assert live.result(turn).json()["answer"] == TEXT
    assert reader.finish() == ["Let me see.", TEXT]
    assert reader.resets == 1
    rules = [one.rule for one in scripted_model.calls()]
    assert rules == ["first", "second", "second"]
    assert live.messages(AGENT, session)[-1] == ("agent", TEXT)


def test_agents_side_by_side_stream_side_by_side(
    live: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(
        *(
            Rule(
                name=name,
                when=When(system=f"You are {name}"),
                reply=Reply(text=f"{name} says {TEXT}", pause=0.02),
            )
            for name in ("T1", "T2", "T3")
        )
    )
    turn = begin(live, session, "Team")
    reader = Reader(live, session, turn, "Team")
    live.result(turn).raise_for_status()
    assert reader.finish() == [f"T{number} says {TEXT}" for number in (1, 2, 3)]
    assert reader.authors == {1: "T1", 2: "T2", 3: "T3"}


def test_callbacks_run_on_the_whole_answer(
    live: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(says(pause=0.01))
    turn = begin(live, session, "CallbackAgent")
    reader = Reader(live, session, turn, "CallbackAgent")
    assert live.result(turn).json()["answer"] == f"{TEXT} [checked 1]"
    # Readers see what the model wrote.
    assert reader.finish() == [TEXT]


def test_a_reader_may_come_before_the_turn_and_after_others(
    live: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    assert read(live, session, AGENT, wait=0) == {
        "turn": "", "chunks": [], "next": 0, "ended": False, "reason": "",
    }  # fmt: skip
    began = time.monotonic()
    assert read(live, session, AGENT, wait=1)["ended"] is False
    assert time.monotonic() - began >= 1
    scripted_model.put_first(says(pause=0.01))
    first, second = begin(live, session, AGENT), begin(live, session, AGENT)
    readers = [Reader(live, session, turn, AGENT) for turn in (second, first)]
    for reader in readers:
        assert reader.finish()[-1:] in ([TEXT], [])
    assert readers[0].finish() == [TEXT]
    assert read(live, session, AGENT, turn=first)["ended"] is True


def test_a_cancelled_turn_ends_its_stream(
    live: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(says(pause=0.2))
    turn = begin(live, session, AGENT)
    reader = Reader(live, session, turn, AGENT)
    wait_text(reader)
    live.call(AGENT, session, "cancel").raise_for_status()
    assert live.result(turn).status_code == 409
    assert reader.finish() != [TEXT]


def test_a_deleted_session_takes_its_text_along(
    live: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(says(pause=0.2))
    turn = begin(live, session, AGENT)
    reader = Reader(live, session, turn, AGENT)
    wait_text(reader)
    assert live.call(AGENT, session, "delete").json() == {"deleted": True}
    assert reader.finish() != [TEXT]
    rows = live.query(
        f"select key, value_utf8 as value from state where service_name = '{AGENT}.streams'"
        f" and service_key = '{session}'"
    )
    assert [row["key"] for row in rows] == ["head"]
    assert WORDS[0].strip() not in rows[0]["value"]
    # A reader that comes late, or again, is told.
    assert read(live, session, AGENT, turn=turn, offset=7)["ended"] is True


def test_reading_where_nothing_streams_leaves_nothing(live: Restate, session: str) -> None:
    for turn in ("", "inv_1none"):
        assert read(live, session, AGENT, turn=turn, wait=0.3)["chunks"] == []
    sql = f"select key from state where service_key = '{session}'"
    wait_until("nothing is left", lambda: not live.query(sql) or None, 20)


def test_requests_that_do_not_fit_are_refused(live: Restate, session: str) -> None:
    for query, problem in (
        ({"offset": 3}, "an offset needs a turn"),
        ({"wait": 100}, "wait: Input should be less than or equal to 30"),
        ({"from": 3}, "from: Extra inputs"),
    ):
        answer = live.call(f"{AGENT}.streams", session, "read", query)
        assert answer.status_code == 400
        assert problem in answer.json()["message"]


def test_any_page_may_call_the_ingress(live: Restate, session: str) -> None:
    url = f"{live.server.ingress_url}/{AGENT}/{session}/turn"
    asked = httpx.options(
        url,
        headers={
            "origin": "https://shop.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        },
        trust_env=False,
    )
    assert asked.headers["access-control-allow-origin"] in ("*", "https://shop.example")


def test_without_an_ingress_the_answer_is_the_same(
    restate: Restate, scripted_model: ScriptedModel, session: str, tmp_path: Path
) -> None:
    agent = "WatchedAgent"
    watched = "tests.integration.agent_service.watched:agent"
    with Endpoint([watched], scripted_model.url, tmp_path, {}) as endpoint:
        endpoint.register(restate)
        scripted_model.put_first(says(pause=0.01))
        turn = begin(restate, session, agent)
        page = read(restate, session, agent, turn=turn)
        answer = restate.result(turn).json()
    assert answer["answer"] == TEXT
    assert "RESTATE_INGRESS_URL" in answer["notStreamed"]
    assert (page["reason"], page["ended"], page["chunks"]) == (answer["notStreamed"], True, [])

"""Partial text of turns that stream, next to turns that stay as durable as they were."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from hack.restate import RestateServer
from tests.integration.agent_service.harness import AGENTS, Endpoint, Restate, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("scripted_model")]

AGENT = "ToolsAgent"
WORDS = [f"word{number} " for number in range(40)]
TEXT = "".join(WORDS).strip()


@pytest.fixture(scope="module")
def own_restate() -> Iterator[Restate]:
    """One of its own: these agents are served with other settings than those of other tests."""
    with RestateServer() as server:
        client = Restate(server)
        yield client
        client.http.close()


@pytest.fixture(scope="module")
def streaming(
    own_restate: Restate,
    scripted_model_server: ScriptedModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Endpoint]:
    agents = (f"{AGENTS}:tools", f"{AGENTS}:team", f"{AGENTS}:callbacks", f"{AGENTS}:stubborn")
    env = {"RESTATE_INGRESS_URL": own_restate.server.ingress_url}
    folder = tmp_path_factory.mktemp("streaming")
    with Endpoint(agents, scripted_model_server.url, folder, env) as endpoint:
        endpoint.register(own_restate)
        yield endpoint


@pytest.fixture
def live(own_restate: Restate, streaming: Endpoint) -> Restate:
    if streaming.process is None:
        streaming.start()
    return own_restate


@pytest.fixture
def session() -> str:
    return f"ann:s-{uuid.uuid4().hex[:8]}"


def says(name: str = "say", pause: float = 0.05, **more: Any) -> Rule:
    return Rule(name=name, when=When(text="go", **more), reply=Reply(text=TEXT, pause=pause))


def begin(restate: Restate, session: str, agent: str = AGENT) -> str:
    answer = restate.call(agent, session, "turn/send", {"message": "go", "stream": True})
    return str(answer.raise_for_status().json()["invocationId"])


def read(restate: Restate, session: str, agent: str = AGENT, **query: Any) -> dict[str, Any]:
    answer = restate.call(f"{agent}.streams", session, "read", query)
    page: dict[str, Any] = answer.raise_for_status().json()
    return page


class Reader(threading.Thread):
    """What a chat page does: reads to the end, and drops what became void."""

    def __init__(self, restate: Restate, session: str, turn: str, agent: str = AGENT) -> None:
        super().__init__(daemon=True)
        self._ask = (session, turn, agent)
        # A client of its own, for a thread of its own.
        self._restate = Restate(restate.server)
        self.texts: dict[int, str] = {}
        self.authors: dict[int, str] = {}
        self.pages: list[tuple[float, dict[str, Any]]] = []
        self.resets = 0
        self.start()

    def run(self) -> None:
        session, turn, agent = self._ask
        offset, ended = 0, False
        while not ended:
            page = read(self._restate, session, agent, turn=turn, offset=offset)
            self.pages.append((time.monotonic(), page))
            for chunk in page["chunks"]:
                number = chunk["message"]
                before = "" if chunk["reset"] else self.texts.get(number, "")
                self.resets += chunk["reset"]
                self.texts[number] = before + chunk["text"]
                self.authors[number] = chunk["author"]
            offset, ended = page["next"], page["ended"]

    def finish(self) -> list[str]:
        """Waits for the end; returns the messages that have text."""
        self.join(60)
        assert not self.is_alive()
        return [text for _, text in sorted(self.texts.items()) if text]


def wait_text(reader: Reader) -> None:
    wait_until("some text comes", lambda: any(reader.texts.values()))


def test_text_comes_before_the_turn_ends(
    live: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(says())
    turn = begin(live, session)
    readers = [Reader(live, session, turn) for _ in range(3)]
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
    late = read(live, session, turn=turn)
    assert (late["chunks"][0]["text"], late["ended"]) == (TEXT, True)
    assert read(live, session, turn=turn, offset=late["next"])["chunks"] == []
    assert read(live, session)["turn"] == turn


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


def test_text_of_a_process_that_died_is_void(
    live: Restate, streaming: Endpoint, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(says())
    calls = len(scripted_model.calls())
    turn = begin(live, session)
    reader = Reader(live, session, turn)
    wait_text(reader)
    streaming.kill()
    assert reader.resets == 0
    streaming.start()
    assert live.result(turn).json()["answer"] == TEXT
    assert reader.finish() == [TEXT]
    assert reader.resets == 1
    assert len(scripted_model.calls()) - calls == 2
    assert live.messages(AGENT, session) == [("user", "go"), ("agent", TEXT)]


def test_text_of_a_model_call_that_failed_is_void(
    live: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    broken = Reply(text=f"Well, {TEXT}", pause=0.05, breaks_after=10, times=1)
    scripted_model.put_first(Rule(name="broken", when=When(text="go"), reply=broken), says())
    turn = begin(live, session)
    reader = Reader(live, session, turn)
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
    turn = begin(live, session)
    assert live.result(turn).json()["answer"] == TEXT
    (model,) = live.query(
        f"select max(\"index\") as i from sys_journal where id = '{turn}' and name like 'measure%'"
    )
    url = f"{live.server.admin_url}/invocations/{turn}/restart-as-new"
    sent = live.http.patch(url, params={"from": model["i"]}).raise_for_status()
    again = str(sent.json()["new_invocation_id"])
    reader = Reader(live, session, again)
    assert live.result(again).json()["answer"] == TEXT
    assert reader.finish() == [TEXT]
    assert reader.resets == 0


def test_what_a_turn_said_before_a_tool_stays_when_its_process_dies(
    live: Restate, streaming: Endpoint, session: str, scripted_model: ScriptedModel
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
    turn = begin(live, session)
    reader = Reader(live, session, turn)
    wait_until("the second message begins", lambda: reader.texts.get(2))
    streaming.kill()
    streaming.start()
    assert live.result(turn).json()["answer"] == TEXT
    assert reader.finish() == ["Let me see.", TEXT]
    assert reader.resets == 1


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
    assert read(live, session, wait=0) == {
        "turn": "", "chunks": [], "next": 0, "ended": False, "reason": "",
    }  # fmt: skip
    began = time.monotonic()
    assert read(live, session, wait=1)["ended"] is False
    assert time.monotonic() - began >= 1
    scripted_model.put_first(says(pause=0.01))
    first, second = begin(live, session), begin(live, session)
    readers = [Reader(live, session, turn) for turn in (second, first)]
    for reader in readers:
        assert reader.finish()[-1:] in ([TEXT], [])
    assert readers[0].finish() == [TEXT]
    assert read(live, session, turn=first)["ended"] is True


def test_a_cancelled_turn_ends_its_stream(
    live: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(says(pause=0.2))
    turn = begin(live, session)
    reader = Reader(live, session, turn)
    wait_text(reader)
    live.call(AGENT, session, "cancel").raise_for_status()
    assert live.result(turn).status_code == 409
    assert reader.finish() != [TEXT]


def test_a_deleted_session_takes_its_text_along(
    live: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(says(pause=0.2))
    turn = begin(live, session)
    reader = Reader(live, session, turn)
    wait_text(reader)
    assert live.call(AGENT, session, "delete").json() == {"deleted": True}
    assert reader.finish() != [TEXT]
    rows = live.query(
        f"select key from state where service_name = '{AGENT}.streams'"
        f" and service_key = '{session}'"
    )
    assert rows == []


def test_reading_where_nothing_streams_leaves_nothing(live: Restate, session: str) -> None:
    for turn in ("", "inv_1none"):
        assert read(live, session, turn=turn, wait=0.3)["chunks"] == []
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


@pytest.mark.usefixtures("endpoint")
def test_without_an_ingress_the_answer_is_the_same(
    restate: Restate, scripted_model: ScriptedModel, session: str
) -> None:
    # The endpoint of most tests has none.
    scripted_model.put_first(says(pause=0.01))
    turn = begin(restate, session)
    page = read(restate, session, turn=turn)
    answer = restate.result(turn).json()
    assert answer["answer"] == TEXT
    assert "RESTATE_INGRESS_URL" in answer["notStreamed"]
    assert (page["reason"], page["ended"], page["chunks"]) == (answer["notStreamed"], True, [])


def test_an_ingress_that_is_gone_costs_only_the_text(
    live: Restate, streaming: Endpoint, session: str, scripted_model: ScriptedModel
) -> None:
    streaming.kill()
    streaming.start({"RESTATE_INGRESS_URL": "http://127.0.0.1:9"})
    scripted_model.put_first(says(pause=0.01))
    turn = begin(live, session)
    page = read(live, session, turn=turn, wait=30)
    answer = live.result(turn).json()
    assert (answer["answer"], answer["notStreamed"]) == (TEXT, "")
    assert (page["ended"], page["chunks"]) == (True, [])
    assert "partial text can't be published" in streaming.log.read_text()

"""Turns, sessions, callbacks, tools and errors, with nothing going wrong in the machinery."""

from __future__ import annotations

import uuid

import pytest

from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from tests.integration.agent_service.harness import Endpoint, Restate

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("endpoint", "scripted_model")]


@pytest.fixture
def session() -> str:
    return f"s-{uuid.uuid4().hex[:8]}"


def test_a_weather_turn_answers_from_the_tools_response(restate: Restate, session: str) -> None:
    answer = restate.turn("WeatherAgent", session, "What is the weather in Paris?")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert "°C in Paris" in body["answer"]
    assert body["agent"] == "WeatherAgent"
    assert body["session"] == session
    assert body["revision"] == "rev-1"
    assert body["turn"] == 1
    assert body["usage"]["modelCalls"] == 2
    assert body["usage"]["promptTokens"] > 0


def test_discovery_publishes_json_schemas(restate: Restate) -> None:
    answer = restate.http.get(f"{restate.server.admin_url}/services/WeatherAgent")
    handlers = {handler["name"]: handler for handler in answer.json()["handlers"]}
    assert set(handlers) == {
        *("turn", "history", "get", "approvals", "answer", "decisions"),
        *("cancel", "delete", "erase", "erase_child"),
    }
    assert "message" in handlers["turn"]["input_json_schema"]["properties"]
    assert "answer" in handlers["turn"]["output_json_schema"]["properties"]
    assert handlers["history"]["ty"] == "Shared"


def test_turns_of_a_session_share_history_and_sessions_are_apart(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(
        Rule(name="echo", when=When(text="my number is (?P<n>\\d+)"), reply=Reply(text="Got {n}."))
    )
    restate.turn("CallbackAgent", session, "my number is 17")
    second = restate.turn("CallbackAgent", session, "my number is 18")
    assert second.json()["turn"] == 2
    assert restate.messages("CallbackAgent", session) == [
        ("user", "my number is 17"),
        ("agent", "Got 17. [checked 1]"),
        ("user", "my number is 18"),
        ("agent", "Got 18. [checked 2]"),
    ]
    assert restate.messages("CallbackAgent", f"{session}-other") == []


def test_the_model_gets_the_earlier_turns(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    restate.turn("WeatherAgent", session, "weather in Rome")
    before = len(scripted_model.calls())
    restate.turn("WeatherAgent", session, "weather in Oslo")
    first, last = scripted_model.calls()[before:]
    # Two turns' messages and tool events, not just the last one's.
    assert first.contents == 5
    assert last.contents == 7


def test_callbacks_run_and_their_state_stays(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    answer = restate.turn("CallbackAgent", session, "hello")
    assert answer.json()["answer"].endswith("[checked 1]")
    assert "(seen by before_model)" in scripted_model.calls()[-1].system


def _measure(*names: str) -> Rule:
    # The first takes longest, so that the order can't come from how long they take.
    calls = [
        Call(name="measure", args={"what": name, "seconds": 1.5 - 0.7 * index})
        for index, name in enumerate(names)
    ]
    return Rule(
        name="measure", when=When(after_response=False, tool="measure"), reply=Reply(calls=calls)
    )


MEASURED = Rule(name="measured", when=When(response_of="measure"), reply=Reply(text="{order}"))


def test_the_waits_of_parallel_tools_overlap(
    restate: Restate, session: str, scripted_model: ScriptedModel, endpoint: Endpoint
) -> None:
    scripted_model.put_first(_measure("a", "b", "c"), MEASURED)
    before = len(endpoint.traced())
    answer = restate.turn("ToolsAgent", session, "go")
    # The responses come in the model's order, but the last one's step took the shortest.
    assert answer.json()["answer"] == "c,b,a c,b c"
    traced = endpoint.traced()[before:]
    assert sorted(traced[:3]) == [f"begin {what}" for what in "abc"]
    assert traced[3:] == ["end c", "end b", "end a"]


def test_an_unknown_tool_beside_a_real_one_does_not_hang(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    calls = [
        Call(name="no_such_tool"),
        Call(name="measure", args={"what": "x", "seconds": 0}),
        Call(name="also_none"),
    ]
    scripted_model.put_first(
        Rule(name="calls", when=When(after_response=False), reply=Reply(calls=calls)), MEASURED
    )
    answer = restate.turn("ToolsAgent", session, "go")
    assert (answer.status_code, answer.json()["answer"]) == (200, "x")


def test_an_agent_as_a_tool_may_call_tools_itself(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(
        Rule(
            name="delegate",
            when=When(tool="Helper", after_response=False),
            reply=Reply(
                calls=[
                    Call(name="Helper", args={"request": "measure one"}),
                    Call(name="Helper", args={"request": "measure two"}),
                ]
            ),
        ),
        Rule(name="answer", when=When(response_of="Helper"), reply=Reply(text="helped: {result}")),
        Rule(
            name="helper",
            when=When(tool="measure", text="measure (?P<what>\\w+)", after_response=False),
            reply=Reply(calls=[Call(name="measure", args={"what": "{what}", "seconds": 0.1})]),
        ),
        Rule(name="measured", when=When(response_of="measure"), reply=Reply(text="{result}")),
    )
    answer = restate.turn("ToolsAgent", session, "go")
    assert answer.json()["answer"] == "helped: one measured helped: two measured"


def test_a_refusal_ends_the_turn_and_the_session_goes_on(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    refusal = Rule(
        name="refuse",
        when=When(text="bad"),
        reply=Reply(status=400, message="the request is malformed"),
    )
    scripted_model.put_first(refusal)
    before = len(scripted_model.calls())
    failed = restate.turn("WeatherAgent", session, "bad")
    assert failed.status_code == 502
    assert "the request is malformed" in failed.json()["message"]
    assert len(scripted_model.calls()) == before + 1
    (user, said), (role, text) = restate.messages("WeatherAgent", session)
    assert (user, said, role) == ("user", "bad", "error")
    assert "the request is malformed" in text
    following = restate.turn("WeatherAgent", session, "weather in Rome")
    assert "in Rome" in following.json()["answer"]
    assert following.json()["turn"] == 2


@pytest.mark.parametrize("status", [503, 429])
def test_an_overloaded_model_is_asked_again(
    restate: Restate, session: str, scripted_model: ScriptedModel, status: int
) -> None:
    busy = Rule(
        name="busy",
        when=When(text="patience"),
        reply=Reply(status=status, times=2, retry_after=0.2),
    )
    scripted_model.put_first(busy)
    message = f"patience {session} in Rome"
    answer = restate.turn("WeatherAgent", session, message)
    assert answer.status_code == 200, answer.text
    calls = [call.status for call in scripted_model.calls() if call.text == message]
    assert calls == [status, status, 200, 200]


def test_the_limit_of_model_calls_ends_the_turn(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    forever = Rule(
        name="forever",
        reply=Reply(calls=[Call(name="measure", args={"what": "again", "seconds": 0})]),
    )
    scripted_model.put_first(forever)
    before = len(scripted_model.calls())
    answer = restate.turn("ToolsAgent", session, "go")
    assert answer.status_code == 422
    assert "AGENT_MAX_MODEL_CALLS" in answer.json()["message"]
    assert len(scripted_model.calls()) - before == 6


def test_the_limit_counts_the_calls_of_an_agent_that_is_a_tool(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    """ADK gives each of them a count of its own."""
    scripted_model.put_first(
        Rule(
            name="delegate",
            when=When(tool="Helper"),
            reply=Reply(calls=[Call(name="Helper", args={"request": "measure"})]),
        ),
        Rule(name="help", reply=Reply(text="measured")),
    )
    before = len(scripted_model.calls())
    answer = restate.turn("ToolsAgent", session, "go")
    assert answer.status_code == 422, answer.text
    assert len(scripted_model.calls()) - before == 6


def test_thoughts_are_not_part_of_the_answer(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    thinking = Rule(name="think", reply=Reply(thought="hm, hm", text="Yes."))
    scripted_model.put_first(thinking)
    assert restate.turn("WeatherAgent", session, "Well?").json()["answer"] == "Yes."


@pytest.mark.parametrize("body", [{"message": "  "}, {}, {"message": 3}, {"message": "x", "y": 1}])
def test_a_bad_request_is_refused_and_leaves_no_session(
    restate: Restate, session: str, body: dict[str, object]
) -> None:
    answer = restate.call("WeatherAgent", session, "turn", body)
    assert answer.status_code == 400
    assert restate.messages("WeatherAgent", session) == []


def test_a_turns_journal_does_not_grow_with_its_session(restate: Restate, session: str) -> None:
    sizes = []
    for number in range(1, 31):
        invocation = restate.send("WeatherAgent", session, f"weather in City{number:03d}")
        assert restate.result(invocation).status_code == 200
        sizes.append(_journal_bytes(restate, invocation))
    # Without it, turn 30 would journal 29 turns of about 4 KB each.
    assert sizes[29] < 1.2 * sizes[4], sizes


def _journal_bytes(restate: Restate, invocation: str) -> int:
    sql = f"select sum(raw_length) as n from sys_journal where id = '{invocation}'"
    return int(restate.query(sql)[0]["n"])

"""Agents of all kinds: in a line, side by side, in a loop, and workflows; also after a kill."""

from __future__ import annotations

import uuid

import pytest
from google.adk.agents import Agent, SequentialAgent
from google.adk.agents.callback_context import CallbackContext
from google.adk.models.llm_response import LlmResponse

from agent_service.testing import (
    Call,
    Reply,
    Rule,
    ScriptedModel,
    ServeAgent,
    TurnFailed,
    When,
)
from tests.integration.agent_service.agents import MODEL
from tests.integration.agent_service.harness import Endpoint, Restate, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("endpoint", "scripted_model")]


@pytest.fixture
def session() -> str:
    return f"s-{uuid.uuid4().hex[:8]}"


def _says(name: str, text: str, delay: float = 0.0) -> Rule:
    return Rule(
        name=name, when=When(system=f"You are {name}\\."), reply=Reply(text=text, delay=delay)
    )


def _called(model: ScriptedModel, name: str) -> int:
    return sum(call.rule == name for call in model.calls())


def test_agents_in_a_line(restate: Restate, session: str, scripted_model: ScriptedModel) -> None:
    scripted_model.put_first(_says("L1", "first"), _says("L2", "second"))
    assert restate.turn("Line", session, "go").json()["answer"] == "second"
    assert restate.messages("Line", session) == [
        ("user", "go"),
        ("agent", "first"),
        ("agent", "second"),
    ]


def test_what_an_earlier_agent_said_is_no_answer_where_a_later_one_failed(
    serve_agent: ServeAgent, scripted_model: ScriptedModel
) -> None:
    def block(callback_context: CallbackContext, llm_response: LlmResponse) -> LlmResponse:
        return LlmResponse(error_code="SAFETY", error_message="blocked")

    scripted_model.put_first(_says("Writer", "a draft that nobody has reviewed"))
    writer = Agent(name="Writer", model=MODEL, instruction="You are Writer.")
    reviewer = Agent(name="Reviewer", model=MODEL, after_model_callback=block)
    served = serve_agent(SequentialAgent(name="Reviewed", sub_agents=[writer, reviewer]))
    with pytest.raises(TurnFailed, match=r"502.*blocked"):
        served.turn("go")


def test_a_loop_ends_when_an_agent_says_so(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(
        Rule(name="on", when=When(after_response=False), reply=Reply(text="again", times=2)),
        Rule(
            name="stop",
            when=When(after_response=False),
            reply=Reply(calls=[Call(name="stop_when_told", args={})]),
        ),
    )
    answer = restate.turn("Rounds", session, "go")
    assert answer.status_code == 200, answer.text
    assert [text for _, text in restate.messages("Rounds", session)].count("again") == 2


def test_agents_side_by_side_wait_together_and_replay_in_order(
    restate: Restate, session: str, scripted_model: ScriptedModel, endpoint: Endpoint
) -> None:
    scripted_model.put_first(
        _says("T1", "one", delay=0.6), _says("T2", "two", delay=2.0), _says("T3", "three")
    )
    before = {name: _called(scripted_model, name) for name in ("T1", "T2", "T3")}
    invocation = restate.send("Team", session, "go")
    wait_until(
        "two have answered",
        lambda: (
            restate.query(
                f"select count(1) as n from sys_journal where id = '{invocation}'"
                " and entry_type = 'Notification: Run'"
            )
            == [{"n": 3}]
            or None
        ),
    )
    endpoint.kill()
    endpoint.start()
    assert restate.result(invocation).status_code == 200
    # In the order in which they were done, the one that was killed last.
    assert [text for role, text in restate.messages("Team", session) if role == "agent"] == [
        "three",
        "one",
        "two",
    ]
    calls = {name: _called(scripted_model, name) - before[name] for name in before}
    assert calls == {"T1": 1, "T2": 2, "T3": 1}


def test_a_workflows_nodes_wait_together_and_replay_in_order(
    restate: Restate, session: str, endpoint: Endpoint
) -> None:
    before = len(endpoint.traced())
    invocation = restate.send("Flow", session, "go")
    wait_until("the quick node is done", lambda: "end quicker" in endpoint.traced()[before:])
    endpoint.kill()
    endpoint.start()
    answer = restate.result(invocation)
    assert answer.status_code == 200, answer.text
    done = endpoint.traced()[before:]
    assert done[:2] in (["begin quick", "begin slow"], ["begin slow", "begin quick"])
    assert done.count("end quick") == 1
    assert done.count("end slow") == 1


def test_an_app_written_for_the_sdks_plugin_runs_unchanged(
    restate: Restate, session: str, scripted_model: ScriptedModel, endpoint: Endpoint
) -> None:
    call = Call(name="measure", args={"what": session, "seconds": 0})
    scripted_model.put_first(
        Rule(name="go", when=When(after_response=False), reply=Reply(calls=[call])),
        Rule(name="made", when=When(response_of="measure"), reply=Reply(text="{result}")),
    )
    invocation = restate.send("ForeignAgent", session, "go")
    assert restate.result(invocation).json()["answer"] == f"{session} measured"
    names = restate.query(
        f"select name from sys_journal where id = '{invocation}' and entry_type = 'Command: Run'"
    )
    assert [row["name"] for row in names].count("call LLM") == 0

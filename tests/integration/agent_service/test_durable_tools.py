"""Plain functions as tools that are one journaled step."""

from __future__ import annotations

import uuid

import pytest

from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from tests.integration.agent_service.harness import Endpoint, Restate, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("endpoint", "scripted_model")]
AGENT = "BookingAgent"


@pytest.fixture
def session() -> str:
    return f"b-{uuid.uuid4().hex[:8]}"


def _script(model: ScriptedModel, tool: str, delay: float = 0.0, **args: object) -> None:
    model.put_first(
        Rule(
            name="call",
            when=When(after_response=False),
            reply=Reply(calls=[Call(name=tool, args=args)]),
        ),
        Rule(
            name="told",
            when=When(response_of="book"),
            reply=Reply(text="Booked {booked}.", delay=delay),
        ),
    )


def test_a_call_is_tried_until_it_works_and_done_once(
    restate: Restate, session: str, scripted_model: ScriptedModel, endpoint: Endpoint
) -> None:
    what = f"room-{session}"
    _script(scripted_model, "book", delay=1.5, what=what, failures=2)
    invocation = restate.send(AGENT, session, "go")
    told = len([call for call in scripted_model.calls() if call.rule == "told"])
    wait_until(
        "the model is told", lambda: sum(c.rule == "told" for c in scripted_model.calls()) > told
    )
    endpoint.kill()
    endpoint.start()
    assert restate.result(invocation).json()["answer"] == f"Booked {what} at try 3."
    assert endpoint.traced().count(f"book {what}") == 3
    # What the tool wrote to the session's state before the kill is there after it.
    _script(scripted_model, "book", what=f"{what}-2", failures=0)
    restate.turn(AGENT, session, "again")
    assert f"Booked so far: {what}-2" in scripted_model.calls()[-1].system


def test_a_limit_of_attempts_ends_the_turn(
    restate: Restate, session: str, scripted_model: ScriptedModel, endpoint: Endpoint
) -> None:
    _script(scripted_model, "never")
    before = endpoint.traced().count("never")
    answer = restate.turn(AGENT, session, "go")
    assert answer.status_code == 500
    assert "broken for good" in answer.json()["message"]
    assert endpoint.traced().count("never") == before + 2
    assert restate.messages(AGENT, session)[-1][0] == "error"


def test_a_step_cannot_wait_for_a_person(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    _script(scripted_model, "asks_inside")
    answer = restate.turn(AGENT, session, "go")
    assert answer.status_code == 500
    assert "inside of a step" in answer.json()["message"]

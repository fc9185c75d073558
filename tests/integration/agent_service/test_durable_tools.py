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


def test_steps_gathered_in_two_tools_go_on_where_each_of_them_was(
    restate: Restate, session: str, scripted_model: ScriptedModel, endpoint: Endpoint
) -> None:
    """`restate.gather` in tools that the model calls together, and a kill in the middle."""
    calls = [
        Call(name="measure_together", args={"what": f"{what}-{session}", "seconds": seconds})
        for what, seconds in (("a", [0.2, 3, 0]), ("b", [3, 0, 0.4]))
    ]
    scripted_model.put_first(
        Rule(name="call", when=When(after_response=False), reply=Reply(calls=calls)),
        Rule(name="told", when=When(response_of="measure_together"), reply=Reply(text="{result};")),
    )
    invocation = restate.send("ToolsAgent", session, "go")
    quick = {f"end {what}-{session} {n}" for what, n in (("a", 0), ("a", 2), ("b", 1), ("b", 2))}
    wait_until("the quick ones are done", lambda: quick <= set(endpoint.traced()) or None)
    endpoint.kill()
    endpoint.start()
    parts = [[f"{what}-{session} {n}" for n in range(3)] for what in "ab"]
    answer = restate.result(invocation).json()["answer"]
    assert answer == "; ".join(", ".join(part) for part in parts) + ";"
    traced = endpoint.traced()
    for part in (*parts[0], *parts[1]):
        assert traced.count(f"end {part}") == 1
        again = part in (f"a-{session} 1", f"b-{session} 0")
        assert traced.count(f"begin {part}") == 1 + again

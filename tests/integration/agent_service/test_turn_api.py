"""Turns as callers make them: at once or later, once however often they are asked for."""

from __future__ import annotations

import uuid

import httpx
import pytest

from agent_service.testing import Reply, Rule, ScriptedModel, When
from tests.integration.agent_service.harness import Endpoint, Restate, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("endpoint", "scripted_model")]


@pytest.fixture
def session() -> str:
    return f"s-{uuid.uuid4().hex[:8]}"


@pytest.fixture(autouse=True)
def _script(scripted_model: ScriptedModel) -> None:
    scripted_model.put_first(
        Rule(name="slow", when=When(text="slowly"), reply=Reply(text="At last.", delay=2.0)),
        Rule(name="fast", when=When(text="hello"), reply=Reply(text="Hello.")),
    )


def _keyed(
    restate: Restate, path: str, message: str, key: str, expected: int = 200
) -> dict[str, object]:
    answer = restate.http.post(
        f"{restate.server.ingress_url}/{path}",
        json={"message": message},
        headers={"idempotency-key": key},
    )
    assert answer.status_code == expected, answer.text
    body: dict[str, object] = answer.json()
    return body


def test_an_answer_says_whose_session_it_is(restate: Restate, session: str) -> None:
    body = restate.turn("ToolsAgent", f"oidc%253Aann:{session}", "hello").json()
    assert (body["user"], body["session"], body["turn"]) == ("oidc:ann", session, 1)
    history = restate.call("ToolsAgent", f"oidc%253Aann:{session}", "history").json()
    assert (history["user"], history["session"]) == ("oidc:ann", session)


def test_the_answer_of_a_turn_that_was_sent_is_fetched_later(
    restate: Restate, session: str, endpoint: Endpoint, scripted_model: ScriptedModel
) -> None:
    message = f"slowly {session}"
    invocation = restate.send("ToolsAgent", session, message)
    output = f"{restate.server.ingress_url}/restate/invocation/{invocation}/output"
    assert restate.http.get(output).status_code == 470  # Restate's: not ready yet
    wait_until("the model is asked", lambda: any(c.text == message for c in scripted_model.calls()))
    assert restate.messages("ToolsAgent", session) == [("user", message)]
    endpoint.kill()
    endpoint.start()
    assert restate.result(invocation).json()["answer"] == "At last."
    # Again, without waiting: the answer is kept.
    assert restate.http.get(output).json()["answer"] == "At last."


def test_a_turn_with_an_idempotency_key_is_taken_once(restate: Restate, session: str) -> None:
    key = uuid.uuid4().hex
    path = f"ToolsAgent/{session}/turn"
    first = _keyed(restate, path, "hello", key)
    assert _keyed(restate, path, "hello", key) == first
    assert _keyed(restate, f"{path}/send", "hello", key, 202)["status"] == "PreviouslyAccepted"
    assert restate.messages("ToolsAgent", session) == [("user", "hello"), ("agent", "Hello.")]
    fetched: httpx.Response = restate.http.get(
        f"{restate.server.ingress_url}/restate/invocation/ToolsAgent/{session}/turn/{key}/attach"
    )
    assert fetched.json() == first


def test_turns_of_one_session_wait_for_each_other(restate: Restate, session: str) -> None:
    sent = [
        restate.send("ToolsAgent", session, f"{how} {n}")
        for n, how in enumerate(["slowly", "hello"])
    ]
    assert [restate.result(one).json()["turn"] for one in sent] == [1, 2]
    assert [text for _, text in restate.messages("ToolsAgent", session)] == [
        "slowly 0",
        "At last.",
        "hello 1",
        "Hello.",
    ]

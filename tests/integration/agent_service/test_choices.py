"""Approvals with choices, people who may answer, deadlines and others to ask."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from tests.integration.agent_service.harness import Endpoint, Restate, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("endpoint", "scripted_model")]
AGENT = "ChoosingAgent"


@pytest.fixture
def session() -> str:
    return f"d-{uuid.uuid4().hex[:8]}"


def _script(model: ScriptedModel, *whats: str, seconds: float = 0, escalate: bool = False) -> None:
    calls = [
        Call(name="decide", args={"what": what, "seconds": seconds, "escalate": escalate})
        for what in whats
    ]
    model.put_first(
        Rule(name="decide", when=When(after_response=False), reply=Reply(calls=calls)),
        Rule(name="made", when=When(response_of="decide"), reply=Reply(text="{made}")),
    )


def _pending(restate: Restate, session: str, number: int) -> list[dict[str, Any]]:
    def look() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = restate.call(AGENT, session, "approvals").json()
        return found if len(found) == number else None

    return wait_until(f"{number} approvals are pending", look)


def _answer(
    restate: Restate, session: str, entry: dict[str, Any], **answer: Any
) -> tuple[int, str]:
    body = {"id": entry["id"], "approved": True, **answer}
    given = restate.call(AGENT, session, "answer", body)
    return given.status_code, given.text


def test_one_of_the_choices_by_one_of_the_people(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    _script(scripted_model, "car")
    invocation = restate.send(AGENT, session, "go")
    (entry,) = _pending(restate, session, 1)
    assert (entry["choices"], entry["who"]) == (["keep", "sell"], ["ann", "bob"])
    status, text = _answer(restate, session, entry, by="eve", choice="sell")
    assert (status, "ann, bob" in text) == (403, True)
    status, text = _answer(restate, session, entry, by="ann", choice="burn")
    assert (status, "keep, sell" in text) == (400, True)
    assert _answer(restate, session, entry, by="ann", choice="sell")[0] == 200
    assert restate.result(invocation).json()["answer"] == "car: sell by ann"
    (kept,) = restate.call(AGENT, session, "decisions").json()["answered"]
    assert kept["request"]["title"] == "car"
    assert (kept["decision"]["choice"], kept["decision"]["by"]) == ("sell", "ann")
    assert kept["decision"]["at"].startswith("20")


def test_several_at_once_in_any_order_also_after_a_kill(
    restate: Restate, session: str, scripted_model: ScriptedModel, endpoint: Endpoint
) -> None:
    _script(scripted_model, "car", "house", "boat")
    invocation = restate.send(AGENT, session, "go")
    entries = {entry["title"]: entry for entry in _pending(restate, session, 3)}
    assert set(entries) == {"car", "house", "boat"}
    restate.wait_suspended(invocation)
    assert _answer(restate, session, entries["boat"], by="bob", choice="sell")[0] == 200
    _pending(restate, session, 2)
    restate.wait_suspended(invocation)
    endpoint.kill()
    endpoint.start()
    assert _answer(restate, session, entries["car"], by="ann", choice="keep")[0] == 200
    assert _answer(restate, session, entries["house"], by="ann", choice="sell")[0] == 200
    answer = restate.result(invocation).json()["answer"]
    assert answer == "car: keep by ann house: sell by ann boat: sell by bob"


def test_the_default_holds_once_the_deadline_is_over(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    _script(scripted_model, "car", seconds=1.5)
    invocation = restate.send(AGENT, session, "go")
    (entry,) = _pending(restate, session, 1)
    assert entry["deadline"] > entry["requestedAt"]
    restate.wait_suspended(invocation)
    assert restate.result(invocation).json()["answer"] == "car: keep by nobody"
    (kept,) = restate.call(AGENT, session, "decisions").json()["answered"]
    assert kept["decision"]["timedOut"] is True
    late, text = _answer(restate, session, entry, by="ann", choice="sell")
    assert (late, "for want of an answer" in text) == (409, True)


def test_others_are_asked_after_the_deadline(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    _script(scripted_model, "car", seconds=3, escalate=True)
    invocation = restate.send(AGENT, session, "go")
    (first,) = _pending(restate, session, 1)

    def escalated() -> dict[str, Any] | None:
        found = restate.call(AGENT, session, "approvals").json()
        return found[0] if found and found[0]["escalated"] else None

    second = wait_until("the boss is asked", escalated)
    assert second["who"] == ["boss"]
    assert _answer(restate, session, first, by="ann", choice="sell")[0] == 409
    assert _answer(restate, session, second, by="boss", choice="sell")[0] == 200
    assert restate.result(invocation).json()["answer"] == "car: sell by boss"
    kept = restate.call(AGENT, session, "decisions").json()["answered"]
    assert [entry["request"]["escalated"] for entry in kept] == [False, True]

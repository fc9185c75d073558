"""The fixtures for authors: agents that replay well pass, others fail with the step's name."""

from __future__ import annotations

import itertools
import random
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from google.adk.agents import Agent
from google.adk.tools.base_tool import BaseTool
from google.adk.tools.tool_context import ToolContext

from agent_service import Settings, approval, durable_tool, restate_object_context
from agent_service.agents import claims, weather
from agent_service.testing import (
    Call,
    NotDeterministic,
    Reply,
    Rule,
    ScriptedModel,
    ServeAgent,
    TurnFailed,
    When,
)
from agent_service.testing.restate import RestateServer

pytestmark = pytest.mark.integration


def calling(*tools: Callable[..., object] | BaseTool) -> Agent:
    """An agent with these tools; the rules of `call` make it use them."""
    return Agent(name="Author", model="gemini-2.5-flash", tools=list(tools))


def call(*names: str, **args: object) -> list[Rule]:
    """Has the model call the tools, and then end."""
    calls = [Call(name=name, args=args) for name in names]
    return [
        Rule(name="call", when=When(after_response=False), reply=Reply(calls=calls)),
        Rule(name="end", reply=Reply(text="done")),
    ]


async def _step(name: str) -> str:
    async def body() -> str:
        return name

    return await restate_object_context().run_typed(name, body)


async def three_steps() -> dict[str, str]:
    """Makes three steps."""
    return {name: await _step(name) for name in ("one", "two", "three")}


@durable_tool
def rolled_once() -> dict[str, int]:
    """Rolls dice, once."""
    return {"rolled": random.randrange(10**9)}


def test_every_step_ends_an_attempt(serve_agent: ServeAgent, scripted_model: ScriptedModel) -> None:
    scripted_model.put_first(*call("three_steps"))
    turn = serve_agent(calling(three_steps)).session().begin("go")
    assert turn.result().answer == "done"
    # Once, and again after each of the two model calls and three steps.
    assert turn.attempts >= 1 + 2 + 3
    assert len(scripted_model.calls()) == 2


def test_steps_and_durable_tools_side_by_side_replay(
    serve_agent: ServeAgent, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(*call("three_steps", "rolled_once", "three_steps", "rolled_once"))
    assert serve_agent(calling(three_steps, rolled_once)).turn("go").answer == "done"
    assert len(scripted_model.calls()) == 2


def test_without_replay_one_attempt_is_enough(
    serve_agent: ServeAgent, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(*call("rolls"))
    served = serve_agent(calling(rolls), replay=False)
    assert served.turn("go").answer == "done"
    assert len(scripted_model.calls()) == 2


def test_weather_replays(serve_agent: ServeAgent) -> None:
    answer = serve_agent(weather.agent).turn("What is the weather in Paris and Rome?")
    assert "Paris" in answer.answer
    assert "Rome" in answer.answer


def test_claims_replay_across_an_approval(serve_agent: ServeAgent) -> None:
    session = serve_agent(claims.agent).session("anna/1")
    turn = session.begin("Claim C-17: 800 EUR for a bicycle")
    request = turn.approval()
    assert request.title == "Claim C-17: 800.00 EUR"
    session.answer(request, approved=True, by="bea", comment="enjoy")
    assert "approved by bea" in turn.result().answer
    assert [one.decision.by for one in session.decisions()] == ["bea"]
    assert [message.role for message in session.messages()] == ["user", "agent"]
    with pytest.raises(TurnFailed, match="already approved by bea") as refused:
        session.answer(request, approved=False, by="carl")
    assert refused.value.status == 409


async def shuffled() -> dict[str, str]:
    """Makes its steps in any order."""
    names = [f"part {number}" for number in range(8)]
    random.shuffle(names)
    return {name: await _step(name) for name in names}


_BEGAN: list[float] = []


async def early_or_late() -> dict[str, str]:
    """Goes by the time."""
    now = time.monotonic()
    _BEGAN.append(now)
    return {"made": await _step("early" if now <= _BEGAN[0] else "late")}


async def named_by_uuid() -> dict[str, str]:
    """Names a step anew each time."""
    return {"made": await _step(f"order {uuid.uuid4().hex}")}


@pytest.mark.parametrize(
    ("tool", "step"),
    [
        (shuffled, r"step 'part \d'"),
        (early_or_late, "step 'early'"),
        (named_by_uuid, "step 'order [0-9a-f]{32}'"),
    ],
)
def test_other_steps_on_replay_fail_with_the_names(
    serve_agent: ServeAgent,
    scripted_model: ScriptedModel,
    tool: Callable[..., object],
    step: str,
) -> None:
    _BEGAN.clear()
    scripted_model.put_first(*call(tool.__name__))
    with pytest.raises(NotDeterministic, match=step) as found:
        serve_agent(calling(tool)).turn("go")
    first, again = found.value.difference.how.splitlines()
    assert first.startswith("  at first: ")
    assert again.startswith("  when replayed: ")
    assert first.split(": ")[1] != again.split(": ")[1]


_MORE = itertools.count()


async def sometimes_one_more() -> dict[str, bool]:
    """Waits for a timer where it made a step, or the other way around."""
    if next(_MORE):
        await approval(title="May I?")
    else:
        await _step("asked nobody")
    return {}


def test_another_kind_of_step_is_told_too(
    serve_agent: ServeAgent, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(*call("sometimes_one_more"))
    with pytest.raises(NotDeterministic, match="asked nobody") as found:
        serve_agent(calling(sometimes_one_more)).turn("go")
    assert "step" in found.value.difference.what


def rolls() -> dict[str, int]:
    """Rolls dice."""
    return {"rolled": random.randrange(10**9)}


def test_a_result_that_differs_fails_with_the_tools_name(
    serve_agent: ServeAgent, scripted_model: ScriptedModel
) -> None:
    """Restate can't see this: the steps are the same."""
    scripted_model.put_first(*call("rolls"))
    with pytest.raises(NotDeterministic, match="the result of tool 'rolls' differs") as found:
        serve_agent(calling(rolls)).turn("go")
    assert found.value.difference.how.splitlines()[0] == "  rolled"


def test_another_prompt_fails_with_the_agents_name(serve_agent: ServeAgent) -> None:
    agent = Agent(
        name="Dated",
        model="gemini-2.5-flash",
        instruction=lambda _context: f"It is {datetime.now(UTC).isoformat()}.",
    )
    with pytest.raises(NotDeterministic, match="what Dated asks its model") as found:
        serve_agent(agent).turn("hello")
    assert found.value.difference.how.splitlines()[0] == "  system_instruction"


def test_a_failed_turn_says_why(serve_agent: ServeAgent, scripted_model: ScriptedModel) -> None:
    scripted_model.put_first(Rule(name="no", reply=Reply(status=403, message="no such key")))
    with pytest.raises(TurnFailed, match="no such key") as failed:
        serve_agent(weather.agent).turn("hello")
    assert failed.value.status == 502


async def broken() -> dict[str, str]:
    """Fails each time."""
    raise OSError("the shop is closed")


def test_a_turn_that_gets_nowhere_says_what_it_tried(
    serve_agent: ServeAgent, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(*call("broken"))
    with pytest.raises(AssertionError, match="the shop is closed"):
        serve_agent(calling(broken)).turn("go", seconds=2)


def test_settings_are_taken(serve_agent: ServeAgent, scripted_model: ScriptedModel) -> None:
    scripted_model.put_first(*call("three_steps"))
    served = serve_agent(calling(three_steps), settings=Settings(max_model_calls=1))
    with pytest.raises(TurnFailed, match="AGENT_MAX_MODEL_CALLS"):
        served.turn("go")


def _read(restate: RestateServer, key: str, turn: str) -> dict[str, Any]:
    """Reads a turn's partial text to its end; returns the page that says so, with all the text."""
    url = f"{restate.ingress_url}/Author.streams/{key}/read"
    chunks, page = [], {"next": 0, "ended": False}
    for _ in range(20):
        query = {"turn": turn, "offset": page["next"], "wait": 3}
        page = httpx.post(url, json=query, timeout=30, trust_env=False).raise_for_status().json()
        chunks += page["chunks"]
        if page["ended"]:
            return {**page, "chunks": chunks}
    raise AssertionError(f"it does not end: {page}")


def _said_and_called(tool: str) -> list[Rule]:
    calls = [Call(name=tool)]
    first = Reply(text="Let me see.", calls=calls)
    return [
        Rule(name="first", when=When(after_response=False), reply=first),
        Rule(name="end", reply=Reply(text="That is all.", pause=0.05)),
    ]


def test_a_streamed_turn_replays(
    serve_agent: ServeAgent, scripted_model: ScriptedModel, agent_restate: RestateServer
) -> None:
    scripted_model.put_first(*_said_and_called("three_steps"))
    session = serve_agent(calling(three_steps)).session()
    turn = session.begin("go", stream=True)
    page = _read(agent_restate, session.key, turn.invocation)
    assert turn.result().answer == "That is all."
    assert turn.attempts >= 1 + 2 + 3
    assert len(scripted_model.calls()) == 2
    # Replayed model calls publish nothing again.
    texts = dict.fromkeys((1, 2), "")
    for chunk in page["chunks"]:
        assert not chunk["reset"]
        texts[chunk["message"]] += chunk["text"]
    assert texts == {1: "Let me see.", 2: "That is all."}


async def forget_all(tool_context: ToolContext) -> dict[str, str]:
    """Deletes the session that it is called in."""
    session = tool_context.session
    await tool_context._invocation_context.session_service.delete_session(
        app_name=session.app_name, user_id=session.user_id, session_id=session.id
    )
    return {"status": "forgotten"}


@pytest.mark.parametrize("replay", [True, False])
def test_a_streamed_turn_may_delete_its_own_session(
    serve_agent: ServeAgent,
    scripted_model: ScriptedModel,
    agent_restate: RestateServer,
    replay: bool,
) -> None:
    session = serve_agent(calling(forget_all, three_steps), replay=replay).session()
    assert session.turn("hello").turn == 1
    scripted_model.put_first(*_said_and_called("forget_all"))
    turn = session.begin("go", stream=True)
    assert turn.result().answer == "That is all."
    # Also a reader that comes late is told that there is no more.
    page = _read(agent_restate, session.key, turn.invocation)
    assert page["chunks"] == []
    assert session.messages() == []
    # Its text doesn't come back, and a session of the same key begins anew.
    scripted_model.put_first(*_said_and_called("three_steps"))
    again = session.begin("go", stream=True)
    texts = [
        chunk["text"] for chunk in _read(agent_restate, session.key, again.invocation)["chunks"]
    ]
    assert "".join(texts) == "Let me see.That is all."
    assert again.result().turn == 1

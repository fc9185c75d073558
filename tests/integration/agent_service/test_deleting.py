"""Deleting a session, each handler run again from the top after each of its steps."""

from __future__ import annotations

import pytest
from google.adk.agents import Agent

from agent_service import approval
from agent_service.testing import Call, Reply, Rule, ScriptedModel, ServeAgent, TurnFailed, When

pytestmark = pytest.mark.integration


async def ask() -> str:
    """Asks a person."""
    decision = await approval(title="May I?")
    return "yes" if decision.approved else "no"


@pytest.fixture
def asking(scripted_model: ScriptedModel) -> Agent:
    scripted_model.put_first(
        Rule(
            name="ask",
            when=When(text="ask", after_response=False),
            reply=Reply(calls=[Call(name="ask", args={})]),
        ),
        Rule(name="other", reply=Reply(text="fine")),
    )
    return Agent(name="Asking", model="gemini-2.5-flash", tools=[ask])


def test_a_session_is_deleted_by_a_handler_that_runs_again(
    serve_agent: ServeAgent, asking: Agent
) -> None:
    """What it is to cancel changes while it waits, so that must come from its journal."""
    session = serve_agent(asking).session("ann:1")
    assert session.turn("hello").answer == "fine"
    assert session.delete()
    assert session.messages() == []
    assert not session.delete()


def test_turns_that_wait_for_their_turn_are_waited_for(
    serve_agent: ServeAgent, asking: Agent
) -> None:
    session = serve_agent(asking).session("ann:2")
    running = session.begin("ask")
    running.approval()
    queued = session.begin("hello")
    assert session.delete()
    with pytest.raises(TurnFailed, match="409"):
        running.result()
    assert queued.result().answer == "fine"
    assert session.messages() == []

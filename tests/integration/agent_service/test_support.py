"""The support chat: what its model is sent stays bounded, and replays find the same summaries."""

from __future__ import annotations

import pytest
from google.adk.apps.app import App, EventsCompactionConfig

from agent_service.agents.support import agent
from agent_service.settings import Settings
from agent_service.testing import Reply, Rule, ScriptedModel, ServeAgent, When

pytestmark = pytest.mark.integration

EVERY = 3
SUMMARY = "support summary"


def short() -> App:
    """The agent, with sessions that are long after three turns."""
    config = EventsCompactionConfig(compaction_interval=EVERY, overlap_size=1)
    return agent.model_copy(update={"events_compaction_config": config})


@pytest.mark.parametrize("recent", [0, EVERY + 1])
def test_long_sessions_are_summed_up_and_nothing_is_lost(
    serve_agent: ServeAgent, scripted_model: ScriptedModel, recent: int
) -> None:
    # Replayed after each step, the one that sums up included.
    settings = Settings(recent_turns=recent)
    session = serve_agent(short(), settings=settings).session(f"ann:long-{recent}")
    assert session.turn("Where is order S-1002?").answer == (
        "Order S-1002 (desk lamp) is on its way: it arrives within two days."
    )
    for _ in range(3 * EVERY):
        session.turn("Hello?")
    calls = scripted_model.calls()
    sums = [call for call in calls if call.rule == SUMMARY]
    assert sums
    assert len([call for call in calls if "summary" in call.rule]) == 3
    # The first turn is long out of what is sent, but for what the summaries say of it.
    assert session.turn("Which order did I ask for?").answer == "You asked for order S-1002."
    # Three summaries and up to three turns, where it would be 23 messages.
    assert max(call.contents for call in scripted_model.calls()) < 15
    history = session.messages()
    assert len(history) == 2 * (2 + 3 * EVERY)
    assert history[0].text == "Where is order S-1002?"


def test_a_summary_that_fails_for_good_ends_no_turn(
    serve_agent: ServeAgent, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(
        Rule(
            name="refused",
            when=When(text="^The following is a conversation history"),
            reply=Reply(status=400, message="no"),
        )
    )
    session = serve_agent(short()).session("ann:refused")
    answers = [session.turn("Where is order S-1001?").answer for _ in range(EVERY + 1)]
    assert len(set(answers)) == 1
    assert "refused" in [call.rule for call in scripted_model.calls()]


def test_tickets_are_the_customers(serve_agent: ServeAgent) -> None:
    served = serve_agent(agent)
    first = served.session("bea:1").turn("Order S-1001 arrived broken").answer
    assert "for order S-1001: arrived broken" in first
    # Said again it is the same ticket.
    assert served.session("bea:1").turn("Order S-1001 arrived broken").answer == first
    assert served.session("bea:2").turn("Which tickets do I have?").answer == "You have 1 tickets."
    assert served.session("cy:1").turn("Which tickets do I have?").answer == "You have 0 tickets."

"""The notes agent replays at every step, and what it keeps costs no more as sessions grow."""

from __future__ import annotations

import pytest

from agent_service.agents.notes import agent
from agent_service.testing import ServeAgent

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("scripted_model")]


def test_notes_are_the_users_and_what_was_said_is_remembered(serve_agent: ServeAgent) -> None:
    served = serve_agent(agent)
    first = served.session("ann:one")
    assert first.turn("Keep the note plan: whales sing").answer == (
        "I have kept the note plan, version 0."
    )
    assert first.turn("Keep the note plan: whales hum").answer == (
        "I have kept the note plan, version 1."
    )
    second = served.session("ann:two")
    assert second.turn("Read the note plan").answer == "The note plan says: whales hum"
    assert second.turn("Which notes are there?").answer == "You have 1 notes: plan"
    recalled = second.turn("What did I say about humming whales").answer
    assert recalled.startswith("You said: Keep the note plan: whales")
    assert served.session("bob:one").turn("Read the note plan").answer == (
        "Sorry, there is no note 'plan'."
    )

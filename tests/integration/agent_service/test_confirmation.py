"""ADK's own tool confirmation, over the turn API."""

from __future__ import annotations

import uuid

import pytest

from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from tests.integration.agent_service.harness import Endpoint, Restate

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("endpoint", "scripted_model")]
AGENT = "ConfirmingAgent"


@pytest.fixture
def session() -> str:
    return f"k-{uuid.uuid4().hex[:8]}"


def _script(model: ScriptedModel, tool: str, **args: object) -> None:
    model.put_first(
        Rule(
            name="call",
            when=When(after_response=False),
            reply=Reply(calls=[Call(name=tool, args=args)]),
        ),
        Rule(
            name="said",
            when=When(response_of=tool, response_has=["said"]),
            reply=Reply(text="{said}"),
        ),
        Rule(name="error", when=When(response_of=tool), reply=Reply(text="{error}")),
    )


@pytest.mark.parametrize("approved", [True, False])
def test_a_tool_waits_for_its_confirmation_across_a_kill(
    restate: Restate,
    session: str,
    scripted_model: ScriptedModel,
    endpoint: Endpoint,
    approved: bool,
) -> None:
    disk = f"disk-{session}"
    _script(scripted_model, "wipe", disk=disk)
    invocation = restate.send(AGENT, session, "go")
    pending = restate.wait_approval(AGENT, session)
    assert pending["title"] == f'wipe(disk="{disk}")'
    restate.wait_suspended(invocation)
    assert f"wipe {disk}" not in endpoint.traced()
    endpoint.kill()
    endpoint.start()
    body = {"id": pending["id"], "approved": approved, "by": "ann"}
    assert restate.call(AGENT, session, "answer", body).status_code == 200
    expected = f"{disk} is wiped" if approved else "This tool call is rejected."
    assert restate.result(invocation).json()["answer"] == expected
    assert (f"wipe {disk}" in endpoint.traced()) == approved


def test_an_answer_may_bring_what_the_tool_asked_for(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    _script(scripted_model, "take_leave", days=5)
    invocation = restate.send(AGENT, session, "go")
    pending = restate.wait_approval(AGENT, session)
    assert pending["details"] == 'How many?\nAsked for: {"days": 0}'
    body = {"id": pending["id"], "approved": True, "data": {"days": 3}}
    assert restate.call(AGENT, session, "answer", body).status_code == 200
    assert restate.result(invocation).json()["answer"] == "3 of 5 days"

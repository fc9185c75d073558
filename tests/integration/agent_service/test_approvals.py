"""Claims that wait for a person."""

from __future__ import annotations

import uuid

import pytest

from tests.integration.agent_service.harness import Endpoint, Restate

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("endpoint", "scripted_model")]
CLAIM = "Please pay claim C-18 over 800 EUR for a new chair"


@pytest.fixture
def session() -> str:
    return f"c-{uuid.uuid4().hex[:8]}"


def _answer(restate: Restate, session: str, identity: str, approved: bool, by: str) -> int:
    body = {"id": identity, "approved": approved, "by": by, "comment": "so be it"}
    return restate.call("ClaimAgent", session, "answer", body).status_code


def test_a_small_claim_is_paid_at_once(restate: Restate, session: str) -> None:
    answer = restate.turn("ClaimAgent", session, "Pay claim C-1 for 50 EUR please")
    text = answer.json()["answer"]
    assert "Claim C-1 for 50.00 EUR was approved by the rule" in text
    assert "PAY-" in text


@pytest.mark.parametrize("approved", [True, False])
def test_a_large_claim_waits_for_a_person(restate: Restate, session: str, approved: bool) -> None:
    invocation = restate.send("ClaimAgent", session, CLAIM)
    pending = restate.wait_approval("ClaimAgent", session)
    assert pending["title"] == "Claim C-18: 800.00 EUR"
    assert pending["details"] == "a new chair"
    assert pending["requestedAt"].startswith("20")
    restate.wait_suspended(invocation)
    assert restate.messages("ClaimAgent", session) == [("user", CLAIM)]

    assert _answer(restate, session, pending["id"], approved, "alice") == 200
    text = restate.result(invocation).json()["answer"]
    decision = "approved" if approved else "refused"
    assert f"Claim C-18 for 800.00 EUR was {decision} by alice" in text
    assert "so be it" in text
    assert ("PAY-" in text) == approved
    assert restate.call("ClaimAgent", session, "approvals").json() == []


def test_what_is_said_after_an_answer_is_dated_after_it(restate: Restate, session: str) -> None:
    invocation = restate.send("ClaimAgent", session, CLAIM)
    identity = restate.wait_approval("ClaimAgent", session)["id"]
    restate.wait_suspended(invocation)
    assert _answer(restate, session, identity, True, "alice") == 200
    restate.result(invocation)
    [answered] = restate.call("ClaimAgent", session, "decisions").json()["answered"]
    said = restate.call("ClaimAgent", session, "history").json()["messages"]
    asked_at, decided_at = answered["request"]["requestedAt"], answered["decision"]["at"]
    assert said[0]["at"] < asked_at < decided_at < said[-1]["at"]


def test_answers_that_fit_no_pending_approval(restate: Restate, session: str) -> None:
    invocation = restate.send("ClaimAgent", session, CLAIM)
    identity = restate.wait_approval("ClaimAgent", session)["id"]
    unknown = restate.call("ClaimAgent", session, "answer", {"id": "sign_1none", "approved": True})
    assert unknown.status_code == 404
    assert "sign_1none" in unknown.json()["message"]
    # Another session's approval is none of this one's.
    assert _answer(restate, f"{session}-x", identity, True, "eve") == 404
    assert _answer(restate, session, identity, True, "alice") == 200
    restate.result(invocation)
    again = restate.call("ClaimAgent", session, "answer", {"id": identity, "approved": False})
    assert again.status_code == 409
    assert "already approved by alice" in again.json()["message"]


def test_the_plain_ingress_answers_too(restate: Restate, session: str) -> None:
    invocation = restate.send("ClaimAgent", session, CLAIM)
    first = restate.wait_approval("ClaimAgent", session)["id"]
    ingress = f"{restate.server.ingress_url}/restate/awakeables"
    # What can't be read decides nothing: the turn asks anew, under a new id.
    restate.http.post(f"{ingress}/{first}/resolve", json={"yes": 1}).raise_for_status()

    second = first
    while second == first:
        second = restate.wait_approval("ClaimAgent", session)["id"]
    restate.http.post(f"{ingress}/{second}/resolve", json={"approved": True}).raise_for_status()
    assert "approved by a person" in restate.result(invocation).json()["answer"]


def test_a_rejected_awakeable_is_a_refusal(restate: Restate, session: str) -> None:
    invocation = restate.send("ClaimAgent", session, CLAIM)
    identity = restate.wait_approval("ClaimAgent", session)["id"]
    url = f"{restate.server.ingress_url}/restate/awakeables/{identity}/reject"
    restate.http.post(url, content="too dear").raise_for_status()
    assert "refused by a person. too dear" in restate.result(invocation).json()["answer"]


def test_cancel_ends_a_waiting_turn_and_leaves_a_readable_session(
    restate: Restate, session: str
) -> None:
    invocation = restate.send("ClaimAgent", session, CLAIM)
    restate.wait_approval("ClaimAgent", session)
    url = f"{restate.server.admin_url}/invocations/{invocation}/cancel"
    restate.http.patch(url).raise_for_status()
    assert restate.result(invocation).status_code == 409
    roles = [role for role, _ in restate.messages("ClaimAgent", session)]
    assert roles[0] == "user"
    assert roles[-1] == "error"
    assert restate.call("ClaimAgent", session, "approvals").json() == []
    following = restate.turn("ClaimAgent", session, "Pay claim C-2 for 5 EUR")
    assert "C-2" in following.json()["answer"]


def test_a_killed_turn_leaves_its_message_and_no_stale_approval(
    restate: Restate, session: str
) -> None:
    invocation = restate.send("ClaimAgent", session, CLAIM)
    restate.wait_approval("ClaimAgent", session)
    url = f"{restate.server.admin_url}/invocations/{invocation}/kill"
    restate.http.patch(url).raise_for_status()
    following = restate.turn("ClaimAgent", session, "Pay claim C-2 for 5 EUR")
    assert following.json()["turn"] == 2
    assert restate.messages("ClaimAgent", session)[0] == ("user", CLAIM)
    assert restate.call("ClaimAgent", session, "approvals").json() == []


def test_an_approval_survives_the_death_of_the_process(
    restate: Restate, session: str, endpoint: Endpoint
) -> None:
    invocation = restate.send("ClaimAgent", session, CLAIM)
    identity = restate.wait_approval("ClaimAgent", session)["id"]
    restate.wait_suspended(invocation)
    endpoint.kill()
    url = f"{restate.server.ingress_url}/restate/awakeables/{identity}/resolve"
    restate.http.post(url, json={"approved": True, "by": "bob"}).raise_for_status()
    endpoint.start()
    assert "approved by bob" in restate.result(invocation).json()["answer"]

"""Sessions of users: identity, shared state, lists, reading and deleting."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from tests.integration.agent_service.harness import AGENTS, Endpoint, Restate, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("endpoint", "scripted_model")]

AGENT = "SharingAgent"


@pytest.fixture
def user() -> str:
    return f"u{uuid.uuid4().hex[:8]}"


@pytest.fixture(autouse=True)
def _script(scripted_model: ScriptedModel) -> None:
    """``keep user:name = Ann (0.5 s)`` makes the agent keep it."""
    what = r"keep (?P<key>\S+) = (?P<value>\w+)(?: \((?P<seconds>[\d.]+) s\))?"
    call = Call(name="remember", args={"key": "{key}", "value": "{value}", "seconds": 0})
    slow = Call(name="remember", args={"key": "{key}", "value": "{value}", "seconds": 2})
    around = Call(name="look_around", args={"app": AGENT})
    scripted_model.put_first(
        Rule(
            name="slowly",
            when=When(text=f"slowly {what}", after_response=False),
            reply=Reply(calls=[slow]),
        ),
        Rule(name="keep", when=When(text=what, after_response=False), reply=Reply(calls=[call])),
        Rule(
            name="look", when=When(text="look", after_response=False), reply=Reply(calls=[around])
        ),
        Rule(name="kept", when=When(response_of="remember"), reply=Reply(text="{result}")),
        Rule(
            name="seen", when=When(response_of="look_around"), reply=Reply(text="{users} {events}")
        ),
    )


def _get(restate: Restate, key: str, **query: Any) -> httpx.Response:
    return restate.call(AGENT, key, "get", query)


def _answer(restate: Restate, key: str, message: str) -> str:
    answer = restate.turn(AGENT, key, message)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["answer"])


def _sessions(restate: Restate, user: str) -> list[dict[str, Any]]:
    listed = restate.call(f"{AGENT}.users", user, "list")
    assert listed.status_code == 200, listed.text
    found: list[dict[str, Any]] = listed.json()["sessions"]
    return found


def test_user_state_is_the_users_in_all_of_their_sessions(restate: Restate, user: str) -> None:
    assert _answer(restate, f"{user}:1", "keep user:name = Ann") == "user:name was nothing"
    assert _answer(restate, f"{user}:2", "keep user:name = Bea") == "user:name was Ann"
    assert _answer(restate, f"{user}:1", "keep user:name = Cis") == "user:name was Bea"
    assert _answer(restate, f"{user}x:1", "keep user:name = Dan") == "user:name was nothing"
    state = _get(restate, f"{user}:2").json()["state"]
    assert state["user:name"] == "Cis"
    assert not any(key.startswith("temp:") for key in state)


def test_a_session_without_a_user_shares_its_users_state_with_nobody(
    restate: Restate, user: str
) -> None:
    assert _answer(restate, user, "keep user:name = Ann") == "user:name was nothing"
    assert _answer(restate, f"{user}-2", "keep user:name = Bea") == "user:name was nothing"
    assert _answer(restate, user, "keep user:name = Cis") == "user:name was Ann"
    assert _get(restate, user).json()["state"]["user:name"] == "Cis"


def test_app_state_is_everybodys(restate: Restate, user: str) -> None:
    key = f"app:{user}"
    assert _answer(restate, f"{user}:1", f"keep {key} = one") == f"{key} was nothing"
    assert _answer(restate, f"other{user}:1", f"keep {key} = two") == f"{key} was one"
    assert _answer(restate, f"nobody-{user}", f"keep {key} = three") == f"{key} was two"
    assert _get(restate, f"{user}:1").json()["state"][key] == "three"


def test_app_state_of_another_process_is_seen_within_seconds(
    restate: Restate, user: str, endpoint: Endpoint, scripted_model: ScriptedModel, tmp_path: Path
) -> None:
    key = f"app:{user}"
    assert _answer(restate, f"{user}:1", f"keep {key} = one") == f"{key} was nothing"
    with Endpoint((f"{AGENTS}:sharing",), scripted_model.url, tmp_path, {}) as second:
        second.register(restate)
        assert _answer(restate, f"{user}:2", f"keep {key} = two") == f"{key} was one"
        endpoint.register(restate)
    seen = wait_until(
        "the first one knows",
        lambda: _answer(restate, f"{user}:3", f"keep {key} = two") == f"{key} was two",
    )
    assert seen


def test_turns_at_the_same_time_do_not_lose_each_others_changes(
    restate: Restate, user: str
) -> None:
    def keep(number: int) -> str:
        return _answer(restate, f"{user}:{number}", f"slowly keep user:k{number} = v{number}")

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(keep, range(6)))
    assert answers == [f"user:k{n} was nothing" for n in range(6)]
    state = _get(restate, f"{user}:0").json()["state"]
    assert {k: v for k, v in state.items() if k.startswith("user:")} == {
        f"user:k{n}": f"v{n}" for n in range(6)
    }


def test_shared_state_survives_a_kill_in_the_middle(
    restate: Restate, user: str, endpoint: Endpoint
) -> None:
    invocation = restate.send(AGENT, f"{user}:1", f"slowly keep user:name = {user}")
    wait_until("the step runs", lambda: f"remember {user}" in endpoint.traced())
    endpoint.kill()
    endpoint.start()
    assert restate.result(invocation).json()["answer"] == "user:name was nothing"
    assert _answer(restate, f"{user}:2", "keep user:name = x") == f"user:name was {user}"


def test_a_failed_turn_keeps_what_it_changed(
    restate: Restate, user: str, scripted_model: ScriptedModel
) -> None:
    call = Call(name="remember", args={"key": "user:name", "value": "Ann", "seconds": 0})
    scripted_model.put_first(
        Rule(name="call", when=When(text="fail", after_response=False), reply=Reply(calls=[call])),
        Rule(name="refuse", when=When(after_response=True), reply=Reply(status=400, message="no")),
    )
    assert restate.turn(AGENT, f"{user}:1", "fail").status_code == 502
    assert _get(restate, f"{user}:2").status_code == 404
    assert _get(restate, f"{user}:1").json()["state"]["user:name"] == "Ann"


def test_a_turn_that_changes_nothing_shared_calls_once_and_one_without_a_user_never(
    restate: Restate, user: str
) -> None:
    def calls(key: str) -> list[str]:
        invocation = restate.send(AGENT, key, "keep mine = x")
        assert restate.result(invocation).status_code == 200
        rows = restate.query(f"select name, entry_type from sys_journal where id = '{invocation}'")
        return [row["entry_type"] for row in rows if row["entry_type"] == "Command: Call"]

    def without_user() -> bool:
        # The app's state is read once a second by each process; a turn soon after needs no call.
        names = [f"{user}-{uuid.uuid4().hex[:4]}" for _ in range(2)]
        return [len(calls(name)) for name in names][1] == 0

    wait_until("a turn needed no call", without_user)
    wait_until("a turn needed one call", lambda: len(calls(f"{user}:1")) == 1)


def test_sessions_are_listed_by_user_and_by_app(restate: Restate, user: str) -> None:
    for key in (f"{user}:first", f"{user}:a%3Ab", user):
        _answer(restate, key.replace("%", "%25"), "keep mine = x")
    _answer(restate, f"{user}:first", "keep mine = y")
    listed = _sessions(restate, user)
    assert [(one["session"], one["key"]) for one in listed] == [
        ("first", f"{user}:first"),
        ("a:b", f"{user}:a%3Ab"),
    ]
    assert listed[0]["createdAt"] < listed[1]["createdAt"] < listed[0]["updatedAt"]
    assert _sessions(restate, f"{user}-nobody") == []
    users = wait_until(
        "the user is known",
        lambda: (
            [u for u in restate.call(f"{AGENT}.app", "app", "users").json()["users"] if u == user]
        ),
    )
    assert users == [user]


def test_a_tool_may_use_adks_session_service(restate: Restate, user: str) -> None:
    _answer(restate, f"{user}:1", "keep mine = x")
    wait_until(
        "the user is known",
        lambda: user in restate.call(f"{AGENT}.app", "app", "users").json()["users"],
    )
    text = _answer(restate, f"{user}:2", "look around")
    assert f"'{user}'" in text
    assert "'1': 1" in text
    assert "'2': 1" in text


def test_get_returns_the_session_or_some_of_its_events(restate: Restate, user: str) -> None:
    key = f"{user}:1"
    assert _get(restate, key).status_code == 404
    _answer(restate, key, "keep mine = one")
    middle = _get(restate, key).json()["updatedAt"]
    _answer(restate, key, "keep mine = two")
    whole = _get(restate, key).json()
    assert (whole["agent"], whole["user"], whole["session"]) == (AGENT, user, "1")
    assert whole["turns"] == 2
    assert whole["state"]["mine"] == "two"
    assert len(whole["events"]) == 8
    assert whole["createdAt"] < middle < whole["updatedAt"]
    assert _get(restate, key, numRecentEvents=3).json()["events"] == whole["events"][-3:]
    assert _get(restate, key, numRecentEvents=0).json()["events"] == []
    late = _get(restate, key, afterTimestamp=middle).json()["events"]
    assert late == whole["events"][4:]
    assert _get(restate, key, numRecentEvents=-1).status_code == 400


@pytest.mark.parametrize("handler", ["turn", "history", "get", "cancel", "delete"])
def test_a_key_that_names_no_session_is_refused(restate: Restate, handler: str) -> None:
    body = {"turn": {"message": "hi"}, "get": {}}.get(handler)
    answer = restate.call(AGENT, "a:b:c", handler, body)
    assert answer.status_code == 400, answer.text
    assert "<user>:<session>" in answer.json()["message"]


def test_a_deleted_session_is_gone_and_its_users_state_is_not(restate: Restate, user: str) -> None:
    key = f"{user}:1"
    _answer(restate, key, "keep user:name = Ann")
    assert restate.call(AGENT, key, "delete").json() == {"deleted": True}
    assert _get(restate, key).status_code == 404
    assert restate.messages(AGENT, key) == []
    assert _sessions(restate, user) == []
    assert restate.query(f"select key from state where service_key = '{key}'") == []
    assert restate.call(AGENT, key, "delete").json() == {"deleted": False}
    again = restate.turn(AGENT, key, "keep user:name = Bea").json()
    assert (again["turn"], again["answer"]) == (1, "user:name was Ann")


def test_deleting_a_session_cancels_the_turn_that_runs_in_it(
    restate: Restate, user: str, endpoint: Endpoint
) -> None:
    key = f"{user}:1"
    invocation = restate.send(AGENT, key, f"slowly keep mine = {user}")
    wait_until("the step runs", lambda: f"remember {user}" in endpoint.traced())
    assert restate.call(AGENT, key, "delete").json() == {"deleted": True}
    assert restate.result(invocation).status_code == 409
    assert restate.query(f"select key from state where service_key = '{key}'") == []


def test_deleting_a_session_drops_what_it_waits_for(restate: Restate, user: str) -> None:
    key = f"{user}:1"
    invocation = restate.send("ClaimAgent", key, "Please refund claim C-17, 800 EUR for a chair")
    waiting = restate.wait_approval("ClaimAgent", key)
    restate.wait_suspended(invocation)
    assert restate.call("ClaimAgent", key, "delete").json() == {"deleted": True}
    assert restate.result(invocation).status_code == 409
    assert restate.call("ClaimAgent", key, "approvals").json() == []
    late = restate.call("ClaimAgent", key, "answer", {"id": waiting["id"], "approved": True})
    assert late.status_code == 404
    assert restate.query(f"select key from state where service_key = '{key}'") == []

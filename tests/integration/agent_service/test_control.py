"""What people can do to a turn that runs: cancel, kill, pause, resume, restart from a step."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from tests.integration.agent_service.harness import Endpoint, Restate, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("endpoint", "scripted_model")]

CAUGHT = ("careless", "reckless", "persistent")


@pytest.fixture
def session() -> str:
    return f"s-{uuid.uuid4().hex[:8]}"


def _control(restate: Restate, invocation: str, what: str, **query: Any) -> httpx.Response:
    url = f"{restate.server.admin_url}/invocations/{invocation}/{what}"
    return restate.http.patch(url, params=query)


def _status(restate: Restate, invocation: str) -> str:
    rows = restate.query(f"select status from sys_invocation where id = '{invocation}'")
    return str(rows[0]["status"]) if rows else ""


def _calls(model: ScriptedModel, *tools: Call) -> None:
    model.put_first(
        Rule(
            name="call", when=When(text="go", after_response=False), reply=Reply(calls=list(tools))
        ),
        Rule(name="said", when=When(after_response=True, text="go"), reply=Reply(text="all done")),
    )


def _begin(restate: Restate, endpoint: Endpoint, session: str) -> str:
    """Starts a turn, and waits until its tool's first step runs."""
    invocation = restate.send("StubbornAgent", session, "go")
    wait_until("the step runs", lambda: f"begin {session} first" in endpoint.traced())
    return invocation


@pytest.mark.parametrize("tool", [*CAUGHT, "tidy"])
def test_no_tool_can_swallow_a_cancel(
    restate: Restate, session: str, endpoint: Endpoint, scripted_model: ScriptedModel, tool: str
) -> None:
    """[V] With the SDK's plugin a broad except in a tool swallows it, and the turn goes on."""
    _calls(scripted_model, Call(name=tool, args={"what": session}))
    invocation = _begin(restate, endpoint, session)
    _control(restate, invocation, "cancel").raise_for_status()
    assert restate.result(invocation).status_code == 409
    done = [line for line in endpoint.traced() if session in line]
    after = {"tidy": [f"begin undo {session}", f"end undo {session}"]}
    assert done == [f"begin {session} first", *after.get(tool, [f"{session} caught"])]
    assert restate.messages("StubbornAgent", session) == [("user", "go"), ("error", "cancelled")]
    following = restate.turn("StubbornAgent", session, "hello")
    assert (following.status_code, following.json()["turn"]) == (200, 2)


def test_a_cancel_reaches_all_tools_of_a_response(
    restate: Restate, session: str, endpoint: Endpoint, scripted_model: ScriptedModel
) -> None:
    names = [f"{session}-{tool}" for tool in (*CAUGHT, "tidy")]
    tools = zip((*CAUGHT, "tidy"), names, strict=True)
    _calls(scripted_model, *(Call(name=tool, args={"what": name}) for tool, name in tools))
    invocation = restate.send("StubbornAgent", session, "go")
    begun = {f"begin {name} first" for name in names}
    wait_until("all steps run", lambda: begun <= set(endpoint.traced()))
    _control(restate, invocation, "cancel").raise_for_status()
    assert restate.result(invocation).status_code == 409
    assert not any("went on" in line for line in endpoint.traced() if session in line)
    assert f"end undo {names[-1]}" in endpoint.traced()


def test_whoever_may_call_the_agent_may_cancel_its_turn(
    restate: Restate, session: str, endpoint: Endpoint, scripted_model: ScriptedModel
) -> None:
    assert restate.call("StubbornAgent", session, "cancel").json() == {"cancelled": ""}
    _calls(scripted_model, Call(name="tidy", args={"what": session}))
    invocation = _begin(restate, endpoint, session)
    answer = restate.call("StubbornAgent", session, "cancel")
    assert answer.json() == {"cancelled": invocation}
    assert restate.result(invocation).status_code == 409
    assert restate.call("StubbornAgent", session, "cancel").json() == {"cancelled": ""}


def test_a_cancel_holds_when_the_process_dies_while_the_turn_tidies_up(
    restate: Restate, session: str, endpoint: Endpoint, scripted_model: ScriptedModel
) -> None:
    _calls(scripted_model, Call(name="tidy_slowly", args={"what": session}))
    invocation = _begin(restate, endpoint, session)
    _control(restate, invocation, "cancel").raise_for_status()
    wait_until("it tidies up", lambda: f"begin undo {session}" in endpoint.traced())
    endpoint.kill()
    endpoint.start()
    assert restate.result(invocation).status_code == 409
    assert f"end undo {session}" in endpoint.traced()
    assert endpoint.traced().count(f"begin {session} first") == 1


def test_a_tool_that_catches_everything_in_a_loop_holds_up_no_other_turn(
    restate: Restate, session: str, endpoint: Endpoint, scripted_model: ScriptedModel
) -> None:
    _calls(scripted_model, Call(name="hopeless", args={"what": session}))
    invocation = _begin(restate, endpoint, session)
    _control(restate, invocation, "cancel").raise_for_status()
    wait_until("it goes on and on", lambda: endpoint.traced().count(f"{session} caught") > 4)
    assert restate.turn("StubbornAgent", f"{session}-2", "hello").status_code == 200
    _control(restate, invocation, "kill").raise_for_status()
    assert restate.turn("StubbornAgent", session, "hello").json()["turn"] == 2
    # What is left of it in the process.
    endpoint.kill()


def test_a_killed_turn_leaves_a_session_that_goes_on(
    restate: Restate, session: str, endpoint: Endpoint, scripted_model: ScriptedModel
) -> None:
    _calls(scripted_model, Call(name="careless", args={"what": session}))
    invocation = _begin(restate, endpoint, session)
    _control(restate, invocation, "kill").raise_for_status()
    assert restate.result(invocation).status_code >= 400
    following = restate.turn("StubbornAgent", session, "hello")
    assert (following.status_code, following.json()["turn"]) == (200, 2)
    assert [role for role, _ in restate.messages("StubbornAgent", session)] == [
        "user",
        "error",
        "user",
        "agent",
    ]
    # Nothing of it goes on in the process either.
    assert f"begin {session} second" not in endpoint.traced()


def test_a_paused_turn_goes_on_where_it_was(
    restate: Restate, session: str, endpoint: Endpoint, scripted_model: ScriptedModel
) -> None:
    _calls(scripted_model, Call(name="measure", args={"what": session, "seconds": 4}))
    before = len(scripted_model.calls())
    invocation = restate.send("StubbornAgent", session, "go")
    wait_until("the step runs", lambda: f"begin {session}" in endpoint.traced())
    _control(restate, invocation, "pause").raise_for_status()
    wait_until("it is paused", lambda: _status(restate, invocation) == "paused")
    assert restate.messages("StubbornAgent", session) == [("user", "go")]
    _control(restate, invocation, "resume").raise_for_status()
    assert restate.result(invocation).json()["answer"] == "all done"
    # The model call before the pause is not made again, nor is the turn's message written twice.
    assert len(scripted_model.calls()) - before == 2
    assert restate.messages("StubbornAgent", session) == [("user", "go"), ("agent", "all done")]


def _before(restate: Restate, invocation: str, name: str, which: int = 0) -> int:
    """The last entry that is kept, where a turn is to be restarted from a step."""
    rows = restate.query(
        "select \"index\" as i, coalesce(name, '') as name from sys_journal"
        f" where id = '{invocation}' and entry_type like 'Command: %' order by \"index\""
    )
    steps = [n for n, row in enumerate(rows) if row["name"].startswith(name)]
    return int(rows[steps[which] - 1]["i"])


def _restart(restate: Restate, invocation: str, step: int) -> str:
    url = f"{restate.server.admin_url}/invocations/{invocation}/restart-as-new"
    answer = restate.http.patch(url, params={"from": step})
    assert answer.is_success, answer.text
    return str(answer.json()["new_invocation_id"])


@pytest.mark.parametrize("later", [0, 2])
@pytest.mark.parametrize("user", ["", "ann:"])
def test_a_turn_is_restarted_from_a_step(
    restate: Restate,
    session: str,
    endpoint: Endpoint,
    scripted_model: ScriptedModel,
    later: int,
    user: str,
) -> None:
    key = user + session
    scripted_model.put_first(
        Rule(
            name="call",
            when=When(text="go", after_response=False),
            reply=Reply(calls=[Call(name="measure", args={"what": session, "seconds": 0})]),
        ),
        Rule(name="later", when=When(text="later (?P<n>\\d)"), reply=Reply(text="later {n}")),
        Rule(name="once", when=When(response_of="measure"), reply=Reply(text="first", times=1)),
        Rule(name="twice", when=When(response_of="measure"), reply=Reply(text="second")),
    )
    restate.turn("StubbornAgent", key, "later 0")
    invocation = restate.send("StubbornAgent", key, "go")
    assert restate.result(invocation).json()["answer"] == "first"
    after = []
    for number in range(1, later + 1):
        restate.turn("StubbornAgent", key, f"later {number}")
        after += [("user", f"later {number}"), ("agent", f"later {number}")]
    state = restate.call("StubbornAgent", key, "get", {}).json()["state"]

    made = len(scripted_model.calls())
    new = _restart(restate, invocation, _before(restate, invocation, f"measure {session}"))
    answer = restate.result(new)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["answer"], answer.json()["turn"]) == ("second", 2)
    # The model call in front of the step is not made again, and the step is.
    assert len(scripted_model.calls()) - made == 1
    assert endpoint.traced().count(f"begin {session}") == 2
    before = [("user", "later 0"), ("agent", "later 0")]
    own = [("user", "go"), ("agent", "second")]
    assert restate.messages("StubbornAgent", key) == [*before, *own, *after]
    assert restate.call("StubbornAgent", key, "get", {}).json()["state"] == state
    following = restate.turn("StubbornAgent", key, "later 9")
    assert following.json()["turn"] == 3 + later


def test_a_cancelled_turn_is_restarted_from_the_step_it_was_in(
    restate: Restate, session: str, endpoint: Endpoint, scripted_model: ScriptedModel
) -> None:
    args = {"what": session, "seconds": 3}
    _calls(scripted_model, Call(name="measure", args=args))
    invocation = restate.send("StubbornAgent", session, "go")
    wait_until("the step runs", lambda: f"begin {session}" in endpoint.traced())
    _control(restate, invocation, "cancel").raise_for_status()
    assert restate.result(invocation).status_code == 409
    new = _restart(restate, invocation, _before(restate, invocation, f"measure {session}"))
    assert restate.result(new).json()["answer"] == "all done"
    assert restate.messages("StubbornAgent", session) == [("user", "go"), ("agent", "all done")]


def _wiped(restate: Restate, model: ScriptedModel, session: str) -> str:
    """A turn that asked before it wiped a disk, and then said so."""
    call = Call(name="wipe", args={"disk": session})
    model.put_first(
        Rule(name="call", when=When(text="go", after_response=False), reply=Reply(calls=[call])),
        Rule(name="once", when=When(response_of="wipe"), reply=Reply(text="first", times=1)),
        Rule(name="twice", when=When(response_of="wipe"), reply=Reply(text="second: {said}")),
    )
    invocation = restate.send("ConfirmingAgent", session, "go")
    asked = restate.wait_approval("ConfirmingAgent", session)
    given = {"id": asked["id"], "approved": True, "by": "ann"}
    restate.call("ConfirmingAgent", session, "answer", given).raise_for_status()
    assert restate.result(invocation).json()["answer"] == "first"
    return invocation


def test_a_turn_is_restarted_after_an_approval_that_was_given(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    invocation = _wiped(restate, scripted_model, session)
    answer = restate.result(
        _restart(restate, invocation, _before(restate, invocation, "call model", -1))
    )
    assert answer.json()["answer"] == f"second: {session} is wiped"
    assert restate.call("ConfirmingAgent", session, "approvals").json() == []
    (decided,) = restate.call("ConfirmingAgent", session, "decisions").json()["answered"]
    assert decided["decision"]["by"] == "ann"


def test_a_turn_is_restarted_from_before_an_approval(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    invocation = _wiped(restate, scripted_model, session)
    new = _restart(restate, invocation, _before(restate, invocation, "ask"))
    asked = restate.wait_approval("ConfirmingAgent", session)
    given = {"id": asked["id"], "approved": False, "by": "bob"}
    restate.call("ConfirmingAgent", session, "answer", given).raise_for_status()
    assert restate.result(new).status_code == 200
    answered = restate.call("ConfirmingAgent", session, "decisions").json()["answered"]
    assert [one["decision"]["by"] for one in answered] == ["ann", "bob"]

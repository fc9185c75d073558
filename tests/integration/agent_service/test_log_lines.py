"""What a turn's code writes to the log, across suspensions and dead processes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from tests.integration.agent_service.harness import Endpoint, Restate, wait_until
from tests.integration.agent_service.reading import TEXT, begin, read, says

pytestmark = pytest.mark.integration
AGENT = "WatchedAgent"


@pytest.fixture(scope="module")
def watched(
    restate: Restate,
    scripted_model_server: ScriptedModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Endpoint]:
    agents = ["tests.integration.agent_service.watched:agent"]
    folder = tmp_path_factory.mktemp("logging")
    # No ingress is there.
    env = {"AGENT_REVISION": "rev-1", "RESTATE_INGRESS_URL": "http://127.0.0.1:9"}
    with Endpoint(agents, scripted_model_server.url, folder, env) as endpoint:
        endpoint.register(restate)
        yield endpoint


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name[:30]}-{time.time_ns()}"


def lines(endpoint: Endpoint, invocation: str) -> list[dict[str, Any]]:
    """The agent's lines about one turn."""
    found = [json.loads(line) for line in endpoint.log.read_text().splitlines() if line[:1] == "{"]
    return [
        line
        for line in found
        if line.get("invocation") == invocation and line["logger"].endswith(".watched")
    ]


def said(endpoint: Endpoint, invocation: str) -> list[str]:
    return [line["message"] for line in lines(endpoint, invocation)]


def together(*names: str) -> Rule:
    calls = [Call(name=name, args={"what": "x" * number}) for number, name in enumerate(names, 1)]
    return Rule(name="calls", when=When(tool="look_up", after_response=False),
                reply=Reply(calls=calls))  # fmt: skip


def test_lines_are_not_repeated_and_new_ones_after_a_resume_are_not_hidden(
    restate: Restate, watched: Endpoint, scripted_model: ScriptedModel, session: str
) -> None:
    """The SDK's filter hid new lines of the outer loop after a resume [V]."""
    scripted_model.put_first(
        together("look_up", "ask", "ask"),
        Rule(name="done", when=When(after_response=True), reply=Reply(text="done")),
    )
    invocation = restate.send(AGENT, session, "go")
    wait_until(
        "both approvals are pending",
        lambda: len(restate.call(AGENT, session, "approvals").json()) == 2 or None,
    )
    restate.wait_suspended(invocation)
    before = ["before the step", "in the step", "after the step"]
    before += ["before asking 2", "before asking 3"]
    assert sorted(said(watched, invocation)) == sorted(before)
    # Both were asked: they are answered one after the other.
    waiting = restate.call(AGENT, session, "approvals").json()
    for approval in waiting:
        restate.call(AGENT, session, "answer", {"id": approval["id"], "approved": True})
        before.append(f"after asking {len(approval['title'])}")
        wait_until("it goes on", lambda: len(said(watched, invocation)) == len(before) or None)
        assert sorted(said(watched, invocation)) == sorted(before)
    assert restate.result(invocation).status_code == 200
    assert sorted(said(watched, invocation)) == sorted(before)


def test_lines_before_the_last_step_are_not_repeated_after_sigkill(
    restate: Restate, watched: Endpoint, scripted_model: ScriptedModel, session: str
) -> None:
    scripted_model.put_first(
        together("look_up", "hang"),
        Rule(name="done", when=When(after_response=True), reply=Reply(text="done")),
    )
    watched.trace.unlink(missing_ok=True)
    invocation = restate.send(AGENT, session, "go")
    wait_until("the second step hangs", lambda: watched.trace.exists() or None)
    watched.kill()
    Path(f"{watched.trace}.go").touch()
    watched.start({"AGENT_REVISION": "rev-2"})
    assert restate.result(invocation).json()["revision"] == "rev-2"
    found = said(watched, invocation)
    for once in ("before the step", "in the step", "between the steps"):
        assert found.count(once) == 1, found
    # Its place is after the last entry that the journal had: it may come again, and isn't lost.
    assert found.count("after the step") in (1, 2), found


def test_a_line_says_what_it_is_about(
    restate: Restate, watched: Endpoint, scripted_model: ScriptedModel, session: str
) -> None:
    scripted_model.put_first(
        together("look_up"),
        Rule(name="done", when=When(after_response=True), reply=Reply(text="done")),
    )
    for number in (1, 2):
        invocation = restate.send(AGENT, session, f"go {number}")
        assert restate.result(invocation).status_code == 200
        found = lines(watched, invocation)
        # The step's own too, which runs in a task of its own.
        assert {line["message"] for line in found} == {
            "before the step", "in the step", "after the step",
        }  # fmt: skip
        for line in found:
            about = (line["agent"], line["session"], line["turn"])
            assert about == (AGENT, session, number)
            assert line["revision"].startswith("rev-")


def test_an_ingress_that_is_gone_costs_only_the_partial_text(
    restate: Restate, watched: Endpoint, scripted_model: ScriptedModel, session: str
) -> None:
    scripted_model.put_first(says(pause=0.01))
    turn = begin(restate, session, AGENT)
    page = read(restate, session, AGENT, turn=turn, wait=30)
    answer = restate.result(turn).json()
    assert (answer["answer"], answer["notStreamed"]) == (TEXT, "")
    assert (page["ended"], page["chunks"]) == (True, [])
    assert watched.log.read_text().count("partial text can't be published") == 1

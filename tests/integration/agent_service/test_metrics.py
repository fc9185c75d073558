"""The metrics of a serving process: each thing is counted once, whatever happens to its turn."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from hack.restate import free_ports
from tests.integration.agent_service.harness import Endpoint, Restate, wait_until

pytestmark = pytest.mark.integration
AGENT = "WatchedAgent"
PORT = free_ports(1)[0]
MODEL = "gemini-2.5-flash"


@pytest.fixture(scope="module")
def watched(
    restate: Restate,
    scripted_model_server: ScriptedModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Endpoint]:
    agents = ["tests.integration.agent_service.watched:agent"]
    env = {"AGENT_REVISION": "rev-1", "AGENT_METRICS_PORT": str(PORT)}
    folder = tmp_path_factory.mktemp("metrics")
    with Endpoint(agents, scripted_model_server.url, folder, env) as endpoint:
        endpoint.register(restate)
        yield endpoint


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name[:30]}-{time.time_ns()}"


type Values = dict[tuple[str, ...], float]


def values() -> Values:
    """By the sample's name and its labels' values; each must have agent and revision."""
    text = httpx.get(f"http://127.0.0.1:{PORT}/metrics", trust_env=False).raise_for_status().text
    found: Values = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            if not sample.name.startswith("durable_agents_") or "le" in labels:
                continue
            assert (labels.pop("agent"), labels.pop("revision")) == (AGENT, "rev-1")
            name = sample.name.removeprefix("durable_agents_")
            found[name, *(labels[key] for key in sorted(labels))] = sample.value
    return found


def risen(before: Values) -> Values:
    """By how much values have changed."""
    after = values()
    return {
        key: after[key] - before.get(key, 0)
        for key in after
        if after[key] != before.get(key, 0) and not key[0].endswith(("_sum", "_created"))
    }


def test_a_turn_with_a_suspension_and_a_broken_attempt_is_counted_once(
    restate: Restate, watched: Endpoint, scripted_model: ScriptedModel, session: str
) -> None:
    calls = [
        Call(name=name, args={"what": "x"}) for name in ("look_up", "broken", "ask", "made_up")
    ]
    scripted_model.put_first(
        Rule(name="busy", when=When(tool="look_up", after_response=False),
             reply=Reply(status=503, times=1)),
        Rule(name="calls", when=When(tool="look_up", after_response=False),
             reply=Reply(calls=calls)),
        Rule(name="done", when=When(after_response=True), reply=Reply(text="done")),
    )  # fmt: skip
    before = values()
    invocation = restate.send(AGENT, session, "go")
    approval = restate.wait_approval(AGENT, session)
    restate.wait_suspended(invocation)
    assert risen(before)["approvals_asked_total",] == 1
    assert ("turns_running",) not in risen(before)
    restate.call(AGENT, session, "answer", {"id": approval["id"], "approved": True})
    assert restate.result(invocation).status_code == 200
    wait_until("the turn is counted", lambda: ("turns_total", "completed") in risen(before) or None)
    found = risen(before)
    suspended = found.pop(("turn_attempts_total", "suspended"))
    interrupted = found.pop(("turn_attempts_total", "interrupted"))
    assert suspended >= 1
    assert interrupted >= 1
    tokens = {key: found.pop(key) for key in list(found) if key[0] == "tokens_total"}
    assert found == {
        ("turns_total", "completed"): 1,
        ("turn_attempts_total", "completed"): 1,
        ("turn_seconds_count",): 1,
        ("model_calls_total", MODEL, "ok"): 2,
        ("model_calls_total", MODEL, "unavailable"): 1,
        ("model_call_seconds_count", MODEL): 3,
        ("tool_calls_total", "ok", "look_up"): 1,
        ("tool_calls_total", "ok", "broken"): 1,
        ("tool_calls_total", "ok", "ask"): 1,
        ("tool_calls_total", "error", "unknown"): 1,
        ("approvals_asked_total",): 1,
        ("approvals_answered_total", "approved"): 1,
    }
    assert {key[1:] for key in tokens} == {("prompt", MODEL), ("answer", MODEL)}


def test_a_refused_turn_is_counted_as_failed(
    restate: Restate, watched: Endpoint, scripted_model: ScriptedModel, session: str
) -> None:
    scripted_model.put_first(Rule(name="no", reply=Reply(status=400, message="no")))
    before = values()
    assert restate.turn(AGENT, session, "go").status_code == 502
    wait_until("the turn is counted", lambda: ("turns_total", "failed") in risen(before) or None)
    found = risen(before)
    assert found["turns_total", "failed"] == 1
    assert found["model_calls_total", MODEL, "refused"] == 1


def test_model_calls_under_way_are_shown(
    restate: Restate, watched: Endpoint, scripted_model: ScriptedModel, session: str
) -> None:
    scripted_model.put_first(Rule(name="slow", reply=Reply(text="done", delay=2)))
    before = values()
    invocation = restate.send(AGENT, session, "go")
    wait_until(
        "a call is under way",
        lambda: risen(before).get(("model_calls_running", MODEL)) == 1 or None,
    )
    assert risen(before)["turns_running",] == 1
    assert restate.result(invocation).status_code == 200
    wait_until("none is", lambda: ("model_calls_running", MODEL) not in risen(before) or None)


def test_metrics_have_a_port_of_their_own(watched: Endpoint) -> None:
    """The agents' port answers nobody but Restate, where it checks who asks."""
    assert httpx.get(f"{watched.url}/metrics", trust_env=False).status_code == 404
    text = httpx.get(f"http://127.0.0.1:{PORT}/metrics", trust_env=False).text
    assert "process_resident_memory_bytes" in text

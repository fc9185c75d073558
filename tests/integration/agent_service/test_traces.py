"""A turn's trace, as a collector gets it: one tree, whatever happens to the turn."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from hack.restate import RestateServer
from tests.integration.agent_service.harness import Endpoint, Restate, wait_until
from tests.support.otlp import Collector, SeenSpan, assert_one_tree

pytestmark = pytest.mark.integration
AGENT = "WatchedAgent"
SECRET = "Zanzibar"  # what the user says, and must not be seen


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def watched(
    restate: Restate,
    collector: Collector,
    scripted_model_server: ScriptedModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Endpoint]:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "AGENT_REVISION": "rev-1",
    }
    agents = ["tests.integration.agent_service.watched:agent"]
    folder = tmp_path_factory.mktemp("traced")
    with Endpoint(agents, scripted_model_server.url, folder, env) as endpoint:
        endpoint.register(restate)
        yield endpoint


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name[:30]}-{time.time_ns()}"


def script(model: ScriptedModel, *tools: str) -> None:
    """Calls these tools together, then answers."""
    calls = [Call(name=name, args={"what": SECRET}) for name in tools]
    model.put_first(
        Rule(name="calls", when=When(tool="look_up", after_response=False, text="go"),
             reply=Reply(calls=calls)),
        Rule(name="done", when=When(after_response=True), reply=Reply(text=f"done, {SECRET}")),
    )  # fmt: skip


def trace_of(collector: Collector, invocation: str) -> list[SeenSpan]:
    """Waits for the turn's own span, which comes last, and returns the whole trace."""

    def look() -> SeenSpan | None:
        turns = collector.spans(f"turn {AGENT}")
        return next((s for s in turns if s.attributes["restate.invocation.id"] == invocation), None)

    root = wait_until("the turn's span", look)
    time.sleep(0.5)  # what were sent twice would be sent by then
    return collector.of_trace(root.trace)


def names(spans: list[SeenSpan]) -> Counter[str]:
    return Counter(span.name for span in spans)


def test_a_turn_is_one_tree_across_a_suspension(
    restate: Restate,
    watched: Endpoint,
    collector: Collector,
    scripted_model: ScriptedModel,
    session: str,
) -> None:
    """Without tracing on Restate each span became its own trace [V]."""
    script(scripted_model, "look_up", "ask")
    before = time.time_ns()
    invocation = restate.send(AGENT, session, f"go to {SECRET}")
    approval = restate.wait_approval(AGENT, session)
    restate.wait_suspended(invocation)
    time.sleep(1.0)
    early = {span.id for span in collector.spans()}
    restate.call(AGENT, session, "answer", {"id": approval["id"], "approved": True})
    assert restate.result(invocation).status_code == 200
    spans = trace_of(collector, invocation)
    root = assert_one_tree(spans)
    assert root.name == f"turn {AGENT}"
    found = names(spans)
    assert found["attempt"] == 2
    assert found[f"invoke_workflow {AGENT}"] == found[f"invoke_agent {AGENT}"] == 1
    assert found["generate_content gemini-2.5-flash"] == 2
    assert found["execute_tool look_up"] == found["execute_tool ask"] == 1
    assert found["step"] == 3  # two calls of the model, one of the tool
    # The first model call was sent before the turn slept, and the span above it after.
    by_id = {span.id: span for span in spans}
    first = next(s for s in spans if s.name.startswith("generate_content") and s.id in early)
    assert by_id[first.parent].id not in early
    assert before < root.start < first.start < first.end < root.end
    (asking,) = [span for span in spans if span.name == "execute_tool ask"]
    assert asking.end - asking.start > 1_000_000_000
    assert root.attributes["durable_agents.turn"] == 1
    assert root.attributes["gen_ai.usage.input_tokens"] > 0
    assert root.resource["service.name"] == AGENT
    assert root.resource["service.version"] == "rev-1"


def test_a_turn_is_one_tree_across_sigkill_and_revisions(
    restate: Restate,
    watched: Endpoint,
    collector: Collector,
    scripted_model: ScriptedModel,
    session: str,
) -> None:
    script(scripted_model, "look_up", "hang")
    watched.trace.unlink(missing_ok=True)
    invocation = restate.send(AGENT, session, "go")
    wait_until("the second step hangs", lambda: watched.trace.exists() or None)
    time.sleep(0.5)  # what has ended is sent
    watched.kill()
    Path(f"{watched.trace}.go").touch()
    watched.start({"AGENT_REVISION": "rev-2"})
    assert restate.result(invocation).json()["revision"] == "rev-2"
    spans = trace_of(collector, invocation)
    root = assert_one_tree(spans)
    found = names(spans)
    assert found["generate_content gemini-2.5-flash"] == 2
    assert found["execute_tool hang"] == found["execute_tool look_up"] == 1
    assert found["step"] == 5  # two calls of the model, one step of look_up, two of hang
    revisions = {span.resource["service.version"] for span in spans}
    assert revisions == {"rev-1", "rev-2"}
    assert root.resource["service.version"] == "rev-2"


def test_an_attempt_that_fails_is_seen_and_its_spans_are_not_sent_twice(
    restate: Restate,
    watched: Endpoint,
    collector: Collector,
    scripted_model: ScriptedModel,
    session: str,
) -> None:
    Path(f"{watched.trace}.broken").unlink(missing_ok=True)
    script(scripted_model, "broken")
    invocation = restate.send(AGENT, session, "go")
    assert restate.result(invocation).status_code == 200
    spans = trace_of(collector, invocation)
    assert_one_tree(spans)
    endings = [s.attributes["durable_agents.ending"] for s in spans if s.name == "attempt"]
    assert endings == ["interrupted", "completed"]
    assert names(spans)["execute_tool broken"] == 1


def test_each_try_of_a_model_call_is_seen(
    restate: Restate,
    watched: Endpoint,
    collector: Collector,
    scripted_model: ScriptedModel,
    session: str,
) -> None:
    scripted_model.put_first(
        Rule(name="busy", when=When(text="patience"), reply=Reply(status=503, times=2)),
        Rule(name="then", when=When(text="patience"), reply=Reply(text="here")),
    )
    invocation = restate.send(AGENT, session, "patience")
    assert restate.result(invocation).status_code == 200
    spans = trace_of(collector, invocation)
    assert_one_tree(spans)
    steps = [span for span in spans if span.name == "step"]
    assert [step.failed for step in steps] == [True, True, False]
    (model,) = [span for span in spans if span.name.startswith("generate_content")]
    assert {step.parent for step in steps} == {model.id}


def test_what_is_said_is_in_no_span(collector: Collector, watched: Endpoint) -> None:
    """`ADK_CAPTURE_MESSAGE_CONTENT_IN_SPANS` is true unless set otherwise [V]: here it isn't."""
    spans = collector.spans()
    assert len(spans) > 20
    assert {span.name for span in spans} > {"attempt", "step"}
    for span in spans:
        assert SECRET not in span.raw
    assert any("exception" in span.raw for span in spans)


def test_a_turn_hangs_below_its_callers_span(
    restate: Restate,
    watched: Endpoint,
    collector: Collector,
    scripted_model: ScriptedModel,
    session: str,
) -> None:
    scripted_model.put_first(Rule(name="hello", reply=Reply(text="hello")))
    trace, above = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    url = f"{restate.server.ingress_url}/{AGENT}/{session}/turn"
    headers = {"traceparent": f"00-{trace}-{above}-01"}
    answer = restate.http.post(url, json={"message": "hello"}, headers=headers)
    assert answer.status_code == 200
    wait_until("the turn's span", lambda: collector.of_trace(trace) or None)
    time.sleep(0.5)
    assert_one_tree(collector.of_trace(trace), above)


def test_with_tracing_on_restate_the_turn_is_part_of_its_trace(
    collector: Collector, watched: Endpoint, scripted_model: ScriptedModel, session: str
) -> None:
    scripted_model.put_first(Rule(name="hello", reply=Reply(text="hello")))
    # Its own spans go nowhere: nobody listens there. It hands out the trace's ids all the same.
    nowhere = {"RESTATE_TRACING_ENDPOINT": "http://127.0.0.1:9"}
    with RestateServer(env=nowhere) as server:
        restate = Restate(server)
        watched.register(restate)
        invocation = restate.send(AGENT, session, "hello")
        assert restate.result(invocation).status_code == 200
    spans = trace_of(collector, invocation)
    roots = [span for span in spans if span.name.startswith("turn ")]
    assert len(roots) == 1
    assert roots[0].parent
    assert_one_tree(spans, roots[0].parent)


def test_unsampled_turns_are_not_sent(
    restate: Restate,
    watched: Endpoint,
    collector: Collector,
    scripted_model: ScriptedModel,
    session: str,
) -> None:
    scripted_model.put_first(Rule(name="hello", reply=Reply(text="hello")))
    url = f"{restate.server.ingress_url}/{AGENT}/{session}/turn"
    trace = "5bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-00"}
    assert restate.http.post(url, json={"message": "hello"}, headers=headers).status_code == 200
    following = restate.send(AGENT, session, "hello")
    restate.result(following)
    trace_of(collector, following)
    assert collector.of_trace(trace) == []

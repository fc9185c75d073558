"""What a collector and Prometheus see of a turn that sleeps and goes on in another revision."""

import base64

import httpx
from prometheus_client.parser import text_string_to_metric_families

from agent_service.testing import Call, Reply, Rule, When
from hack.demo import shell
from tests.e2e.agents_world import AgentsWorld, pods_of
from tests.support.otlp import SeenSpan, assert_one_tree, spans_in

AGENT, MODEL = "Clerk", "gemini-2.5-flash"
METRICS_PORT = 9464
# What people say, and tools are told: it must be nowhere.
SECRET = "Zanzibar"
TRACED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://witness:8080", "OTEL_BSP_SCHEDULE_DELAY": "100"}

type Values = dict[tuple[str, ...], float]


async def scrape(agents: AgentsWorld, target: str, port: int) -> str:
    with shell.forward(agents.world.namespace, target, port) as address:
        async with httpx.AsyncClient(trust_env=False) as http:
            return (await http.get(f"{address}/metrics")).raise_for_status().text


async def metrics(agents: AgentsWorld, revision: str) -> Values:
    """What the revision's only pod tells, by name and labels' values but for agent and revision."""
    (pod,) = pods_of(agents.world, revision)
    text = await scrape(agents, f"pod/{pod}", METRICS_PORT)
    assert SECRET not in text
    found: Values = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            if sample.name.startswith("durable_agents_") and "le" not in labels:
                assert (labels.pop("agent"), labels.pop("revision")) == (AGENT, revision)
                name = sample.name.removeprefix("durable_agents_")
                found[name, *(labels[key] for key in sorted(labels))] = sample.value
    return found


async def spans(agents: AgentsWorld, invocation: str) -> list[SeenSpan]:
    """Waits for the turn's own span, which comes last; all of its trace."""
    found: list[SeenSpan] = []

    def is_root(span: SeenSpan) -> bool:
        named = span.name == f"turn {AGENT}"
        return named and span.attributes["restate.invocation.id"] == invocation

    async def root() -> bool:
        bodies = (await agents.witness.get("/traces")).raise_for_status().json()
        found[:] = [span for body in bodies for span in spans_in(base64.b64decode(body))]
        return any(map(is_root, found))

    await agents.until(root, "the turn's span")
    trace = next(span.trace for span in found if is_root(span))
    return [span for span in found if span.trace == trace]


async def test_a_turn_is_one_trace_and_counted_once_across_revisions(agents: AgentsWorld) -> None:
    key = agents.world.key("o")
    call = Call(name="decide", args={"what": SECRET, "seconds": 0, "escalate": False})
    await agents.script(
        Rule(name="ask", when=When(after_response=False), reply=Reply(calls=[call])),
        Rule(name="made", when=When(response_of="decide"), reply=Reply(text="{made}")),
    )
    first = await agents.serve("kit.agents:clerk", **TRACED)
    invocation = await agents.world.turns.start(AGENT, key, f"go to {SECRET}")
    (asked,) = await agents.pending(AGENT, key, 1)
    await agents.until_status(invocation, "suspended")
    waiting = await metrics(agents, first)
    assert waiting["model_calls_total", MODEL, "ok"] == 1
    assert waiting["tokens_total", "prompt", MODEL] > 0
    assert waiting["approvals_asked_total",] == 1
    assert waiting["turn_attempts_total", "suspended"] >= 1
    assert waiting["turns_running",] == waiting["turns_total", "completed"] == 0
    # Approvals that wait are in Restate, in no process.
    sql = "select service_name as s, count(*) as n from state where key = 'approvals' group by 1"
    assert {"s": AGENT, "n": 1} in await agents.world.query(sql)

    second = await agents.serve("kit.agents:clerk", **TRACED, ANOTHER="one")
    # The operator tells for each revision what sleeps.
    line = f'revision="{first}",state="suspended"}} 1.0'

    async def told() -> bool:
        return line in await scrape(agents, agents.world.release.operator, 8080)

    await agents.until(told, "the operator's metrics to show it")
    await agents.control(invocation, "resume", deployment="latest")
    body = {"id": asked["id"], "approved": True, "by": "ann"}
    await agents.call(AGENT, key, "answer", body)
    assert (await agents.world.turns.result(invocation))["revision"] == second
    found = await metrics(agents, second)
    assert found["turns_total", "completed"] == found["turn_seconds_count",] == 1
    assert found["model_calls_total", MODEL, "ok"] == 1
    assert found["tool_calls_total", "ok", "decide"] == 1
    assert found["approvals_answered_total", "approved"] == 1
    assert found["approvals_asked_total",] == 0

    seen = await spans(agents, invocation)
    root = assert_one_tree(seen)
    assert root.attributes["durable_agents.turn"] == 1
    assert root.attributes["gen_ai.usage.input_tokens"] > 0
    names = [span.name for span in seen]
    assert names.count(f"generate_content {MODEL}") == 2
    assert names.count("execute_tool decide") == 1
    of_attempts = [span.resource["service.version"] for span in seen if span.name == "attempt"]
    assert set(of_attempts) == {first, second}
    assert root.resource["service.version"] == second
    assert not any(SECRET in span.raw for span in seen)

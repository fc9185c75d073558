"""A candidate takes no turn before its gates are passed, and none that nobody promoted."""

import shlex
from pathlib import Path
from typing import Any

from hack.demo import shell
from tests.e2e.world import OURS, V1, V2, World
from tests.support.identity import Identity

SMOKE = {"service": "WeatherAgent", "message": "Weather in Paris?"}
FAHRENHEIT = {"name": "smoke", "smoke": {**SMOKE, "expect": {"pattern": "-?[0-9]+ °F"}}}
CELSIUS = {"name": "smoke", "smoke": {**SMOKE, "expect": {"pattern": "-?[0-9]+ °C"}}}
SCORES = {
    "name": "scores",
    "evaluation": {
        "configMap": {"name": "weather-evaluation", "key": "weather.evalset.json"},
        "agent": "agent_service.agents.weather:agent",
        "thresholds": {"tool_trajectory_avg_score": 1, "response_match_score": 0.2},
    },
}
NO_JOB = {"name": "own", "job": {"spec": {"template": {"spec": {"containers": []}}}}}
ASK = "import os, urllib.request as r; r.urlopen(os.environ['AGENT_URL'] + '/health')"
STRANGER = """
import urllib.error, urllib.request
try:
    urllib.request.urlopen("http://127.0.0.1:9080/discover")
except urllib.error.HTTPError as error:
    print(error.code)
"""
AGENTS = Path(__file__).parents[2] / "agent_service/src/agent_service/agents"


def reason(world: World) -> str:
    return str(world.condition("Progressing").get("reason"))


def message(world: World) -> str:
    return str(world.condition("Progressing").get("message"))


def jobs(world: World) -> list[dict[str, Any]]:
    return shell.items(world.namespace, "jobs", OURS)


def gates(world: World, image: str) -> dict[str, str]:
    (found,) = [r for r in world.status()["revisions"] if r["image"] == world.release.images[image]]
    return {gate["name"]: gate["state"] for gate in found["gates"]}


def set_of_weather(world: World) -> None:
    name = "weather.evalset.json"
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "weather-evaluation"},
        "data": {name: (AGENTS / name).read_text()},
    }
    shell.apply(world.namespace, body)


def own_job(world: World) -> dict[str, Any]:
    image = world.release.images[V2]
    container = {"name": "reach", "image": image, "command": ["python", "-c"], "args": [ASK]}
    return {"name": "reach", "job": {"spec": {"template": {"spec": {"containers": [container]}}}}}


async def test_a_candidate_passes_a_smoke_turn_an_evaluation_and_a_job(world: World) -> None:
    first = await world.started(V1)
    set_of_weather(world)
    world.apply(V2, rollout={"gates": [FAHRENHEIT, SCORES, own_job(world)]})
    await world.until(lambda: reason(world) == "GateRunning", "the first gate to run")
    assert (await world.weather("a"))["revision"] == first
    second = await world.active(V2)
    assert gates(world, V2) == {"smoke": "Passed", "scores": "Passed", "reach": "Passed"}
    assert (await world.weather("b"))["revision"] == second
    # The smoke turn went through a server of its own: production knows no such session.
    assert not await world.query("select id from sys_invocation where target_service_key = 'smoke'")
    await world.until(lambda: not jobs(world), "the gates' Jobs to go")
    await world.gone(first)

    # Going back, and forth again, runs no gate.
    assert await world.started(V1) == first
    assert jobs(world) == []


async def test_agents_that_check_who_calls_pass_gates_too(world: World, identity: Identity) -> None:
    """Restate signs, and so does a gate's server; nobody else is answered."""
    keys = {"name": "RESTATE_IDENTITY_KEYS", "value": identity.public}
    usual = world.release.agent(V1)["spec"].get("env", [])
    first = await world.started(V1, env=[*usual, keys], rollout={"gates": [CELSIUS]})
    assert gates(world, V1) == {"smoke": "Passed"}
    assert (await world.weather("a"))["revision"] == first
    assert world.kubectl("exec", f"rs/{first}", "--", "python", "-c", STRANGER).strip() == "401"


async def test_a_candidate_that_fails_a_gate_until_the_gate_is_another(world: World) -> None:
    first = await world.started(V1)
    world.apply(V2, rollout={"gates": [CELSIUS]})
    await world.until(lambda: reason(world) == "GateFailed", "the gate to fail")
    assert "nothing in the answer fits the pattern '-?[0-9]+ °C'" in message(world)
    assert (await world.weather("a"))["revision"] == first
    await world.until(
        lambda: sum(r["spec"]["replicas"] for r in world.replica_sets()) == 1, "its pods to go"
    )
    # What the message tells to do shows the answer.
    _, _, command = message(world).partition("Its log: ")
    log = shell.run(*shlex.split(command))
    assert "°F" in log
    world.kill_operator()

    world.apply(V2, rollout={"gates": [NO_JOB]})
    await world.until(
        lambda: "gate own failed: job is no Job's template" in message(world), "the refusal"
    )
    world.apply(V2, rollout={"gates": [FAHRENHEIT]})
    second = await world.active(V2)
    assert (await world.weather("b"))["revision"] == second
    await world.until(lambda: not jobs(world), "all gates' Jobs to go")


async def test_a_promotion_by_hand(world: World) -> None:
    manual = {"strategy": "Manual"}
    first = await world.started(V1, rollout=manual)  # the first needs none
    world.apply(V2, rollout=manual)
    await world.until(lambda: reason(world) == "WaitsForPromotion", "it to wait")
    assert (await world.weather("a"))["revision"] == first
    assert world.phases() == {V1: "Active", V2: "Checking"}
    _, _, command = message(world).partition("with: ")
    shell.run(*shlex.split(command))
    second = await world.active(V2)
    assert (await world.weather("b"))["revision"] == second
    await world.gone(first)

"""How agents are served: the server's limits, and what Restate is told about failures."""

from __future__ import annotations

import json

from google.adk.agents import Agent
from restate.discovery import compute_discovery_json
from restate.endpoint import Endpoint

from agent_service.durable.manifest import keep_short
from agent_service.durable.objects import agent_objects
from agent_service.durable.removal import ERASE_CHILD
from agent_service.serving import server_config
from agent_service.settings import Settings


def test_restates_few_connections_carry_all_turns() -> None:
    """hypercorn's 100 streams, 1,000 requests and 5 s are too few [V]."""
    config = server_config(Settings())
    assert config.h2_max_concurrent_streams >= 10_000
    assert config.keep_alive_max_requests >= 10**9
    assert config.keep_alive_timeout >= 600


def test_a_turn_is_paused_in_the_end_and_never_killed() -> None:
    """A refused connection counts as an attempt, so a pod's restart could kill one [V]."""
    for one in agent_objects(Agent(name="Any", model="gemini-2.5-flash"), Settings()):
        assert one.invocation_retry_policy is not None
        assert one.invocation_retry_policy.on_max_attempts == "pause"
        own = {name for name, h in one.handlers.items() if h.invocation_retry_policy}
        # Lost, they cost a partial text or leave a child session; neither ends a turn.
        assert own <= {ERASE_CHILD, "publish"}


def test_the_manifest_has_the_schemas_of_what_callers_use_alone() -> None:
    """Restate waits for it twice at each registration; it had 100 KB for each agent."""
    services = agent_objects(Agent(name="Any", model="gemini-2.5-flash"), Settings())
    keep_short(services)
    endpoint = Endpoint()  # type: ignore[no-untyped-call]
    endpoint.bind(*services)
    text = compute_discovery_json(endpoint, 4, "bidi")
    assert len(text) < 40_000
    handlers = {
        f"{service['name']}/{handler['name']}": handler
        for service in json.loads(text)["services"]
        for handler in service["handlers"]
    }
    turn = handlers["Any/turn"]
    assert turn["input"]["jsonSchema"]["properties"]["message"]["type"] == "string"
    assert turn["output"]["jsonSchema"]["title"] == "TurnAnswer"
    assert handlers["Any.memory/search"]["input"]["jsonSchema"]["title"] == "MemoryQuery"
    assert handlers["Any.memory/add"]["input"]["jsonSchema"] is True
    assert compute_discovery_json(endpoint, 4, "bidi") == text

"""One endpoint process for most tests, registered with the shared Restate server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent_service.testing import ScriptedModel
from hack.restate import RestateServer
from tests.integration.agent_service.harness import AGENTS, Endpoint, Restate

SERVED = (
    "agent_service.agents.weather:agent",
    "agent_service.agents.claims:agent",
    f"{AGENTS}:tools",
    f"{AGENTS}:callbacks",
    f"{AGENTS}:choosing",
    f"{AGENTS}:foreign",
    f"{AGENTS}:confirming",
    f"{AGENTS}:booking",
    f"{AGENTS}:line",
    f"{AGENTS}:team",
    f"{AGENTS}:rounds",
    f"{AGENTS}:flow",
    f"{AGENTS}:sharing",
    f"{AGENTS}:stubborn",
)
ENV = {"AGENT_REVISION": "rev-1", "AGENT_MAX_MODEL_CALLS": "6"}


@pytest.fixture(scope="session")
def restate(restate_server: RestateServer) -> Iterator[Restate]:
    client = Restate(restate_server)
    yield client
    client.http.close()


@pytest.fixture(scope="session")
def served(
    restate: Restate,
    scripted_model_server: ScriptedModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("endpoint")
    env = ENV | {"RESTATE_INGRESS_URL": restate.server.ingress_url}
    with Endpoint(SERVED, scripted_model_server.url, folder, env) as endpoint:
        endpoint.register(restate)
        yield endpoint


@pytest.fixture
def endpoint(served: Endpoint) -> Endpoint:
    """The endpoint, running again if the test before left it killed."""
    if served.process is None:
        served.start()
    return served

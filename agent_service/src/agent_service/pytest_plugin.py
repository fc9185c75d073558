"""Fixtures for tests of agents, on a real Restate and with a scripted model.

pytest loads this for every project that has agent-service installed, so nothing is imported before
a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from agent_service.durable.agents import Served
    from agent_service.settings import Settings
    from agent_service.testing import ScriptedModel
    from agent_service.testing.restate import RestateServer
    from agent_service.testing.stage import ServeAgent, Stage
    from agent_service.testing.turns import ServedAgent

# One that the environment names would take the calls in place of the scripted one.
_OTHER_MODELS = ("GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI")


@pytest.fixture(scope="session")
def agent_restate() -> Iterator[RestateServer]:
    """A Restate server for all tests; see agent_service.testing.restate for where it comes from."""
    from agent_service.testing.restate import RestateError, RestateServer

    server = RestateServer()
    try:
        server.start()
    except RestateError as error:
        server.close()
        pytest.fail(str(error), pytrace=False)
    yield server
    server.close()


@pytest.fixture(scope="session")
def agent_stage(agent_restate: RestateServer) -> Iterator[Stage]:
    """What serves agents to that server."""
    from agent_service.testing.stage import Stage

    with Stage(agent_restate) as stage:
        yield stage


@pytest.fixture(scope="session")
def scripted_model_server() -> Iterator[ScriptedModel]:
    """The server behind ``scripted_model``."""
    from agent_service.testing import ScriptedModel

    with ScriptedModel() as model:
        yield model


@pytest.fixture
def scripted_model(scripted_model_server: ScriptedModel) -> Iterator[ScriptedModel]:
    """A model that answers by rules: ``scripted_model.put_first(Rule(...))``, and ``calls()``.

    Each test begins without rules of its own and without calls.
    """
    scripted_model_server.reset()
    yield scripted_model_server
    scripted_model_server.reset()


@pytest.fixture
def serve_agent(
    agent_stage: Stage, scripted_model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServeAgent]:
    """Serves agents for the length of a test: ``serve_agent(agent)`` returns a `ServedAgent`.

    Turns are replayed after each step unless ``replay=False`` is given; ``settings`` is a
    `Settings`.
    """
    from agent_service.settings import PLACEHOLDER_KEY, Settings

    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", scripted_model.url)
    monkeypatch.setenv("GOOGLE_API_KEY", PLACEHOLDER_KEY)
    for name in _OTHER_MODELS:
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as served:

        def serve(
            agent: Served, *, replay: bool = True, settings: Settings | None = None
        ) -> ServedAgent:
            chosen = settings or Settings()
            return served.enter_context(agent_stage.serve(agent, chosen, replay=replay))

        yield serve

"""Fixtures of all integration tests: a real Restate server, and the scripted model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent_service.testing import ScriptedModel
from hack.restate import RestateServer


@pytest.fixture(scope="session")
def restate_server() -> Iterator[RestateServer]:
    with RestateServer() as server:
        yield server


@pytest.fixture(scope="session")
def scripted_model_server() -> Iterator[ScriptedModel]:
    with ScriptedModel() as server:
        yield server


@pytest.fixture
def scripted_model(scripted_model_server: ScriptedModel) -> Iterator[ScriptedModel]:
    """The scripted model with its built-in script; rules put first are gone after the test."""
    scripted_model_server.put_first()
    yield scripted_model_server
    scripted_model_server.put_first()

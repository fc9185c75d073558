"""Fixtures of all integration tests: real Restate servers; agent_service's plugin has the model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hack.restate import RestateServer


@pytest.fixture(scope="session")
def restate_server() -> Iterator[RestateServer]:
    with RestateServer() as server:
        yield server


@pytest.fixture(scope="session")
def agent_restate() -> Iterator[RestateServer]:
    """The plugin's, of the pinned version; apart, as it registers agents that others serve too."""
    with RestateServer() as server:
        yield server

"""A Restate server for each test, since each registers what it likes."""

from collections.abc import Iterator

import pytest

from hack.restate import RestateServer


@pytest.fixture
def server() -> Iterator[RestateServer]:
    # Waits suspend at once, as the agent service has it.
    env = {"RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "0s"}
    with RestateServer(env=env) as running:
        yield running

"""Connections to a serving process."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from tests.integration.agent_service.harness import Endpoint, wait_until

pytestmark = pytest.mark.integration
PROBES = 200


def test_a_connection_that_its_client_has_closed_is_not_held(endpoint: Endpoint) -> None:
    """hypercorn holds some of them for the keep-alive time, which is an hour; probes make many."""
    assert endpoint.process is not None
    folder = Path(f"/proc/{endpoint.process.pid}/fd")
    before = len(list(folder.iterdir()))
    for _ in range(PROBES):
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()
    wait_until("they are closed", lambda: len(list(folder.iterdir())) <= before + 2 or None)

"""Connections to a serving process."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

import pytest
from h2.connection import H2Connection

from agent_service.connections import CONNECTION_BYTES, FRAME_BYTES, STREAM_BYTES
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


def test_http2_begins_with_wide_windows(endpoint: Endpoint) -> None:
    """With HTTP/2's own 64 KiB, a session of a megabyte takes sixteen round trips."""
    client = H2Connection()
    client.initiate_connection()
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=10) as connection:
        connection.sendall(client.data_to_send())
        while client.remote_settings.initial_window_size < STREAM_BYTES:
            received = connection.recv(65_536)
            assert received, "the connection ended before it told of its windows"
            client.receive_data(received)
            connection.sendall(client.data_to_send())
        assert client.max_outbound_frame_size == FRAME_BYTES
        while client.outbound_flow_control_window < CONNECTION_BYTES:
            client.receive_data(connection.recv(65_536))

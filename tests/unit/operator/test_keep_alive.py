"""A watch must notice that its API server is gone, also where nothing is ever said."""

import socket
from collections.abc import Iterator

import aiohttp
import kopf
import pytest

from agent_operator.kube import keep_alive

ADDRESS = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 0))


@pytest.fixture
def made() -> Iterator[socket.socket]:
    with keep_alive.kept_alive(ADDRESS) as found:
        yield found


def test_its_peer_is_asked_for_within_two_minutes(made: socket.socket) -> None:
    assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    idle = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    pause = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
    tries = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
    assert idle + pause * tries <= 120


async def test_a_session_says_who_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    info = kopf.ConnectionInfo(server="https://api.test", token="t0ken", insecure=True)
    monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: info)
    found = await keep_alive.login(settings=kopf.OperatorSettings())
    assert found is not None
    async with found.aiohttp_session as session:
        assert found.server == "https://api.test"
        assert session.headers["Authorization"] == "Bearer t0ken"
        assert isinstance(session.connector, aiohttp.TCPConnector)


async def test_without_credentials_nobody_logs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("login_with_service_account", "login_with_kubeconfig"):
        monkeypatch.setattr(kopf, name, lambda **_: None)
    assert await keep_alive.login(settings=kopf.OperatorSettings()) is None

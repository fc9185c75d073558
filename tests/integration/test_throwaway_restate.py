"""The throw-away Restate server of hack.restate."""

from __future__ import annotations

import httpx
import pytest

from hack.restate import RestateError, RestateServer

pytestmark = pytest.mark.integration


def _cluster(server: RestateServer) -> str:
    answer = httpx.get(f"{server.admin_url}/version", trust_env=False)
    return str(answer.raise_for_status().json()["version"])


def test_two_at_once_and_a_restart_on_the_same_data() -> None:
    with RestateServer() as one, RestateServer() as two:
        assert _cluster(one) == _cluster(two)
        addresses = {one.ingress_url, one.admin_url, two.ingress_url, two.admin_url}
        assert len(addresses) == 4
        folder, before = one.log_file.parent, one.admin_url
        one.stop()
        assert one.pid is None
        with pytest.raises(httpx.HTTPError):
            _cluster(one)
        _cluster(two)
        one.start()
        assert one.admin_url == before
        assert one.log_file.parent == folder
    assert not folder.exists()


def test_a_server_that_can_not_start_shows_its_output() -> None:
    with (
        pytest.raises(RestateError, match="exited at its start"),
        RestateServer(env={"RESTATE_DEFAULT_NUM_PARTITIONS": "none"}),
    ):
        pass


async def test_it_is_an_async_context_manager_too() -> None:
    async with RestateServer() as server:
        pid = server.pid
        assert pid is not None

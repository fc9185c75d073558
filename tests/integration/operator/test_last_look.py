"""Before a deregistration the operator looks once more, and a stale picture does no harm."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from agent_operator.kube.client import Kube
from agent_operator.kube.store import Store
from agent_operator.reconcile.actions import RemoveRevision
from agent_operator.reconcile.apply import Applier
from agent_operator.reconcile.errors import NotNowError
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import Server
from hack.restate import RestateServer
from tests.integration.operator.endpoint import keyed, serving
from tests.unit.operator.build import agent, revision, snapshot

pytestmark = pytest.mark.integration


@pytest.fixture
async def observer() -> AsyncIterator[RestateObserver]:
    found = RestateObserver()
    yield found
    await found.close()


class NoKube(Kube):
    """Nothing may be asked of the API server before Restate has been looked at."""

    def __init__(self) -> None:
        """Connect to nothing."""


async def test_a_turn_that_began_meanwhile_is_seen(
    server: RestateServer, observer: RestateObserver
) -> None:
    restate = Server(server.admin_url)
    async with serving(keyed("ClaimAgent")) as uri, httpx.AsyncClient(trust_env=False) as http:
        deployment = await observer.client(restate).register(uri, {})
        ours = revision(uri=uri, restate=restate, deployment_id=deployment.id)
        stale = await observer.fresh_view(restate)
        await http.post(f"{server.ingress_url}/ClaimAgent/a/wait_after_a_step/send")
        while not (await observer.fresh_view(restate)).loads:  # noqa: ASYNC110 - Restate tells nobody
            await asyncio.sleep(0.05)

        given = replace(snapshot(agent(deleting=True), ours), restates={restate: stale})
        applier = Applier(NoKube(), Store(), observer)
        with pytest.raises(NotNowError):
            await applier.apply(RemoveRevision(ours, deployment.id), given)

        view = await observer.fresh_view(restate)
        assert view.by_id(deployment.id) is not None
        assert [service.public for service in view.services] == [True]
        answer = await http.post(f"{server.ingress_url}/ClaimAgent/b/quick")
        assert answer.is_success

"""Before an idle agent's pods go, Restate is asked once more: a look may be seconds old."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from agent_operator.api import names, times
from agent_operator.kube.client import Body, Kube, Resource
from agent_operator.kube.store import Store
from agent_operator.reconcile.actions import LetSleep
from agent_operator.reconcile.apply import Applier
from agent_operator.reconcile.errors import NotNowError
from agent_operator.restate.client import RestateUnavailableError
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import Server
from hack.restate import RestateServer
from tests.integration.operator.endpoint import keyed, serving
from tests.unit.operator.build import agent, revision, snapshot

pytestmark = pytest.mark.integration

LONG_AGO = datetime.now(UTC) - timedelta(hours=2)


@dataclass
class Patches(Kube):
    """Only remembers what it was asked to change."""

    made: list[Body] = field(default_factory=list)

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Body) -> Body:
        self.made.append(patch)
        labels = {names.AGENT_LABEL: "claims"}
        metadata = {"name": name, "namespace": namespace, "uid": "u", "labels": labels}
        return {"kind": resource.kind, "metadata": metadata}


@pytest.fixture
async def observer() -> AsyncIterator[RestateObserver]:
    found = RestateObserver()
    yield found
    await found.close()


async def let_sleep(
    observer: RestateObserver, restate: Server, uri: str, deployment_id: str
) -> Body:
    """What was changed at the ReplicaSet."""
    kube = Patches()
    ours = revision(uri=uri, restate=restate, deployment_id=deployment_id)
    action = LetSleep(ours, deployment_id, LONG_AGO)
    await Applier(kube, Store(), observer).apply(action, snapshot(agent(), ours))
    (only,) = kube.made
    return only


def note(patch: Mapping[str, Any]) -> str:
    return str(patch["metadata"]["annotations"][names.UNTOUCHED_SINCE_ANNOTATION])


async def test_only_what_nobody_has_talked_to_sleeps(
    server: RestateServer, observer: RestateObserver
) -> None:
    restate = Server(server.admin_url)
    async with serving(keyed("ClaimAgent")) as uri, httpx.AsyncClient(trust_env=False) as http:
        deployment = await observer.client(restate).register(uri, {})
        untouched = await let_sleep(observer, restate, uri, deployment.id)
        assert untouched["spec"] == {"replicas": 0}

        # A turn so short that no look has seen it.
        (await http.post(f"{server.ingress_url}/ClaimAgent/a/quick")).raise_for_status()
        moved = await let_sleep(observer, restate, uri, deployment.id)
        assert "spec" not in moved
        assert times.parse(note(moved)) > LONG_AGO + timedelta(hours=1)


async def test_what_is_at_work_does_not_sleep(
    server: RestateServer, observer: RestateObserver
) -> None:
    restate = Server(server.admin_url)
    async with serving(keyed("ClaimAgent")) as uri, httpx.AsyncClient(trust_env=False) as http:
        deployment = await observer.client(restate).register(uri, {})
        await http.post(f"{server.ingress_url}/ClaimAgent/a/fail/send")
        while not (await observer.fresh_view(restate)).load(deployment.id).calls:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        with pytest.raises(NotNowError):
            await let_sleep(observer, restate, uri, deployment.id)
        view = await observer.view(restate, 0)
        assert deployment.id in getattr(view, "awake", {})


async def test_an_id_that_is_none_is_not_asked_for(
    server: RestateServer, observer: RestateObserver
) -> None:
    with pytest.raises(RestateUnavailableError):
        await observer.client(Server(server.admin_url)).last_turn("x' or 'a' = 'a")

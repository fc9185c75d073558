"""A service that another AgentDeployment serves, as far as the operator may look."""

from dataclasses import dataclass

import httpx
import pytest

from agent_operator.api import names
from agent_operator.kube.client import Body, Kube, Resource
from agent_operator.kube.errors import KubeError
from agent_operator.reconcile.errors import ServiceTakenError
from agent_operator.reconcile.registration import Registrar
from agent_operator.restate.client import RestateClient
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.view import Deployment
from tests.unit.operator.build import SERVICE, URL, agent, fresh, snapshot, view

THEIRS = Deployment("dp_x", "http://x:9080", (SERVICE,), {names.OWNER_KEY: "other/claims"})


@dataclass
class Answers(Kube):
    """An API server that has the other AgentDeployment, or answers with an error."""

    error: KubeError | None

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Body:
        assert (namespace, name) == ("other", "claims")
        if self.error:
            raise self.error
        return {}


def offers(request: httpx.Request) -> httpx.Response:
    service = {
        "name": SERVICE, "deployment_id": "dp_new", "public": True, "ty": "VirtualObject",
        "handlers": [],
    }  # fmt: skip
    return httpx.Response(200, json={"services": [service]})


async def check(error: KubeError | None) -> None:
    client = RestateClient(URL, httpx.MockTransport(offers))
    registrar = Registrar(Answers(error), RestateObserver(lambda _: client))
    owner = agent("claims:2", rollout={"breakingChanges": "Allow"})
    await registrar.check(fresh(), snapshot(owner, fresh(), restate=view(THEIRS)))


async def test_it_is_taken_while_the_other_one_is_there() -> None:
    with pytest.raises(ServiceTakenError) as taken:
        await check(None)
    assert str(taken.value).endswith("or delete that AgentDeployment")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (KubeError(403, "forbidden"), "the operator may not read AgentDeployments there"),
        (KubeError(0, "the API server can't be reached"), "the API server can't be reached"),
    ],
)
async def test_where_in_doubt_it_says_what_to_do(error: KubeError, why: str) -> None:
    with pytest.raises(ServiceTakenError) as taken:
        await check(error)
    assert f"can't be told ({why}): if it is gone, deregister dp_x" in str(taken.value)


async def test_what_is_gone_holds_nothing() -> None:
    await check(KubeError(404, "not found"))

"""A new revision waits while what took the turns last is lost: nothing says what callers use."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from agent_operator.kube.client import Kube
from agent_operator.reconcile.errors import NotNowError
from agent_operator.reconcile.registration import Registrar
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.restate.client import RegistrationRefusedError, RestateClient
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import Server
from tests.unit.operator.build import (
    SERVICE,
    URL,
    agent,
    fresh,
    registered,
    revision,
    snapshot,
    view,
    wish,
)
from tests.unit.operator.story_world import IMAGES, Turn, World

V1, V2 = "claims:1", "claims:2"
ELSEWHERE = Server("http://other.test:9070")


def offers(request: httpx.Request) -> httpx.Response:
    service = {
        "name": "Other", "deployment_id": "dp_new", "public": True, "ty": "VirtualObject",
        "handlers": [],
    }  # fmt: skip
    return httpx.Response(200, json={"services": [service]})


class Unasked(Kube):
    """No API server: none is needed."""

    def __init__(self) -> None:
        pass


async def check(candidate: Revision, given: Snapshot) -> None:
    async with RestateClient(URL, httpx.MockTransport(offers)) as client:
        await Registrar(Unasked(), RestateObserver(lambda _: client)).check(candidate, given)


def upgrade(
    last: Revision, candidate: Revision, *, listed: bool = False, **spec: Any
) -> tuple[Revision, Snapshot]:
    owner = agent(V2, status={"history": [wish(V1).name]}, **spec)
    restate = view(registered(V1)) if listed else view()
    return candidate, snapshot(owner, last, candidate, restate=restate)


async def test_it_waits() -> None:
    with pytest.raises(NotNowError) as waits:
        await check(*upgrade(revision(V1), fresh(V2)))
    assert wish(V1).name in str(waits.value)
    assert "breakingChanges: Allow" in str(waits.value)


async def test_then_it_is_compared() -> None:
    with pytest.raises(RegistrationRefusedError, match=f"service {SERVICE} is missing"):
        await check(*upgrade(revision(V1), fresh(V2), listed=True))


UNCOMPARED: dict[str, tuple[Revision, Snapshot]] = {
    "which is allowed": upgrade(revision(V1), fresh(V2), rollout={"breakingChanges": "Allow"}),
    "it has been active itself": upgrade(revision(V1), revision(V2)),
    "the other was never registered": upgrade(revision(V1, deployment_id=None), fresh(V2)),
    "the other is at another Restate": upgrade(revision(V1, restate=ELSEWHERE), fresh(V2)),
}


@pytest.mark.parametrize("case", UNCOMPARED, ids=str)
async def test_it_goes_on_without(case: str) -> None:
    await check(*UNCOMPARED[case])


@pytest.mark.parametrize("asleep", [False, True])
def test_what_was_lost_comes_back_first(*, asleep: bool) -> None:
    """Or it would wait for ever."""
    world = World(image=IMAGES[0])

    def look() -> None:
        world.look()
        for name, found in world.revisions.items():
            world.revisions[name] = replace(found, ready=found.replicas)

    for _ in range(8):
        look()
    old = world.now_serving()
    world.turns.append(Turn(SERVICE, "dp_claims:0", "suspended", home="dp_claims:0"))
    if asleep:
        world.spec["scaling"] = {"idle": {"after": "0s"}}
        look()
        look()
        assert [r.replicas for r in world.revisions.values()] == [0]
    world.image = IMAGES[1]
    look()
    world.deployments.clear()
    world.routes.clear()
    served = []
    for _ in range(8):
        look()
        served.append(world.now_serving())
    assert old in served
    assert served[-1] == {world.snapshot().wanted.name}

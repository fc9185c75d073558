"""An agent that names its Restate, its registration's headers, and what Restate has lost."""

import httpx

from tests.e2e.test_dormant import SLEEPY, asleep
from tests.e2e.world import V1, V2, World


async def test_a_registration_that_was_lost_while_it_slept_comes_back(world: World) -> None:
    """Its pods come up for it, the waiting turn is told the new id, and ends where it began."""
    restate = {
        "service": {"name": world.release.restate.removeprefix("svc/")},
        "headers": [{"name": "x-a", "value": "b"}],
    }
    first = await world.started(V1, restate=restate)
    assert world.condition("Registered")["status"] == "True"
    invocation, approval = await world.claim("a")
    second = await world.started(V2, drain=SLEEPY, restate=restate)
    await asleep(world, first)

    async with httpx.AsyncClient(base_url=world.admin, trust_env=False) as http:
        deployments = (await http.get("/deployments")).json()["deployments"]
        (lost,) = [d for d in deployments if first in d["uri"]]
        assert lost["additional_headers"] == {"x-a": "b"}
        assert lost["metadata"]["durableagents.dev/cluster"]
        gone = await http.delete(f"/deployments/{lost['id']}", params={"force": "true"})
        gone.raise_for_status()

    def registered_anew() -> bool:
        found = [r for r in world.status()["revisions"] if r["name"] == first]
        return bool(found) and found[0]["deploymentID"] != lost["id"]

    await world.until(registered_anew, "the lost registration to come back")
    assert (await world.approve("a", invocation, approval))["revision"] == first
    assert world.status()["activeRevision"] == second
    await world.gone(first)

"""An agent that calls another AgentDeployment's, while the pods of both are killed."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from hack.demo import shell
from hack.demo.release import RELEASE
from tests.e2e.world import PATIENCE, V1, World

RESEARCH, FACT_CHECKER = "ResearchAgent", "FactCheckAgent"
MODULES = {
    "research": "agent_service.agents.research:agent",
    "fact-checker": "agent_service.agents.fact_checker:agent",
}
# The fact checker has to wait for one of its model calls.
BUSY = {
    "name": "busy",
    "when": {"tool": "compare", "text": "moons", "after_response": False},
    "reply": {"status": 503, "retry_after": 8, "times": 1},
}
PAID = {
    **{f"{subject} research": 1 for subject in ("size", "orbit", "moons")},
    **{f"{subject} found": 1 for subject in ("size", "orbit", "moons")},
    **{f"fact {quantity}": 1 for quantity in ("diameter", "year", "moons")},
    "check claims": 1,
    "report": 1,
    "fact right": 2,
    "fact wrong": 1,
}


async def _until(what: str, holds: Callable[[], Awaitable[bool]]) -> None:
    async def look() -> None:
        while not await holds():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.2)

    try:
        await asyncio.wait_for(look(), PATIENCE)
    except TimeoutError:
        raise AssertionError(f"still not: {what}") from None


async def _call(world: World, path: str) -> Any:
    async with httpx.AsyncClient(base_url=world.turns.ingress, trust_env=False) as http:
        return (await http.post(path, timeout=120)).raise_for_status().json()


async def test_a_research_team_and_its_fact_checker_outlast_their_pods(world: World) -> None:
    for name, module in MODULES.items():
        await asyncio.to_thread(world.apply, V1, name, args=[module])
    for name in MODULES:
        wait = ("wait", "--for=condition=Ready", f"agd/{name}", "--timeout=3m")
        await asyncio.to_thread(world.kubectl, *wait)
    with shell.forward(world.namespace, f"svc/{RELEASE}-model", 8080) as model:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            before = len((await http.get(f"{model}/calls")).json())

            async def made() -> Counter[str]:
                calls = (await http.get(f"{model}/calls")).json()[before:]
                return Counter(call["rule"] for call in calls)

            async def one_waits() -> bool:
                found = await made()
                sql = f"select status from sys_invocation where id = '{invocation}'"
                asleep = await world.query(sql) == [{"status": "suspended"}]
                return asleep and (found["busy"], found["fact right"]) == (1, 2)

            (await http.put(f"{model}/rules", json=[BUSY])).raise_for_status()
            session = f"{world.key('ann')}:saturn"
            invocation = await world.turns.start(RESEARCH, session, "Tell me about Saturn")
            await _until("one check waits, and the team sleeps", one_waits)
            selector = "--selector=durableagents.dev/revision"
            world.kubectl("delete", "pod", selector, "--grace-period=0", "--force")
            answer = await world.turns.result(invocation)
            paid = await made() - Counter(busy=1)
            (await http.put(f"{model}/rules", json=[])).raise_for_status()

    for said in (
        "Confirmed: Saturn, diameter: 120,536 km.",
        "Confirmed: Saturn, year: 10,747 days.",
        "Wrong: Saturn, moons: 274 moons, not 82.",
    ):
        assert said in answer["answer"]
    assert paid == PAID
    assert answer["revision"] == world.status("research")["activeRevision"]

    # The fact checker knows whom it worked for, under its own revision.
    user = world.key("ann")
    listed = (await _call(world, f"/{FACT_CHECKER}.users/{user}/list"))["sessions"]
    assert len(listed) == 3
    history = await world.turns.history(FACT_CHECKER, listed[0]["key"])
    assert history[-1]["revision"] == world.status("fact-checker")["activeRevision"]
    await _call(world, f"/{RESEARCH}/{session}/delete")

    async def gone() -> bool:
        return not (await _call(world, f"/{FACT_CHECKER}.users/{user}/list"))["sessions"]

    await _until("its sessions to be deleted, too", gone)

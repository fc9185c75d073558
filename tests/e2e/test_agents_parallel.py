"""Agents that work side by side, in a pod that is killed while one of them still does."""

from agent_service.testing import Call, Reply, Rule, When
from tests.e2e.agents_world import AgentsWorld

WORKERS = ("Tom", "Tim", "Tina")


def rules(key: str) -> list[Rule]:
    found = []
    for name in WORKERS:
        system = f"You are {name}\\."
        call = Call(name="work", args={"what": f"{name}-{key}"})
        found += [
            Rule(
                name=f"{name} works",
                when=When(system=system, after_response=False),
                reply=Reply(calls=[call]),
            ),
            Rule(
                name=f"{name} says",
                when=When(system=system, response_of="work"),
                reply=Reply(text="{done} is done"),
            ),
        ]
    return found


async def test_agents_side_by_side_go_on_where_each_of_them_was(agents: AgentsWorld) -> None:
    key = agents.world.key("p")
    await agents.serve("kit.agents:team")
    await agents.script(*rules(key))
    invocation = await agents.world.turns.start("Team", key, f"go {key}")
    for name in WORKERS:
        await agents.noted(f"begin {name}-{key}")
    # Tim is through, Tina's and Tom's steps are cut off.
    await agents.release(f"Tim-{key}")

    async def tim_has_said_it() -> bool:
        return "Tim says" in await agents.asked(key)

    await agents.until(tim_has_said_it, "Tim's answer")
    agents.kill_pods()
    for name in ("Tina", "Tom"):
        await agents.noted(f"begin {name}-{key}", times=2)
        await agents.release(f"{name}-{key}")
        await agents.noted(f"end {name}-{key}")
    await agents.world.turns.result(invocation)
    messages = await agents.world.turns.history("Team", key)
    assert sorted(one["text"] for one in messages if one["role"] == "agent") == sorted(
        f"{name}-{key} is done" for name in WORKERS
    )
    asked = await agents.asked(key)
    assert {name: asked.count(f"{name} works") for name in WORKERS} == dict.fromkeys(WORKERS, 1)
    notes = await agents.notes(key)
    for name in WORKERS:
        assert notes.count(f"prepare {name}-{key}") == 1
        assert notes.count(f"end {name}-{key}") == 1
    assert notes.count(f"begin Tim-{key}") == 1

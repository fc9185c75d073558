"""Tools: what they did is done once, though their pod is killed in the middle."""

from agent_service.testing import Call, Reply, Rule, When
from tests.e2e.agents_world import AgentsWorld


async def test_tools_of_all_kinds_called_together_act_once(agents: AgentsWorld) -> None:
    """A `durable_tool`, steps one after the other, and steps side by side (`restate.gather`)."""
    key = agents.world.key("t")
    await agents.serve("kit.agents:clerk")
    tools = ("book", "work", "work_in_parts")
    await agents.script(
        Rule(
            name="call",
            when=When(text="go", after_response=False),
            reply=Reply(calls=[Call(name=tool, args={"what": key}) for tool in tools]),
        ),
        Rule(name="told", when=When(response_of="work_in_parts"), reply=Reply(text="{parts}")),
    )
    invocation = await agents.world.turns.start("Clerk", key, f"go {key}")
    done = {f"book {key}", f"prepare {key}", f"first {key}", f"second {key}"}
    held = {f"begin {key}", f"begin third-{key}"}
    for line in done | held:
        await agents.noted(line)
    agents.kill_pods()
    for line in held:
        await agents.noted(line, times=2)
    # The one that was called last ends first.
    await agents.release(f"third-{key}")
    await agents.noted(f"end third-{key}")
    await agents.release(key)
    answer = await agents.world.turns.result(invocation)
    assert answer["answer"] == f"first {key}, second {key}, third-{key}"
    notes = await agents.notes(key)
    once = done | {f"end {key}", f"end third-{key}"}
    assert {line: notes.count(line) for line in set(notes)} == {
        **dict.fromkeys(once, 1),
        **dict.fromkeys(held, 2),
    }
    assert await agents.asked(key) == ["call", "told"]

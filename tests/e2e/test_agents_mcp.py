"""Tools of an MCP server, and a pod that is killed while it waits for one."""

from agent_service.testing import Call, Reply, Rule, When
from tests.e2e.agents_world import AgentsWorld


async def test_a_call_of_an_mcp_tool_that_has_ended_is_not_made_again(agents: AgentsWorld) -> None:
    key = agents.world.key("mcp")
    await agents.serve("kit.buyer:agent")
    before = len(await agents.notes("list"))
    await agents.script(
        Rule(
            name="order",
            when=When(tool="order", after_response=False),
            reply=Reply(calls=[Call(name="order", args={"article": key})]),
        ),
        Rule(
            name="ponder",
            when=When(response_of="order"),
            reply=Reply(calls=[Call(name="ponder", args={"article": key})]),
        ),
        Rule(name="told", when=When(response_of="ponder"), reply=Reply(text="done")),
    )
    invocation = await agents.world.turns.start("Buyer", key, f"go {key}")
    await agents.noted(f"ponder {key}")
    listed = len(await agents.notes("list"))
    assert listed > before
    agents.kill_pods()
    await agents.noted(f"ponder {key}", times=2)
    # What the server lists is journaled, too: the new pod has not asked before it called.
    assert len(await agents.notes("list")) == listed
    await agents.release(key)
    assert (await agents.world.turns.result(invocation))["answer"] == "done"
    assert await agents.notes(key) == [f"order {key}", f"ponder {key}", f"ponder {key}"]
    assert await agents.asked(key) == ["order", "ponder", "told"]

"""Turns that are paused, cancelled, killed and restarted, while their pods come and go."""

from agent_service.testing import Call, Reply, Rule, When
from tests.e2e.agents_world import AgentsWorld


def script(tool: str, key: str, *said: str) -> list[Rule]:
    """Calls a tool, and says one thing after the other about its result."""
    told = [
        Rule(
            name=f"said {text}",
            when=When(response_of=tool),
            reply=Reply(text=text, times=1),
        )
        for text in said
    ]
    call = Rule(
        name="call",
        when=When(text=f"go {key}", after_response=False),
        reply=Reply(calls=[Call(name=tool, args={"what": key})]),
    )
    return [call, *told]


async def last_before(agents: AgentsWorld, invocation: str, step: str) -> int:
    """The last entry to be kept, where a turn is restarted from a step."""
    rows = await agents.world.query(
        "select \"index\" as i, coalesce(name, '') as name from sys_journal"
        f" where id = '{invocation}' and entry_type like 'Command: %' order by \"index\""
    )
    position = next(n for n, row in enumerate(rows) if row["name"] == step)
    return int(rows[position - 1]["i"])


async def test_a_turn_is_paused_its_pods_are_killed_and_it_is_resumed(agents: AgentsWorld) -> None:
    key = agents.world.key("pause")
    await agents.serve("kit.agents:clerk")
    await agents.script(*script("work", key, "done"))
    invocation = await agents.world.turns.start("Clerk", key, f"go {key}")
    await agents.noted(f"begin {key}")
    # A step that runs may end first; here its pod does.
    await agents.control(invocation, "pause")
    agents.kill_pods()
    await agents.until_status(invocation, "paused")
    await agents.release(key)
    assert await agents.status_of(invocation) == "paused"
    await agents.control(invocation, "resume")
    assert (await agents.world.turns.result(invocation))["answer"] == "done"
    notes = await agents.notes(key)
    assert (notes.count(f"prepare {key}"), notes.count(f"begin {key}")) == (1, 2)
    assert await agents.asked(key) == ["call", "said done"]


async def test_a_turn_is_cancelled_killed_and_restarted_from_a_step(agents: AgentsWorld) -> None:
    await agents.serve("kit.agents:clerk")
    turns = agents.world.turns

    # Cancelled: its tool catches everything, and gets no further for it.
    key = agents.world.key("cancel")
    await agents.script(*script("careless", key, "never said"))
    invocation = await turns.start("Clerk", key, f"go {key}")
    await agents.noted(f"begin {key}")
    await agents.control(invocation, "cancel")
    assert (await agents.ended(invocation)).status_code == 409
    assert await agents.notes(key) == [f"begin {key}", f"caught {key}"]

    # Killed: the session goes on with the next turn, and nothing of this one is done any more.
    key = agents.world.key("kill")
    await agents.script(*script("work", key, "never said"))
    invocation = await turns.start("Clerk", key, f"go {key}")
    await agents.noted(f"begin {key}")
    agents.kill_pods()
    await agents.control(invocation, "kill")
    assert (await agents.ended(invocation)).status_code >= 400
    await agents.script(*script("book", key, "booked"))
    following = await turns.turn("Clerk", key, f"go {key}")
    assert (following["turn"], following["answer"]) == (2, "booked")
    assert await agents.notes(key) == [f"prepare {key}", f"begin {key}", f"book {key}"]
    roles = [one["role"] for one in await turns.history("Clerk", key)]
    assert roles == ["user", "error", "user", "agent"]

    # Restarted from its last step, in a new pod: what is before that holds.
    key = agents.world.key("restart")
    await agents.script(*script("work", key, "first", "second"))
    await agents.release(key)
    invocation = await turns.start("Clerk", key, f"go {key}")
    assert (await turns.result(invocation))["answer"] == "first"
    agents.kill_pods()
    kept = await last_before(agents, invocation, f"work {key}")
    new = await agents.control(invocation, "restart-as-new", **{"from": kept})
    answer = await turns.result(str(new["new_invocation_id"]))
    assert (answer["answer"], answer["turn"]) == ("second", 1)
    notes = await agents.notes(key)
    assert (notes.count(f"prepare {key}"), notes.count(f"end {key}")) == (1, 2)
    assert await agents.asked(key) == ["call", "said first", "said second"]
    said = [one["text"] for one in await turns.history("Clerk", key)]
    assert said == [f"go {key}", "second"]

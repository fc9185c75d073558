"""Model calls: one that was answered is never paid for again, whatever dies after."""

from agent_service.testing import Call, Reply, Rule, When
from tests.e2e.agents_world import AgentsWorld


async def test_a_model_call_that_was_answered_is_never_made_again(agents: AgentsWorld) -> None:
    """The pod is killed after the first call, and again while the second one is under way."""
    key = agents.world.key("m")
    await agents.serve("kit.agents:clerk")
    await agents.script(
        Rule(
            name="first",
            when=When(text="go", after_response=False),
            reply=Reply(calls=[Call(name="work", args={"what": key})]),
        ),
        Rule(
            name="cut off",
            when=When(response_of="work"),
            reply=Reply(text="never seen", delay=60, times=1),
        ),
        Rule(name="second", when=When(response_of="work"), reply=Reply(text="Done: {done}.")),
    )
    invocation = await agents.world.turns.start("Clerk", key, f"go {key}")
    await agents.noted(f"begin {key}")
    agents.kill_pods()
    await agents.noted(f"begin {key}", times=2)
    await agents.release(key)

    async def under_way() -> bool:
        return await agents.asked(key) == ["first", "cut off"]

    await agents.until(under_way, "the second model call")
    agents.kill_pods()
    answer = await agents.world.turns.result(invocation)
    assert answer["answer"] == f"Done: {key}."
    assert answer["usage"]["modelCalls"] == 2
    assert await agents.asked(key) == ["first", "cut off", "second"]
    # The step before it was done is not done again either.
    assert await agents.notes(key) == [
        f"prepare {key}", f"begin {key}", f"begin {key}", f"end {key}",
    ]  # fmt: skip

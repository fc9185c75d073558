"""People who are asked: who may answer, until when, and what is kept, while pods are killed."""

from agent_service.testing import Call, Reply, Rule, When
from hack.demo.release import AGENTS
from tests.e2e.agents_world import AgentsWorld

CLAIMS = "ClaimAgent"


async def test_an_answer_counts_though_the_pod_that_asked_is_gone(agents: AgentsWorld) -> None:
    await agents.serve(*AGENTS, CLAIM_APPROVERS="ann,bob")
    key = agents.world.key("a")
    invocation, identity = await agents.world.claim("a")
    agents.kill_pods()
    body = {"id": identity, "approved": True, "by": "eve"}
    assert "ann, bob" in (await agents.call(CLAIMS, key, "answer", body, 403))["message"]
    body |= {"by": "ann", "comment": "It was cold."}
    await agents.call(CLAIMS, key, "answer", body)
    answer = await agents.world.turns.result(invocation)
    assert "approved by ann" in answer["answer"]
    assert "It was cold." in answer["answer"]
    (kept,) = (await agents.call(CLAIMS, key, "decisions"))["answered"]
    assert kept["request"]["title"] == "Claim C-17: 800.00 EUR"
    assert (kept["request"]["who"], kept["decision"]["by"]) == (["ann", "bob"], "ann")
    assert kept["request"]["requestedAt"] < kept["decision"]["at"] < kept["request"]["deadline"]
    assert "ann" in (await agents.call(CLAIMS, key, "answer", body, 409))["message"]
    assert await agents.call(CLAIMS, key, "approvals") == []


async def test_several_are_asked_at_once_and_deadlines_hold_without_pods(
    agents: AgentsWorld,
) -> None:
    """One answers, one is too late so that the boss is asked, and one never does."""
    await agents.serve("kit.agents:clerk")
    key = agents.world.key("d")
    # The boss has as long as there was before: pods come back meanwhile.
    asked = {"car": (0, False), "house": (20, True), "boat": (8, False)}
    calls = [
        Call(name="decide", args={"what": what, "seconds": given, "escalate": escalate})
        for what, (given, escalate) in asked.items()
    ]
    await agents.script(
        Rule(name="ask", when=When(after_response=False), reply=Reply(calls=calls)),
        Rule(name="made", when=When(response_of="decide"), reply=Reply(text="{made}.")),
    )
    invocation = await agents.world.turns.start("Clerk", key, f"go {key}")
    waiting = {one["title"]: one for one in await agents.pending("Clerk", key, 3)}
    assert set(waiting) == set(asked)
    agents.kill_pods()

    async def answer(title: str, by: str, expected: int = 200) -> None:
        body = {"id": waiting[title]["id"], "approved": True, "by": by}
        await agents.call("Clerk", key, "answer", body, expected)

    await answer("car", "ann")

    async def escalated() -> bool:
        found = await agents.call("Clerk", key, "approvals")
        waiting.update({one["title"]: one for one in found})
        return [one["title"] for one in found if one["escalated"]] == ["house"]

    await agents.until(escalated, "the boss to be asked")
    assert waiting["house"]["who"] == ["boss"]
    agents.kill_pods()
    await answer("house", "ann", 403)
    await answer("house", "boss")
    result = await agents.world.turns.result(invocation)
    assert result["answer"] == (
        "car: approved by ann. house: approved by boss. boat: refused by nobody."
    )
    kept = (await agents.call("Clerk", key, "decisions"))["answered"]
    timed_out = [(one["request"]["title"], one["decision"]["timedOut"]) for one in kept]
    assert sorted(timed_out) == [
        ("boat", True), ("car", False), ("house", False), ("house", True),
    ]  # fmt: skip
    assert await agents.asked(key) == ["ask", "made"]

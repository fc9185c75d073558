"""Artifacts and memories outlast pods that are killed in the middle of the turn that makes them."""

import asyncio
from typing import Any

import httpx

from hack.demo import shell
from tests.e2e.world import V1, V2, World

NOTES = "NotesAgent"
ARGS = ["agent_service.agents.notes:agent"]


async def _call(world: World, path: str, body: Any = None) -> Any:
    async with httpx.AsyncClient(base_url=world.turns.ingress, trust_env=False) as http:
        answer = await http.post(path, json=body, timeout=120)
    assert answer.is_success, answer.text
    return answer.json()


async def test_a_note_is_kept_and_remembered_once(world: World) -> None:
    await world.started(V1, args=ARGS)
    user = world.key("ann")
    key = f"{user}:1"
    message = "Keep the note plan: whales sing and send it to bob"
    invocation = await world.turns.start(NOTES, key, message)
    # The note is kept, and the turn waits for leave to send it.
    asked = await world.turns.approval(NOTES, key)
    selector = "--selector=durableagents.dev/revision"
    shell.run(
        "kubectl", "-n", world.namespace, "delete", "pod", selector, "--grace-period=0", "--force"
    )
    await world.turns.answer(NOTES, key, str(asked["id"]), approved=True)
    answer = await world.turns.result(invocation)
    assert answer["answer"] == "I have sent 'plan' (11 characters) to bob."

    # In another session, by another revision.
    await world.started(V2, args=ARGS)
    other = f"{user}:2"
    read = await world.turns.turn(NOTES, other, "Read the note plan")
    assert read["answer"] == "The note plan says: whales sing"
    recalled = await world.turns.turn(NOTES, other, "What did I say about whales")
    assert recalled["answer"].startswith(f"You said: {message}")
    assert recalled["answer"].count(message) == 1
    listed = await _call(world, f"/{NOTES}.artifacts/{other}/list")
    assert [(one["name"], one["version"]) for one in listed["artifacts"]] == [("user:plan", 0)]


async def test_a_pod_without_its_model_is_not_ready_and_says_so(world: World) -> None:
    nowhere = [{"name": "GOOGLE_GEMINI_BASE_URL", "value": "http://127.0.0.1:9"}]
    await asyncio.to_thread(
        world.apply, V1, env=nowhere, rollout={"progressDeadlineSeconds": 15}, args=ARGS
    )

    def told() -> bool:
        return "probe does not succeed" in world.condition("Progressing").get("message", "")

    await world.until(told, "the condition to say that the pod isn't ready")
    logs = await asyncio.to_thread(world.kubectl, "logs", "--selector=durableagents.dev/revision")
    assert "not ready: a model does not answer" in logs

    # Nowhere to go at all: it ends, and its reason is in the condition.
    await asyncio.to_thread(world.apply, V1, env=[], args=ARGS)

    def named() -> bool:
        return "agent_service: no model to talk to" in world.condition("Progressing").get(
            "message", ""
        )

    await world.until(named, "the condition to name what is missing")

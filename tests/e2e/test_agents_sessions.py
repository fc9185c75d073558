"""Users' sessions and control over turns, in pods that are killed in the middle."""

from typing import Any

import httpx

from hack.demo import shell
from tests.e2e.world import V1, V2, World

CLAIMS = "ClaimAgent"


async def _call(world: World, path: str, body: Any = None, expected: int = 200) -> Any:
    async with httpx.AsyncClient(base_url=world.turns.ingress, trust_env=False) as http:
        answer = await http.post(path, json=body, timeout=120)
    assert answer.status_code == expected, answer.text
    return answer.json()


def _kill_pods(world: World) -> None:
    selector = "--selector=durableagents.dev/revision"
    shell.run(
        "kubectl", "-n", world.namespace, "delete", "pod", selector, "--grace-period=0", "--force"
    )


async def test_a_users_sessions_outlast_pods_and_revisions(world: World) -> None:
    first = await world.started(V1)
    user = world.key("ann")
    key = f"{user}:claim"
    await world.turns.turn("WeatherAgent", f"{user}:trip", "Weather in Paris?")
    invocation = await world.turns.start(CLAIMS, key, "Claim C-17: 800 EUR, a bicycle")
    asked = await world.turns.approval(CLAIMS, key)
    _kill_pods(world)
    await world.turns.answer(CLAIMS, key, str(asked["id"]), approved=True)
    answer = await world.turns.result(invocation)
    assert (answer["user"], answer["session"]) == (user, "claim")
    assert answer["revision"] == first

    # The next revision has the same users, sessions and history.
    second = await world.started(V2)
    listed = await _call(world, f"/{CLAIMS}.users/{user}/list")
    assert [one["key"] for one in listed["sessions"]] == [key]
    read = await _call(world, f"/{CLAIMS}/{key}/get", {"numRecentEvents": 1})
    assert (read["turns"], len(read["events"])) == (1, 1)
    following = await world.turns.turn(CLAIMS, key, "Claim C-18: 5 EUR, a pen")
    assert (following["turn"], following["revision"]) == (2, second)
    # What companions did keeps no revision.
    await world.gone(first)

    assert await _call(world, f"/{CLAIMS}/{key}/delete") == {"deleted": True}
    await _call(world, f"/{CLAIMS}/{key}/get", {}, 404)
    assert (await _call(world, f"/{CLAIMS}.users/{user}/list"))["sessions"] == []


async def test_a_turn_is_cancelled_though_its_pod_was_killed(world: World) -> None:
    await world.started(V1)
    invocation, _ = await world.claim("a")
    key = world.key("a")
    _kill_pods(world)
    cancelled = await _call(world, f"/{CLAIMS}/{key}/cancel")
    assert cancelled == {"cancelled": invocation}
    async with httpx.AsyncClient(base_url=world.turns.ingress, trust_env=False) as http:
        ended = await http.get(f"/restate/invocation/{invocation}/attach", timeout=120)
    assert ended.status_code == 409
    roles = [message["role"] for message in await world.turns.history(CLAIMS, key)]
    assert (roles[0], roles[-1]) == ("user", "error")
    assert await world.turns.approvals(CLAIMS, key) == []

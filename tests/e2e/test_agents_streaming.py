"""A turn whose text is read while it is written, by a pod that is killed in the middle."""

import asyncio
from typing import Any

import httpx

from hack.demo import shell
from tests.e2e.world import V1, World

SUPPORT = "SupportAgent"
ARGS = ["agent_service.agents.support:agent"]


async def _post(http: httpx.AsyncClient, path: str, body: Any) -> Any:
    answer = await http.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


class Chat:
    """Reads a turn's partial text, as a chat page does."""

    def __init__(self, http: httpx.AsyncClient, key: str, turn: str) -> None:
        self._http, self._key, self._turn = http, key, turn
        self.text = ""
        self.resets = 0
        self.begun = asyncio.Event()

    async def follow(self) -> None:
        offset, ended = 0, False
        while not ended:
            query = {"turn": self._turn, "offset": offset}
            page = await _post(self._http, f"/{SUPPORT}.streams/{self._key}/read", query)
            for chunk in page["chunks"]:
                self.resets += chunk["reset"]
                self.text = ("" if chunk["reset"] else self.text) + chunk["text"]
                self.begun.set()
            offset, ended = page["next"], page["ended"]


async def test_a_chat_goes_on_though_the_pod_that_writes_is_killed(world: World) -> None:
    revision = await world.started(V1, args=ARGS, replicas=2)
    key = f"{world.key('ann')}:chat"
    async with httpx.AsyncClient(
        base_url=world.turns.ingress, trust_env=False, timeout=120
    ) as http:
        body = {"message": "What is your return policy?", "stream": True}
        turn = (await _post(http, f"/{SUPPORT}/{key}/turn/send", body))["invocationId"]
        chat = Chat(http, key, turn)
        reading = asyncio.create_task(chat.follow())
        await asyncio.wait_for(chat.begun.wait(), 60)
        begun = chat.text
        # Both, for Restate doesn't tell which one has the turn; others come up meanwhile.
        shell.run(
            "kubectl", "-n", world.namespace, "delete", "pod",
            "--selector=durableagents.dev/revision", "--grace-period=0", "--force",
        )  # fmt: skip
        answer = await world.turns.result(turn)
        await asyncio.wait_for(reading, 60)
        assert answer["answer"].startswith("You can send goods back")
        assert answer["answer"].startswith(begun)
        assert (answer["revision"], answer["notStreamed"]) == (revision, "")
        assert chat.text == answer["answer"]
        # More than one where the other pod had begun anew before it was killed, too.
        assert chat.resets >= 1
        history = await world.turns.history(SUPPORT, key)
        assert [message["role"] for message in history] == ["user", "agent"]
        assert (await http.post(f"/{SUPPORT}/{key}/delete")).json() == {"deleted": True}
        late = await _post(http, f"/{SUPPORT}.streams/{key}/read", {"wait": 0})
        assert late["chunks"] == []

"""Changes of a Restate's registrations come a few at a time: it refuses many at once."""

import asyncio

import httpx

from agent_operator.restate.client import CHANGES_AT_ONCE, RestateClient


class Server:
    """Answers after a moment, and counts how many requests it has under way."""

    def __init__(self) -> None:
        self.under_way = self.most = 0

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.001)
        self.under_way -= 1
        return httpx.Response(200, json={"id": "dp_1", "services": []})


def client(server: Server) -> RestateClient:
    return RestateClient("http://restate.test", httpx.MockTransport(server.answer))


async def test_registrations_and_their_ends_take_turns() -> None:
    server = Server()
    async with client(server) as restate:
        await asyncio.gather(
            *(restate.register(f"http://a-{number}:9080", {}) for number in range(20)),
            *(restate.deregister(f"dp_{number}") for number in range(20)),
        )
    assert server.most == CHANGES_AT_ONCE


async def test_dry_runs_change_nothing_and_wait_for_nobody() -> None:
    server = Server()
    async with client(server) as restate:
        await asyncio.gather(*(restate.discover(f"http://a-{n}:9080") for n in range(20)))
    assert server.most == 20

"""What is made of Restate's answers, and of an address where there can be none."""

import json
from typing import Any

import httpx
import pytest

from agent_operator.restate.client import (
    TARGET_LENGTH,
    RestateClient,
    RestateUnavailableError,
)
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import Server
from agent_operator.restate.view import Unreachable

LONG = f"Claims/{'k' * 100_000}/turn"
ROW: dict[str, Any] = {
    "deployment": "dp_1",
    "id": "inv_1",
    "target": LONG,
    "status": "paused",
    "since": "2026-05-04T09:00:00Z",
    "n": 1,
}


def answering(*rows: dict[str, Any]) -> RestateClient:
    """A client of a Restate that answers all questions with these rows."""
    answer = httpx.Response(200, text=json.dumps({"rows": rows}))
    return RestateClient("http://restate.test", httpx.MockTransport(lambda _: answer))


async def test_a_callers_key_of_any_length_is_cut() -> None:
    held = (await answering(ROW).loads())["dp_1"]
    assert held.oldest is not None
    for target in (held.oldest.target, held.stuck[0].target):
        assert target == f"{LONG[: TARGET_LENGTH - 1]}…"


async def test_of_what_is_stuck_the_oldest_comes_first() -> None:
    """Restate answers some of each deployment, in the order of their need."""
    rows = [{**ROW, "id": f"inv_{hour}", "since": f"2026-05-04T0{hour}:00:00Z"} for hour in "312"]
    held = (await answering(*rows).loads())["dp_1"]
    assert [found.id for found in held.stuck] == ["inv_1", "inv_2", "inv_3"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://10.0.0.300:9070", "Invalid IPv4 address: '10.0.0.300'"),
        ("http://10.0.0.5:90700", "Invalid port: '90700'"),
        ("http://restate:9070.team.svc:9070", "Invalid port"),
    ],
)
async def test_an_address_that_can_be_none_is_like_a_restate_that_is_away(
    url: str, words: str
) -> None:
    observer = RestateObserver()
    seen = await observer.view(Server(url), 0)
    assert isinstance(seen, Unreachable)
    assert seen.reason == "Unreachable"
    for part in (url, words, "correct spec.restate"):
        assert part in seen.error
    with pytest.raises(RestateUnavailableError):
        await observer.fresh_view(Server(url))
    await observer.close()


@pytest.mark.parametrize("rows", [[None], ["text"], [{**ROW, "n": "hush"}], [{**ROW, "since": 5}]])
async def test_an_answer_that_nobody_can_read_is_none(rows: list[Any]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        kind = request.url.path.strip("/")
        return httpx.Response(200, json={"rows": rows} if kind == "query" else {kind: []})

    client = RestateClient("http://restate.test", httpx.MockTransport(answer))
    seen = await RestateObserver(lambda _: client).view(Server(client.url), 0)
    assert isinstance(seen, Unreachable)
    assert "in a form that this operator does not know" in seen.error
    assert "hush" not in seen.error

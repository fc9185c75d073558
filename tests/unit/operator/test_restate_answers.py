"""What is made of Restate's answers."""

import json
from typing import Any

import httpx

from agent_operator.restate.client import TARGET_LENGTH, RestateClient

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

"""What is stuck is asked for only where something may be: most looks cost one query."""

import json
from typing import Any

import httpx
import pytest

from agent_operator.restate.client import LOADS_SQL, RestateClient, stuck_sql

SINCE = "2026-05-04T09:00:00Z"
ILL: dict[str, Any] = {
    "id": "inv_1", "target": "ClaimAgent/a/turn", "since": SINCE, "deployment": "dp_1",
    "failure": "no such table",
}  # fmt: skip


def counted(status: str, tries: int | None = None) -> dict[str, Any]:
    row = {
        "deployment": "dp_1", "status": status, "n": 1, "since": SINCE, "id": "inv_1",
        "target": "ClaimAgent/a/turn",
    }  # fmt: skip
    return row if tries is None else {**row, "tries": tries}


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        (counted("suspended"), False),
        (counted("running", 1), False),
        (counted("backing-off", 9), False),
        (counted("backing-off", 10), True),
        (counted("running", 11), True),  # it is being tried again
        (counted("paused"), True),
    ],
    ids=lambda value: f"{value['status']} {value.get('tries')}" if isinstance(value, dict) else "",
)
async def test_what_may_be_stuck_is_asked_for(row: dict[str, Any], *, asked: bool) -> None:
    queries = []

    def answer(request: httpx.Request) -> httpx.Response:
        queries.append(json.loads(request.content)["query"])
        stuck = {**ILL, "status": row["status"]}
        return httpx.Response(200, json={"rows": [row if queries[-1] == LOADS_SQL else stuck]})

    async with RestateClient("http://restate.test", httpx.MockTransport(answer)) as client:
        load = (await client.loads())["dp_1"]
    assert queries == ([LOADS_SQL, stuck_sql()] if asked else [LOADS_SQL])
    assert [found.id for found in load.stuck] == ["inv_1"] * asked

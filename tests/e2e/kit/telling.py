"""How tools talk to the witness."""

import asyncio
import os

import httpx

WITNESS = os.environ.get("WITNESS_URL", "http://witness:8080")
POLL_SECONDS = 0.1


async def note(line: str) -> None:
    """Tells the witness what is done."""
    async with httpx.AsyncClient(base_url=WITNESS, trust_env=False) as http:
        (await http.post("/notes", content=line)).raise_for_status()


async def go_on(name: str) -> None:
    """Waits until the test lets this name go on."""
    async with httpx.AsyncClient(base_url=WITNESS, trust_env=False) as http:
        while not (await http.get(f"/released/{name}")).is_success:  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)

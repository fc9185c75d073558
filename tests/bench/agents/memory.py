"""How much memory a process has."""

import asyncio
from pathlib import Path

POLL_SECONDS = 0.1


def memory(pid: int | str = "self") -> float:
    """The resident memory of a process, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {pid} has ended")


async def most(pid: int, over: asyncio.Event) -> float:
    """The most that a process has until an event."""
    found = memory(pid)
    while not over.is_set():
        await asyncio.sleep(POLL_SECONDS)
        found = max(found, memory(pid))
    return found

"""Counts and lists in words, for messages. Pure."""

from collections.abc import Sequence
from typing import Final

from agent_operator.api.status import InvocationCounts

LISTED: Final = 10


def counts_in_words(counts: InvocationCounts) -> str:
    """Such as ``3 invocations (1 running, 2 suspended)``."""
    parts = [
        f"{number} {word}"
        for number, word in (
            (counts.running, "running"),
            (counts.suspended, "suspended"),
            (counts.backing_off, "backing off"),
            (counts.paused, "paused"),
            (counts.waiting, "not begun"),
        )
        if number
    ]
    noun = "invocation" if counts.total == 1 else "invocations"
    return f"{counts.total} {noun} ({', '.join(parts)})" if parts else f"no {noun}"


def listed(parts: Sequence[str]) -> str:
    """The first ten, and how many more there are: a message has no room for hundreds."""
    more = len(parts) - LISTED
    return "; ".join([*parts[:LISTED], *([f"and {more} more"] if more > 0 else ())])

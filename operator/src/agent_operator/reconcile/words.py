"""Counts in words, for messages. Pure."""

from agent_operator.api.status import InvocationCounts


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

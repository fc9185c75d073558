"""Progress on stderr, so that a long step never looks like a hang."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

HEARTBEAT = 20.0
"""Seconds between two signs of life of one step."""


def say(message: str) -> None:
    """Print one line of progress."""
    print(f"cluster: {message}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announce a step, give a sign of life every 20 s, and say how long it took.

    Args:
        what: the step in the present participle, e.g. "building helm (about a minute)".
    """
    say(f"{what} ...")
    start = time.monotonic()
    over = threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT):
            say(f"  ... still {what.split(' (')[0]}, {time.monotonic() - start:.0f} s")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    say(f"  done in {time.monotonic() - start:.1f} s")

"""Progress on stderr, so that a long step never looks like a hang; stdout is for results."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

HEARTBEAT_SECONDS = 20.0


@dataclass(frozen=True)
class Progress:
    """Progress of one tool, whose name begins each line."""

    tool: str

    def say(self, text: str) -> None:
        """Print one line."""
        print(f"{self.tool}: {text}", file=sys.stderr, flush=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Announce a step, give a sign of life now and then, and say how long it took.

        Args:
            what: the step in the present participle, e.g. "building helm (about a minute)".
        """
        self.say(f"{what} ...")
        start = time.monotonic()
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_SECONDS):
                self.say(f"  ... still {what.split(' (')[0]}, {time.monotonic() - start:.0f} s")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        self.say(f"  done in {time.monotonic() - start:.1f} s")

"""Readers of partial text, as chat pages are."""

from __future__ import annotations

import threading
import time
from typing import Any

from agent_service.testing import Reply, Rule, When
from tests.integration.agent_service.harness import Restate, wait_until

WORDS = [f"word{number} " for number in range(40)]
TEXT = "".join(WORDS).strip()


def says(name: str = "say", pause: float = 0.05, **more: Any) -> Rule:
    return Rule(name=name, when=When(text="go", **more), reply=Reply(text=TEXT, pause=pause))


def breaks_once() -> Rule:
    """A model call whose connection breaks in the middle of what it says; only the first."""
    reply = Reply(text=f"Well, {TEXT}", pause=0.03, breaks_after=15, times=1)
    return Rule(name="broken", when=When(text="go"), reply=reply)


def begin(restate: Restate, session: str, agent: str) -> str:
    answer = restate.call(agent, session, "turn/send", {"message": "go", "stream": True})
    return str(answer.raise_for_status().json()["invocationId"])


def read(restate: Restate, session: str, agent: str, **query: Any) -> dict[str, Any]:
    answer = restate.call(f"{agent}.streams", session, "read", query)
    page: dict[str, Any] = answer.raise_for_status().json()
    return page


class Reader(threading.Thread):
    """What a chat page does: reads to the end, and drops what became void."""

    def __init__(self, restate: Restate, session: str, turn: str, agent: str) -> None:
        super().__init__(daemon=True)
        self._ask = (session, turn, agent)
        # A client of its own, for a thread of its own.
        self._restate = Restate(restate.server)
        self.texts: dict[int, str] = {}
        self.authors: dict[int, str] = {}
        self.pages: list[tuple[float, dict[str, Any]]] = []
        self.resets = 0
        self.start()

    def run(self) -> None:
        session, turn, agent = self._ask
        offset, ended = 0, False
        while not ended:
            page = read(self._restate, session, agent, turn=turn, offset=offset)
            self.pages.append((time.monotonic(), page))
            for chunk in page["chunks"]:
                number = chunk["message"]
                before = "" if chunk["reset"] else self.texts.get(number, "")
                self.resets += chunk["reset"]
                self.texts[number] = before + chunk["text"]
                self.authors[number] = chunk["author"]
            offset, ended = page["next"], page["ended"]

    def finish(self) -> list[str]:
        """Waits for the end; returns the messages that have text."""
        self.join(60)
        assert not self.is_alive()
        return [text for _, text in sorted(self.texts.items()) if text]


def wait_text(reader: Reader) -> None:
    wait_until("some text comes", lambda: any(reader.texts.values()))

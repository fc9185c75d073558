"""Watches of the API server, each event with the moment it was read.

Pods' conditions have whole seconds only.
"""

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from tests.bench.child import Child

PATIENCE = 180.0
WATCH_SECONDS = 3600

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """One event. ``at`` is in monotonic seconds, ``kind`` ADDED, MODIFIED or DELETED."""

    at: float
    kind: str
    body: Body


class Watch(Child):
    """All events of one kind of object in a namespace; ``api`` is such as ``apis/apps/v1``.

    What exists already comes first, as ADDED.
    """

    def __init__(self, namespace: str, api: str, plural: str) -> None:
        self._path = f"/{api}/namespaces/{namespace}/{plural}"
        self._plural = plural
        self._events: list[Seen] = []
        self._news = threading.Condition()
        self._ended = False
        # Version 0: begin with what the API server knows, without a look at its storage.
        super().__init__(*self._since("0"))

    def _since(self, version: str) -> tuple[str, ...]:
        options = f"watch=true&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}"
        return ("get", "--raw", f"{self._path}?{options}")

    def __enter__(self) -> Self:
        super().__enter__()
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._ended = True
        super().__exit__(*raised)

    def _read(self) -> None:
        """Reads on where the API server cut the stream off, which it may do to a slow reader."""
        while self._read_once() and not self._ended:
            print(f"the watch of {self._plural} was cut off, and goes on", flush=True)
            self.start(*self._since(self._events[-1].body["metadata"]["resourceVersion"]))
        self._ended = True

    def _read_once(self) -> bool:
        """Reads until the stream ends; whether it can go on after the last event."""
        before = len(self._events)
        for line in self.out:
            at = time.monotonic()
            event = json.loads(line)
            if event["type"] == "ERROR":
                print(f"the watch of {self._plural} ended: {event['object'].get('message')}")
                return False
            with self._news:
                self._events.append(Seen(at, event["type"], event["object"]))
                self._news.notify_all()
        return len(self._events) > before

    def first(
        self,
        matches: Callable[[Seen], bool],
        since: float,
        hint: str,
        patience: float = PATIENCE,
    ) -> Seen:
        """The first event after a moment that matches; waits for it.

        Raises:
            RuntimeError: there was none for long, or the watch ended.
        """
        deadline = time.monotonic() + patience
        looked_at = 0
        with self._news:
            while True:
                for seen in self._events[looked_at:]:
                    if seen.at >= since and matches(seen):
                        return seen
                looked_at = len(self._events)
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    raise RuntimeError(f"the watch of {self._plural} saw no {hint}")
                self._news.wait(min(left, 1.0))


def labelled(key: str, value: str) -> Callable[[Seen], bool]:
    """Events of objects with a label."""
    return lambda seen: seen.body["metadata"].get("labels", {}).get(key) == value


def each_of(names: Collection[str], matches: Callable[[Seen], bool]) -> Callable[[Seen], bool]:
    """True at the event by which every one of these objects has matched, each at some time.

    It remembers what it was shown: show it each event once.
    """
    left = set(names)

    def last(seen: Seen) -> bool:
        if matches(seen):
            left.discard(seen.body["metadata"]["name"])
        return not left

    return last


def is_gone(seen: Seen) -> bool:
    """Whether the object is no more."""
    return seen.kind == "DELETED"


def is_ready(seen: Seen) -> bool:
    """Whether a pod, or an AgentDeployment, is Ready."""
    conditions = seen.body.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def is_leaving(seen: Seen) -> bool:
    """Whether the object was asked to go, or is gone."""
    return seen.kind == "DELETED" or "deletionTimestamp" in seen.body["metadata"]


def is_rolled_out(seen: Seen) -> bool:
    """What ``kubectl rollout status`` waits for."""
    status, spec = seen.body.get("status", {}), seen.body["spec"]
    updated = status.get("updatedReplicas", 0)
    return all(
        (
            status.get("observedGeneration", 0) >= seen.body["metadata"]["generation"],
            updated >= spec.get("replicas", 1),
            status.get("replicas", 0) <= updated,
            status.get("availableReplicas", 0) >= updated,
        )
    )

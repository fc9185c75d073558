"""Watches of the API server, each event with the moment it was read.

Pods' conditions have whole seconds only.
"""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Self

from hack import cluster
from hack.demo import shell

PATIENCE = 180.0
WATCH_SECONDS = 3600

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """One event. ``at`` is in monotonic seconds, ``kind`` ADDED, MODIFIED or DELETED."""

    at: float
    kind: str
    body: Body


class Watch:
    """All events of one kind of object in a namespace; ``api`` is such as ``apis/apps/v1``.

    What exists already comes first, as ADDED.
    """

    def __init__(self, namespace: str, api: str, plural: str) -> None:
        # Version 0: begin with what the API server knows, without a look at its storage.
        options = f"watch=true&resourceVersion=0&timeoutSeconds={WATCH_SECONDS}"
        path = f"/{api}/namespaces/{namespace}/{plural}?{options}"
        self._plural = plural
        kubectl = [str(shell.BIN / "kubectl"), f"--kubeconfig={cluster.kubeconfig()}"]
        self._command = [*kubectl, "get", "--raw", path]
        self._events: list[Seen] = []
        self._news = threading.Condition()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        if self._process.stdout is None:  # pragma: no cover - asked for with PIPE
            raise AssertionError("a piped process has a stdout")
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            at = time.monotonic()
            event = json.loads(line)
            if event["type"] == "ERROR":
                print(f"the watch of {self._plural} ended: {event['object'].get('message')}")
                return
            with self._news:
                self._events.append(Seen(at, event["type"], event["object"]))
                self._news.notify_all()

    def first(self, matches: Callable[[Seen], bool], since: float, hint: str) -> Seen:
        """The first event after a moment that matches; waits for it.

        Raises:
            RuntimeError: there was none for long, or the watch ended.
        """
        deadline = time.monotonic() + PATIENCE
        looked_at = 0
        with self._news:
            while True:
                for seen in self._events[looked_at:]:
                    if seen.at >= since and matches(seen):
                        return seen
                looked_at = len(self._events)
                left = deadline - time.monotonic()
                if left <= 0 or self._process.poll() is not None:
                    raise RuntimeError(f"the watch of {self._plural} saw no {hint}")
                self._news.wait(min(left, 1.0))


def labelled(key: str, value: str) -> Callable[[Seen], bool]:
    """Events of objects with a label."""
    return lambda seen: seen.body["metadata"].get("labels", {}).get(key) == value


def is_ready(seen: Seen) -> bool:
    """Whether the pod is Ready."""
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

"""kubectl against this clone's cluster, and never against another."""

import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hack import cluster

ROOT = Path(__file__).resolve().parents[2]
KUBECTL = ROOT / ".local" / "bin" / "kubectl"
PATIENCE = 180.0


class KubectlError(AssertionError):
    """kubectl ended with an error; the message is what it printed."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace."""

    namespace: str

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        command = [
            str(KUBECTL),
            f"--kubeconfig={cluster.kubeconfig()}",
            f"--namespace={self.namespace}",
            *arguments,
        ]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise KubectlError(f"{' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *manifests: dict[str, Any]) -> str:
        return self("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def refused(self, manifest: dict[str, Any]) -> str:
        """What the API server answers to a manifest that it must not take."""
        try:
            self("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(manifest))
        except KubectlError as error:
            return str(error)
        raise AssertionError(f"the API server took it: {manifest}")

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        text = self("get", kind, name, "--ignore-not-found", "-o", "json")
        return dict(json.loads(text)) if text else None

    def list(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        text = self("get", kind, "-o", "json", *([f"--selector={selector}"] if selector else []))
        return list(json.loads(text)["items"])


def eventually[T](what: Callable[[], T], hint: str, seconds: float = PATIENCE) -> T:
    """Ask until the answer is true; fail with the last answer after generous patience."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:.0f} s still not: {hint} (last: {answer!r})")
        time.sleep(0.3)


@contextmanager
def namespace(prefix: str) -> Iterator[Kubectl]:
    """A namespace of the test's own."""
    name = f"{prefix}-{uuid.uuid4().hex[:6]}"
    Kubectl("default")("create", "namespace", name)
    try:
        yield Kubectl(name)
    finally:
        Kubectl("default")("delete", "namespace", name, "--wait=false")


def crd() -> None:
    """The CRD of this checkout, established."""
    from agent_operator.cli.crd import as_yaml

    everywhere = Kubectl("default")
    everywhere("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=as_yaml())

    # `kubectl wait` fails on a CRD so new that it has no conditions yet.
    def established() -> bool:
        found = everywhere.get("crd", "agentdeployments.durableagents.dev") or {}
        conditions = (found.get("status") or {}).get("conditions") or ()
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

    eventually(established, "the CRD to be established")

"""kubectl, helm and a port-forward, always against the cluster in use."""

import contextlib
import json
import os
import re
import selectors
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import yaml

from hack import cluster

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".local" / "bin"
FORWARD_SECONDS = 30.0


class CommandError(RuntimeError):
    """A command ended with an error; the message has what it printed."""


def run(program: str, *arguments: str, stdin: str | None = None) -> str:
    """Run kubectl or helm; answer what it printed.

    Raises:
        CommandError: it ended with an error.
    """
    done = subprocess.run(
        _command(program, *arguments), input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CommandError(f"{program} {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _command(program: str, *arguments: str) -> list[str]:
    return [str(BIN / program), f"--kubeconfig={cluster.kubeconfig()}", *arguments]


def apply(namespace: str, *manifests: dict[str, Any]) -> str:
    """``kubectl apply`` of manifests; answers what it printed."""
    text = yaml.safe_dump_all(manifests, sort_keys=False)
    return run("kubectl", "-n", namespace, "apply", "-f", "-", stdin=text)


def get(namespace: str, kind: str, name: str) -> dict[str, Any] | None:
    """An object, or ``None`` where there is none of that name."""
    text = run("kubectl", "-n", namespace, "get", kind, name, "--ignore-not-found", "-o", "json")
    return dict(json.loads(text)) if text else None


def items(namespace: str, kind: str, selector: str = "") -> list[dict[str, Any]]:
    """The objects of a kind that match a label selector."""
    chosen = [f"--selector={selector}"] if selector else []
    return list(
        json.loads(run("kubectl", "-n", namespace, "get", kind, "-o", "json", *chosen))["items"]
    )


@contextlib.contextmanager
def forward(namespace: str, target: str, port: int) -> Iterator[str]:
    """``kubectl port-forward`` to a pod or Service; the value is its address on this machine."""
    command = _command("kubectl", "-n", namespace, "port-forward", target, f":{port}")
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ
    )
    if process.stdout is None:  # pragma: no cover - asked for with PIPE
        raise AssertionError("a piped process has a stdout")
    try:
        port = _local_port(process.stdout, target)
        # It tells each connection: unread, the pipe would fill up and stop it.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _local_port(output: IO[str], target: str) -> int:
    deadline = time.monotonic() + FORWARD_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        line = output.readline() if selector.select(deadline - time.monotonic()) else ""
    found = re.search(r"127\.0\.0\.1:(\d+)", line)
    if not found:
        raise CommandError(f"kubectl port-forward {target}: {line.strip() or 'no answer'}")
    return int(found.group(1))

"""helm on the chart of this checkout."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from hack.cluster import tools
from hack.cluster.paths import this_clone

CHART = this_clone().root / "helm" / "durable-agents"
RELEASE = "demo"
NAMESPACE = "demo-ns"

Manifest = dict[str, Any]


class HelmError(AssertionError):
    """helm ended with an error; the message is what it printed."""


def helm(*arguments: str, values: Mapping[str, Any] | None = None) -> str:
    """Runs helm, with values if given, and returns what it printed."""
    clone = this_clone()
    with tools.locked(clone):
        tools.ensure(clone, ["helm"])
    command = [str(clone.bin / "helm"), *arguments, *(["--values", "-"] if values else [])]
    stdin = yaml.safe_dump(dict(values)) if values else None
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HelmError(done.stdout + done.stderr)
    return done.stdout


def render(values: Mapping[str, Any] | None = None, *options: str) -> str:
    """The chart's manifests with these values, as text."""
    return helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, *options, values=values)


def objects(values: Mapping[str, Any] | None = None, *options: str) -> list[Manifest]:
    """The chart's manifests with these values."""
    return [body for body in yaml.safe_load_all(render(values, *options)) if body]


def find(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """The one object of a kind and name."""
    (found,) = (m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name)
    return found


def pod_specs(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """The pod templates' specs, by kind and name of what makes the pods."""
    for body in manifests:
        if body["kind"] in {"Deployment", "StatefulSet", "Job"}:
            name = f"{body['kind']}/{body['metadata']['name']}"
            yield name, body["spec"]["template"]["spec"]


def env(container: Manifest) -> dict[str, str]:
    """A container's environment variables that have plain values."""
    return {e["name"]: e["value"] for e in container.get("env", []) if "value" in e}

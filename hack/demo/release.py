"""The chart, installed with this checkout's images; and an agent that runs on it."""

import base64
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hack import images
from hack.demo import shell

CHART = shell.ROOT / "helm" / "durable-agents"
RELEASE = "durable-agents"
KEY_SECRET = "gemini"
AGENTS = ["agent_service.agents.weather:agent", "agent_service.agents.claims:agent"]


@dataclass(frozen=True)
class Release:
    """An installed chart."""

    namespace: str
    images: Mapping[str, str]

    @property
    def restate(self) -> str:
        """The Service of its Restate, for kubectl."""
        return f"svc/{RELEASE}-restate"

    @property
    def operator(self) -> str:
        """The operator's Deployment, for kubectl."""
        return f"deploy/{RELEASE}-operator"

    def agent(self, image: str, /, name: str = "assistant", **spec: Any) -> dict[str, Any]:
        """An AgentDeployment of both shipped agents, with Gemini or the scripted model."""
        return {
            "apiVersion": "durableagents.dev/v1alpha1",
            "kind": "AgentDeployment",
            "metadata": {"name": name},
            "spec": {
                "image": self.images[image],
                "imagePullPolicy": "IfNotPresent",
                "args": AGENTS,
                **(_gemini() if has_key() else self._scripted()),
                **spec,
            },
        }

    def _scripted(self) -> dict[str, Any]:
        url = f"http://{RELEASE}-model:8080"
        return {"env": [{"name": "GOOGLE_GEMINI_BASE_URL", "value": url}]}


def has_key() -> bool:
    """Whether real Gemini can be used."""
    return bool(os.environ.get("GOOGLE_API_KEY"))


def _gemini() -> dict[str, Any]:
    return {"model": {"apiKeySecret": {"name": KEY_SECRET, "key": "api-key"}}}


def install(
    namespace: str, *, lease_seconds: int | None = None, identity_secret: str = ""
) -> Release:
    """``helm upgrade --install`` into a namespace, and wait until all of it is ready.

    The operator looks after that namespace alone, so that a demo and a test, or two tests, can
    share a cluster. ``lease_seconds`` is for those who kill its pod and won't wait minutes for the
    next one. ``identity_secret`` names a Secret with the key that Restate is to sign with.
    """
    refs = images.ensure()
    chosen = images.chart_values(refs)
    chosen["operator"] |= {"watchNamespaces": [namespace], "leaseSeconds": lease_seconds}
    chosen["restate"]["identityKeySecret"] = {"name": identity_secret}
    chosen["scriptedModel"] = {"enabled": not has_key()}
    _namespace(namespace)
    if has_key():
        _key_secret(namespace)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(chosen, file)
        file.flush()
        helm_install(namespace, Path(file.name))
    return Release(namespace, refs)


def helm_install(namespace: str, values: Path) -> None:
    """Run helm with a file of values."""
    shell.run(
        "helm", "upgrade", "--install", RELEASE, str(CHART), f"--namespace={namespace}",
        f"--values={values}", "--wait", "--timeout=5m",
    )  # fmt: skip


def uninstall(namespace: str) -> None:
    """``helm uninstall``, which first lets the operator take the agents down."""
    shell.run("helm", "uninstall", RELEASE, f"--namespace={namespace}", "--wait", "--timeout=5m")


def _namespace(name: str) -> None:
    if shell.get("default", "namespace", name) is None:
        shell.run("kubectl", "create", "namespace", name)


def _key_secret(namespace: str) -> None:
    key = base64.b64encode(os.environ["GOOGLE_API_KEY"].encode()).decode()
    shell.apply(
        namespace,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": KEY_SECRET},
            "data": {"api-key": key},
        },
    )

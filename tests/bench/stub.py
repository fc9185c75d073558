"""A node that only pretends to run pods (kwok): hundreds that cost their records only.

While it is there no other node takes new pods, so that what the bench makes lands on it.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from hack import cluster
from hack.cluster import tools
from hack.cluster.paths import this_clone
from hack.demo import shell
from tests.bench import answerer

NODE = "bench-stub"
ANSWERER = "answerer"
MANAGED = "kwok.x-k8s.io/node"

# As kwok's own stages do it (pod-ready and pod-delete of its "fast" set), but for the address.
_READY = """\
{{ $now := Now }}
phase: Running
startTime: {{ $now | Quote }}
podIP: ADDRESS
podIPs: [{ip: ADDRESS}]
conditions:
{{ range list "Initialized" "Ready" "ContainersReady" }}
- {type: {{ . }}, status: "True", lastTransitionTime: {{ $now | Quote }}}
{{ end }}
"""


@contextmanager
def stub_node(address: str) -> Iterator[None]:
    """The node, whose pods all have one address: for as long as it lasts, no other takes pods.

    Raises:
        RuntimeError: the cluster in use isn't this clone's own, so that its nodes must be let be.
    """
    if cluster.provider() == "current":
        raise RuntimeError("a scale bench cordons all nodes: use a cluster of its own (CLUSTER=)")
    clone = this_clone()
    with tools.locked(clone):
        tools.ensure(clone, ["kwok"])
    others = [node["metadata"]["name"] for node in shell.items("default", "nodes")]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "kwok.yaml"
        config.write_text(yaml.safe_dump_all(_stages(address)))
        kwok = _kwok(clone.bin / "kwok", config, Path(folder) / "kwok.log")
        try:
            shell.apply("default", _node())
            shell.run("kubectl", "wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=60s")
            shell.run("kubectl", "cordon", *others)
            yield
        finally:
            shell.run("kubectl", "uncordon", *others)
            shell.run("kubectl", "delete", "node", NODE, "--ignore-not-found")
            kwok.terminate()
            kwok.wait()


def answering(namespace: str, image: str) -> str:
    """Start the pod that answers for all stub pods; its address."""
    container = {
        "name": "answerer",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", Path(answerer.__file__).read_text()],
        "readinessProbe": {"tcpSocket": {"port": answerer.PORT}, "periodSeconds": 1},
    }
    shell.apply(
        namespace,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": ANSWERER},
            "spec": {"containers": [container], "enableServiceLinks": False},
        },
    )
    shell.run(
        "kubectl", "-n", namespace, "wait", "--for=condition=Ready", f"pod/{ANSWERER}",
        "--timeout=120s",
    )  # fmt: skip
    found = shell.get(namespace, "pod", ANSWERER) or {}
    return str(found["status"]["podIP"])


def _kwok(program: Path, config: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [
        str(program), f"--config={config}", f"--kubeconfig={cluster.kubeconfig()}",
        f"--manage-nodes-with-annotation-selector={MANAGED}=fake",
    ]  # fmt: skip
    with log.open("w") as out:
        return subprocess.Popen(command, stdout=out, stderr=out)


def _node() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE,
            "annotations": {MANAGED: "fake"},
            "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"},
        },
    }


def _stages(address: str) -> list[dict[str, Any]]:
    alive = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
    pending = {"key": ".status.phase", "operator": "In", "values": ["Pending"]}
    leaving = {"key": ".metadata.deletionTimestamp", "operator": "Exists"}
    ready = {"statusTemplate": _READY.replace("ADDRESS", address)}
    return [
        _stage("ready", [alive, pending], ready),
        _stage("gone", [leaving], {"delete": True}),
    ]


def _stage(name: str, when: list[dict[str, Any]], then: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchExpressions": when},
            "next": then,
        },
    }

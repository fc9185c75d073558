"""A node that only pretends to run pods (kwok): hundreds that cost their records only."""

import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hack import cluster
from hack.cluster import tools
from hack.cluster.paths import this_clone
from hack.demo import shell

MANAGED = "kwok.x-k8s.io/node"
HOSTNAME = "kubernetes.io/hostname"
TAINT = "stub.durableagents.dev/only"

LEASE_SECONDS = 40

# As kwok's own stages do it (its "fast" set), but for the pods' address.
_RUNNING = """\
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
_NODE = """\
{{ $now := Now }}
capacity: {cpu: 1k, memory: 1Ti, pods: 1M}
allocatable: {cpu: 1k, memory: 1Ti, pods: 1M}
conditions:
- type: Ready
  status: "True"
  reason: Stub
  message: it runs nothing
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
phase: Running
"""


@dataclass(frozen=True)
class StubNode:
    """The node. Only pods that ask for it land on it."""

    name: str

    @property
    def pod_spec(self) -> dict[str, Any]:
        """What a pod's spec needs to land there."""
        return {
            "nodeSelector": {HOSTNAME: self.name},
            "tolerations": [{"key": TAINT, "operator": "Exists"}],
        }


@contextmanager
def stub_node(address: str) -> Iterator[StubNode]:
    """A stub node, whose pods all have one address."""
    clone, node = this_clone(), StubNode(f"stub-{uuid.uuid4().hex[:6]}")
    with tools.locked(clone):
        tools.ensure(clone, ["kwok"])
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "kwok.yaml"
        config.write_text(yaml.safe_dump_all(_stages(address)))
        kwok = _kwok(clone.bin / "kwok", node.name, config, Path(folder) / "kwok.log")
        try:
            shell.apply("default", _node(node.name))
            ready = ("wait", "--for=condition=Ready", f"node/{node.name}", "--timeout=60s")
            shell.run("kubectl", *ready)
            yield node
        finally:
            shell.run("kubectl", "delete", "node", node.name, "--ignore-not-found")
            kwok.terminate()
            kwok.wait()


def _kwok(program: Path, node: str, config: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [
        str(program), f"--config={config}", f"--kubeconfig={cluster.kubeconfig()}",
        f"--manage-single-node={node}", f"--node-lease-duration-seconds={LEASE_SECONDS}",
    ]  # fmt: skip
    with log.open("w") as out:
        return subprocess.Popen(command, stdout=out, stderr=out)


def _node(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {MANAGED: "fake"},
            "labels": {HOSTNAME: name, "kubernetes.io/os": "linux"},
        },
        "spec": {"taints": [{"key": TAINT, "effect": "NoSchedule"}]},
    }


def _stages(address: str) -> list[dict[str, Any]]:
    alive = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
    leaving = {"key": ".metadata.deletionTimestamp", "operator": "Exists"}
    pending = {"key": ".status.phase", "operator": "In", "values": ["Pending"]}
    is_ready = '.status.conditions.[] | select( .type == "Ready" ) | .status'
    unready = {"key": is_ready, "operator": "NotIn", "values": ["True"]}
    running = {"statusTemplate": _RUNNING.replace("ADDRESS", address)}
    return [
        _stage("node", "Node", [unready], {"statusTemplate": _NODE}),
        _stage("running", "Pod", [alive, pending], running),
        _stage("gone", "Pod", [leaving], {"delete": True}),
    ]


def _stage(
    name: str, kind: str, when: list[dict[str, Any]], then: dict[str, Any]
) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": when},
            "next": then,
        },
    }

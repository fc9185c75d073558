"""The API server takes what the chart and manifests/ hold, and finds all pods restricted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from agent_operator.api import AgentDeploymentSpec, names
from agent_operator.api.crd import documented
from hack import cluster
from hack.cluster.paths import this_clone
from hack.reference import example_of
from tests.integration.chart.helm import CHART, helm
from tests.integration.chart.test_render import EVERYTHING, VALUES
from tests.support import kube

pytestmark = pytest.mark.integration
ROOT = this_clone().root


@pytest.fixture(scope="module")
def kubectl() -> Iterator[kube.Kubectl]:
    cluster.up()
    kube.crd()
    with kube.namespace("chart") as kubectl:
        kubectl(
            "label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/warn=restricted"
        )
        yield kubectl


def dry_run(kubectl: kube.Kubectl, manifests: str) -> str:
    """What the API server says about manifests, warnings included.

    Fails the test when it refuses one of them.
    """
    command = [
        str(kube.KUBECTL),
        f"--kubeconfig={cluster.kubeconfig()}",
        *("create", "--dry-run=server", "--validate=strict", "-f", "-"),
    ]
    done = subprocess.run(command, input=manifests, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_the_chart(kubectl: kube.Kubectl, values: dict[str, Any]) -> None:
    if values is EVERYTHING:
        namespaces = [kubectl.namespace]
        values = {**values, "operator": {**values["operator"], "watchNamespaces": namespaces}}
    name = kubectl.namespace
    rendered = helm("template", name, str(CHART), "--namespace", name, values=values)
    assert "Warning" not in dry_run(kubectl, rendered)


def test_an_unrestricted_pod_would_be_noticed(kubectl: kube.Kubectl) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root", "namespace": kubectl.namespace},
        "spec": {"containers": [{"name": "root", "image": "x"}]},
    }
    assert "Warning" in dry_run(kubectl, yaml.safe_dump(pod))


def test_the_rendered_install(kubectl: kube.Kubectl) -> None:
    text = (ROOT / "manifests" / "install.yaml").read_text()
    # Its own namespace doesn't exist in a dry run.
    _, _, rest = text.partition("kind: Namespace")
    _, _, rest = rest.partition("---\n")
    rest = rest.replace("namespace: durable-agents", f"namespace: {kubectl.namespace}")
    rest = rest.replace("name: durable-agents-operator", f"name: {kubectl.namespace}-operator")
    assert "Warning" not in dry_run(kubectl, rest)


@pytest.mark.parametrize(
    "sample", sorted(p.name for p in (ROOT / "manifests" / "samples").glob("*.yaml"))
)
def test_the_samples(kubectl: kube.Kubectl, sample: str) -> None:
    path = ROOT / "manifests" / "samples" / sample
    said = kubectl("create", "--dry-run=server", "--validate=strict", "-f", str(path))
    assert "created (server dry run)" in said


def test_the_examples_of_the_reference(kubectl: kube.Kubectl) -> None:
    agent = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": "example", "namespace": kubectl.namespace},
        "spec": example_of(documented(AgentDeploymentSpec)),
    }
    dry_run(kubectl, yaml.safe_dump(agent))

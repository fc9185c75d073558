"""The life of a release: install, a restart of Restate, an upgrade, and an uninstall that waits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hack import cluster, images
from tests.integration.chart.helm import CHART, HelmError, helm
from tests.support.kube import Kubectl, eventually, namespace

pytestmark = pytest.mark.e2e
CRD = "agentdeployments.durableagents.dev"


@dataclass(frozen=True)
class Release:
    """A release in a namespace of its own, of the same name."""

    kubectl: Kubectl
    values: dict[str, Any]

    def helm(self, verb: str, *arguments: str, **changed: Any) -> None:
        """Runs helm on the release; waits until it is done."""
        name = self.kubectl.namespace
        where = (f"--kubeconfig={cluster.kubeconfig()}", f"--namespace={name}", "--timeout=5m")
        if verb == "uninstall":
            helm(verb, name, *where, *arguments)
        else:
            values = {**self.values, **changed}
            helm(verb, name, str(CHART), *where, "--wait", *arguments, values=values)

    def service(self, port: int, path: str) -> Any:
        """Asks the release's Restate, through the API server."""
        name = self.kubectl.namespace
        address = f"/api/v1/namespaces/{name}/services/{name}-restate:{port}/proxy/{path}"
        return json.loads(self.kubectl("get", "--raw", address))

    def deployments(self) -> set[str]:
        """The ids of what Restate has registered."""
        return {d["id"] for d in self.service(9070, "deployments")["deployments"]}


@pytest.fixture
def release() -> Iterator[Release]:
    cluster.up()
    loaded = images.ensure()
    with namespace("release") as kubectl:
        kubectl(
            "label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/enforce=restricted"
        )
        values = images.chart_values(loaded)
        values["operator"]["watchNamespaces"] = [kubectl.namespace]
        values["scriptedModel"] = {"enabled": True}
        # Told apart from the operators of other releases, which may see this namespace too.
        admin = f"http://{kubectl.namespace}-restate.{kubectl.namespace}.svc.cluster.local:9070"
        values["agents"] = {
            "weather": {
                "args": ["agent_service.agents.weather:agent"],
                "restate": {"adminURL": admin},
            }
        }
        release = Release(kubectl, values)
        try:
            yield release
        finally:
            # Whatever the test left: nothing may stay in deletion, waiting for an operator.
            try:
                release.helm("uninstall", "--ignore-not-found")
            except HelmError:
                finalizers = '{"metadata": {"finalizers": []}}'
                for name in [a["metadata"]["name"] for a in kubectl.list("agd")]:
                    kubectl("patch", "agd", name, "--type=merge", "--patch", finalizers)


def ready(release: Release) -> bool:
    agent = release.kubectl.get("agd", "weather")
    conditions = (agent or {}).get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def test_the_life_of_a_release(release: Release) -> None:
    kubectl, name = release.kubectl, release.kubectl.namespace
    release.helm("install")
    eventually(lambda: ready(release), "the agent is ready")
    claim = kubectl.get("pvc", f"data-{name}-restate-0")
    assert claim
    assert claim["status"]["phase"] == "Bound"
    registered = release.deployments()
    assert len(registered) == 1

    kubectl("delete", "pod", f"{name}-restate-0", "--wait=true")
    kubectl("rollout", "status", f"statefulset/{name}-restate", "--timeout=3m")
    assert release.deployments() == registered, "a restart lost what Restate knew"

    column = {"name": "Stale", "type": "string", "jsonPath": ".metadata.uid"}
    path = "/spec/versions/0/additionalPrinterColumns/-"
    kubectl("patch", "crd", CRD, "--type=json", "-p", json.dumps([_add(path, column)]))
    release.helm("upgrade", commonLabels={"upgraded": "true"})
    assert "Stale" not in kubectl("get", "crd", CRD, "-o", "json"), "the upgrade kept an old CRD"
    agent = kubectl.get("agd", "weather")
    assert agent
    assert agent["metadata"]["labels"]["upgraded"] == "true"
    assert release.deployments() == registered, "labels alone must make no new revision"

    release.helm("uninstall")
    assert kubectl.list("agd") == []
    eventually(lambda: not _left(kubectl), "nothing of the release is left")
    assert kubectl.get("pvc", f"data-{name}-restate-0"), (
        "the volume must stay unless told otherwise"
    )


def _left(kubectl: Kubectl) -> list[str]:
    kinds = ("replicasets", "services", "deployments", "statefulsets", "jobs", "roles", "pods")
    return [o["metadata"]["name"] for kind in kinds for o in kubectl.list(kind)]


def _add(path: str, value: dict[str, str]) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}

"""Pod templates on the real API server: what it refuses of them, and what it takes of ours."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_operator.api import AgentDeployment
from agent_operator.api.crd import crd
from agent_operator.reconcile import manifests
from agent_operator.reconcile.revisions import wanted
from agent_operator.settings import Settings
from hack import cluster, pod_template
from tests.support import kube

pytestmark = pytest.mark.integration

# What `kubectl apply` may keep in an annotation of the CRD.
ANNOTATION_LIMIT = 262_144


@pytest.fixture(scope="module")
def kubectl() -> Iterator[kube.Kubectl]:
    cluster.up()
    kube.crd()
    with kube.namespace("template") as found:
        found("label", "namespace", found.namespace, "pod-security.kubernetes.io/warn=restricted")
        yield found


def agent(template: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "durableagents.dev/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": "claims"},
        "spec": {"image": "claims:1", "template": template, **spec},
    }


def own(**container: Any) -> dict[str, Any]:
    """A template whose agent container has these fields."""
    return {"spec": {"containers": [{"name": "agent", **container}]}}


A = [{"name": "A", "value": "1"}]
KEY = {"apiKeySecret": {"name": "s", "key": "k"}}
REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"spec": {"nodeSelector": "ssd"}}, {}, "spec.template.spec.nodeSelector"),
    ({"spec": {"containers": [{"image": "x"}]}}, {}, "containers[0].name: Required value"),
    ({"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}, {}, "containers[1]: Duplicate"),
    ({"spec": {"nodeSelektor": {}}}, {}, 'unknown field "spec.template.spec.nodeSelektor"'),
    ({"spec": {"ephemeralContainers": []}}, {}, "unknown field"),
    ({"spec": {"restartPolicy": "Never"}}, {}, 'supported values: "Always"'),
    ({"metadata": {"name": "x"}}, {}, 'unknown field "spec.template.metadata.name"'),
    ({"metadata": {"labels": {"durableagents.dev/revision": "x"}}}, {}, "are the operator's"),
    ({"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}, {}, "are the operator's"),
    (own(image="x"), {}, "is given in spec.image"),
    (own(env=[{"name": "PORT", "value": "1"}]), {}, "set by the operator"),
    (own(env=A), {"env": A}, "a variable is given twice"),
    (own(env=[{"name": "GOOGLE_API_KEY"}]), {"model": KEY}, "spec.model.apiKeySecret"),
    (own(env=[{"name": "AGENT_MODEL"}]), {"model": {"name": "m"}}, "spec.model.name"),
    (own(args=["x"]), {"args": ["z"]}, "args is given twice"),
    (own(resources={"limits": {"cpu": 1}}), {"resources": {}}, "resources is given twice"),
    ({"spec": {"serviceAccountName": "a"}}, {"serviceAccountName": "b"}, "given twice"),
    (own(ports=[{"containerPort": 9080}]), {}, "spec.port is a port"),
    (own(ports=[{"name": "restate", "containerPort": 1}]), {}, "port name restate"),
]


@pytest.mark.parametrize(("template", "spec", "words"), REFUSED, ids=[w for _, _, w in REFUSED])
def test_refused(
    kubectl: kube.Kubectl, template: dict[str, Any], spec: dict[str, Any], words: str
) -> None:
    assert words in kubectl.refused(agent(template, **spec))


NAME = {"fieldPath": "metadata.name"}
APART = {
    "topologyKey": "kubernetes.io/hostname",
    "labelSelector": {"matchLabels": {"team": "claims"}},
}
PASSWORD = {"secretKeyRef": {"name": "s", "key": "k"}}
FULL: dict[str, Any] = {
    "metadata": {"labels": {"team": "claims"}, "annotations": {"a": "b"}},
    "spec": {
        "containers": [
            {
                "name": "agent",
                "env": [*A, {"name": "PASSWORD", "valueFrom": PASSWORD}],
                "ports": [{"name": "metrics", "containerPort": 9090}],
                "volumeMounts": [{"name": "all", "mountPath": "/all", "readOnly": True}],
                "livenessProbe": {"httpGet": {"path": "/health", "port": 9080}},
                "resources": {"limits": {"memory": "1Gi", "cpu": 1}},
            },
            {
                "name": "proxy",
                "image": "proxy:1",
                "securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}},
            },
        ],
        "initContainers": [
            {"name": "fetch", "image": "fetch:1"},
            {"name": "tail", "image": "tail:1", "restartPolicy": "Always"},
        ],
        "volumes": [
            {
                "name": "all",
                "projected": {
                    "sources": [
                        {"configMap": {"name": "c", "optional": True}},
                        {"secret": {"name": "s", "items": [{"key": "k", "path": "p"}]}},
                        {"downwardAPI": {"items": [{"path": "name", "fieldRef": NAME}]}},
                    ]
                },
            }
        ],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "podAffinityTerm": APART}
                ]
            }
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"team": "claims"}},
            }
        ],
        "securityContext": {"fsGroup": 65532},
        "terminationGracePeriodSeconds": 60,
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["shop"]}],
    },
}  # fmt: skip


def replica_set(kubectl: kube.Kubectl, wish: dict[str, Any]) -> dict[str, Any]:
    """What the operator would make of an AgentDeployment, read back from the API server."""
    kubectl.apply(wish)
    body = kubectl.get("agd", "claims")
    kubectl("delete", "agd", "claims")
    owner = AgentDeployment.model_validate(body)
    return manifests.replica_set(owner, wanted(owner, Settings()))


def test_a_full_template_is_kept_whole(kubectl: kube.Kubectl) -> None:
    kubectl.apply(agent(FULL))
    body = kubectl.get("agd", "claims")
    kubectl("delete", "agd", "claims")
    assert body is not None
    kept = body["spec"]["template"]
    # The one default: it is part of what identifies a port.
    assert kept["spec"]["containers"][0]["ports"][0].pop("protocol") == "TCP"
    assert kept == FULL


@pytest.mark.parametrize("template", [{}, FULL], ids=["empty", "full"])
def test_what_is_made_of_it_is_valid_and_restricted(
    kubectl: kube.Kubectl, template: dict[str, Any]
) -> None:
    made = replica_set(kubectl, agent(template))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", **made["spec"]["template"]["metadata"]},
        "spec": made["spec"]["template"]["spec"],
    }
    # Priority classes and service accounts are checked when the pod is made, so make one.
    for manifest in (made, pod):
        said = kubectl(
            "create", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", "-",
            stdin=json.dumps(manifest),
        )  # fmt: skip
        assert "created (server dry run)" in said


def test_a_privileged_container_is_no_contradiction(kubectl: kube.Kubectl) -> None:
    proxy = {"name": "proxy", "image": "x", "securityContext": {"privileged": True}}
    made = replica_set(kubectl, agent({"spec": {"containers": [proxy]}}))
    kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(made))


def test_the_schema_is_the_api_servers_own() -> None:
    """Of the pinned Kubernetes; another cluster's may have more fields, or fewer."""
    if cluster.provider() is not cluster.Provider.LOCAL:
        pytest.skip("not the pinned Kubernetes")
    assert pod_template.FILE.read_text() == pod_template.as_text(pod_template.from_cluster()), (
        "run `python -m hack.pod_template`"
    )


def test_the_crd_can_be_applied_from_the_clients_side(kubectl: kube.Kubectl) -> None:
    text = json.dumps(crd())
    assert len(text) < ANNOTATION_LIMIT / 2, "others need room for what they add"
    kubectl("create", "--dry-run=server", "--save-config", "-f", "-", stdin=renamed(text))


def renamed(text: str) -> str:
    """The CRD under another name, since the cluster has it already."""
    other = json.loads(text.replace("durableagents.dev", "template.example"))
    return json.dumps(other)


EXPLAINED = {
    "agd.spec": "The agent image",
    "agd.spec.rollout": "How a new revision comes to take new turns",
    "agd.spec.drain": "How an old revision goes away",
    "agd.spec.model": "language model",
    "agd.spec.template": "as in a Deployment",
    "agd.spec.template.spec": "nodeSelector",
    "agd.spec.template.spec.containers": "Entrypoint array",
}


@pytest.mark.parametrize(("path", "words"), EXPLAINED.items(), ids=EXPLAINED)
def test_kubectl_explains_it(kubectl: kube.Kubectl, tmp_path: Path, path: str, words: str) -> None:
    # kubectl remembers for minutes what short names a server has.
    said = kubectl("explain", path, f"--cache-dir={tmp_path}")
    assert words in " ".join(said.split())
    assert "<no description>" not in said

"""What the chart renders, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from hack import manifests
from tests.integration.chart.helm import (
    CHART,
    NAMESPACE,
    HelmError,
    env,
    find,
    helm,
    objects,
    pod_specs,
    render,
)

pytestmark = pytest.mark.integration

WEATHER = {"weather": {"args": ["agent_service.agents.weather:agent"]}}
KEY = {"apiKeySecret": {"name": "gemini", "key": "api-key"}}
EXTERNAL: dict[str, Any] = {"enabled": False, "external": {"adminURL": "http://restate.tools:9070"}}
GUARDED = {
    "enabled": False,
    "external": {
        "adminURL": "https://restate.example:9070",
        "tokenSecret": {"name": "restate"},
        "clientCertificateSecret": {"name": "client"},
        "caSecret": {"name": "client"},
    },
}
EVERYTHING: dict[str, Any] = {
    "fullnameOverride": "da",
    "imagePullSecrets": ["registry"],
    "commonLabels": {"team": "x"},
    "agents": {**WEATHER, "keyed": {"image": "mine:1", "model": KEY}},
    "operator": {
        "replicas": 2,
        "watchNamespaces": [NAMESPACE, "other"],
        "extraEnv": [{"name": "A", "value": "b"}],
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "x", "operator": "Exists"}],
        "priorityClassName": "system-cluster-critical",
    },
    "restate": {
        "persistence": {"storageClassName": "fast", "size": "5Gi", "whenDeleted": "Delete"},
        "extraEnv": [{"name": "RESTATE_LOG_FILTER", "value": "warn"}],
        "identityKeySecret": {"name": "identity"},
        "nodeSelector": {"disk": "ssd"},
    },
    "scriptedModel": {"enabled": True},
    "extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plain"}},
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-text",
    ],
}
VALUES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "agents and scripted model": {"agents": WEATHER, "scriptedModel": {"enabled": True}},
    "external Restate": {"restate": EXTERNAL, "agents": WEATHER},
    "external Restate with credentials": {
        "restate": GUARDED,
        "operator": {"reads": {"secretNames": ["r"]}},
    },
    "no hooks": {"crd": {"upgrade": False}, "uninstall": {"drain": False, "timeoutSeconds": 1}},
    "everything": EVERYTHING,
}


@pytest.fixture(params=list(VALUES.values()), ids=list(VALUES))
def values(request: pytest.FixtureRequest) -> dict[str, Any]:
    chosen: dict[str, Any] = request.param
    return chosen


def test_lint(values: dict[str, Any]) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), values=values)


def test_generated_files_are_up_to_date() -> None:
    assert manifests.stale() == [], "run `python -m hack.manifests`"


def test_nothing_is_left_with_trailing_spaces(values: dict[str, Any]) -> None:
    assert [line for line in render(values).splitlines() if line != line.rstrip()] == []


def test_every_pod_is_restricted(values: dict[str, Any]) -> None:
    for name, spec in pod_specs(objects(values)):
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["enableServiceLinks"] is False, name
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["limits"]["memory"], name
            assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"], name


def test_only_what_talks_to_the_api_server_gets_a_token(values: dict[str, Any]) -> None:
    tokens = {n for n, spec in pod_specs(objects(values)) if spec["automountServiceAccountToken"]}
    assert all(name.endswith(("-operator", "-crd-upgrade", "-uninstall")) for name in tokens)


def test_no_role_can_do_everything_or_read_secrets_that_were_not_named(
    values: dict[str, Any],
) -> None:
    for rule in rules(values):
        assert "*" not in rule["resources"]
        if "secrets" in rule["resources"]:
            assert (rule["verbs"], rule["resources"]) == (["get"], ["secrets"])
            assert rule["resourceNames"] in (["r"], ["client", "restate"])
        assert not {"*", "escalate", "bind", "impersonate"} & set(rule["verbs"])
        assert "*" not in rule["apiGroups"]


def rules(values: dict[str, Any]) -> list[dict[str, Any]]:
    roles = [m for m in objects(values) if m["kind"] in {"Role", "ClusterRole"}]
    assert roles
    return [rule for role in roles for rule in role["rules"]]


def test_by_default_no_secret_can_be_read() -> None:
    assert not [rule for rule in rules({}) if "secrets" in rule["resources"]]


def test_where_the_credentials_of_an_external_restate_are() -> None:
    def variables(restate: dict[str, Any]) -> dict[str, str]:
        operator = find(objects({"restate": restate}), "Deployment", "demo-operator")
        return env(operator["spec"]["template"]["spec"]["containers"][0])

    found = variables(GUARDED)
    assert found["RESTATE_TOKEN_SECRET"] == "restate/token"
    assert found["RESTATE_CLIENT_CERTIFICATE_SECRET"] == "client"
    assert found["RESTATE_CA_SECRET"] == "client/ca.crt"
    assert "RESTATE_TOKEN_SECRET" not in variables({**GUARDED, "enabled": True})


@pytest.mark.parametrize("namespaces", [[], [NAMESPACE]], ids=["everywhere", "one namespace"])
def test_reading_secrets_has_to_be_asked_for(namespaces: list[str]) -> None:
    def readable(**reads: bool) -> set[str]:
        operator = {"watchNamespaces": namespaces, "reads": reads}
        rules = [
            rule
            for m in objects({"operator": operator})
            if m["kind"] in {"Role", "ClusterRole"}
            for rule in m["rules"]
            if rule["resources"] in (["secrets"], ["configmaps"])
        ]
        assert all(rule["verbs"] == ["get"] for rule in rules)
        return {rule["resources"][0] for rule in rules}

    assert readable() == {"configmaps"}
    assert readable(secrets=True) == {"configmaps", "secrets"}
    assert readable(configMaps=False) == set()


def test_names_begin_with_the_release() -> None:
    names = {m["metadata"]["name"] for m in objects() if m["metadata"].get("namespace")}
    assert {"demo-restate", "demo-operator", "demo-restate-headless"} <= names
    assert all(name.startswith("demo-") for name in names)


def test_a_release_named_like_its_namespace_has_no_doubled_names() -> None:
    text = helm("template", "durable-agents", str(CHART), "--namespace", "durable-agents")
    assert "durable-agents-durable-agents" not in text


def test_cluster_roles_of_two_namespaces_do_not_meet() -> None:
    def names(namespace: str) -> set[str]:
        text = helm("template", "same", str(CHART), "--namespace", namespace)
        return {line.strip() for line in text.splitlines() if line.strip().startswith("name: n")}

    assert names("none")
    assert not names("none") & names("ntwo")


def test_the_operator_is_told_where_restate_is() -> None:
    values = {"clusterDomain": "corp.example"}
    (container,) = dict(pod_specs(objects(values)))["Deployment/demo-operator"]["containers"]
    assert env(container)["RESTATE_ADMIN_URL"] == (
        f"http://demo-restate.{NAMESPACE}.svc.corp.example:9070"
    )
    assert env(container)["RESTATE_INGRESS_URL"] == (
        f"http://demo-restate.{NAMESPACE}.svc.corp.example:8080"
    )
    assert env(container)["CLUSTER_DOMAIN"] == "corp.example"


def test_an_external_restate_replaces_ours() -> None:
    manifests_ = objects({"restate": EXTERNAL})
    assert not [m for m in manifests_ if m["kind"] in {"StatefulSet", "Service"}]
    (container,) = dict(pod_specs(manifests_))["Deployment/demo-operator"]["containers"]
    assert env(container)["RESTATE_ADMIN_URL"] == "http://restate.tools:9070"
    assert "RESTATE_INGRESS_URL" not in env(container)
    reached = {**EXTERNAL["external"], "ingressURL": "http://restate.tools:8080"}
    manifests_ = objects({"restate": {**EXTERNAL, "external": reached}})
    (container,) = dict(pod_specs(manifests_))["Deployment/demo-operator"]["containers"]
    assert env(container)["RESTATE_INGRESS_URL"] == "http://restate.tools:8080"


def test_a_list_of_namespaces_gives_roles_there_and_no_more() -> None:
    manifests_ = objects({"operator": {"watchNamespaces": [NAMESPACE, "other"]}})
    roles = [
        m for m in manifests_ if m["kind"] == "Role" and m["metadata"]["name"].endswith("-operator")
    ]
    assert {role["metadata"]["namespace"] for role in roles} == {NAMESPACE, "other"}
    cluster_role = find(manifests_, "ClusterRole", f"{NAMESPACE}-demo-operator")
    of_all = [rule for rule in cluster_role["rules"] if set(rule["verbs"]) != {"list", "watch"}]
    # Its uid is the cluster's id.
    assert [(rule["verbs"], rule["resourceNames"]) for rule in of_all] == [
        (["get"], ["kube-system"])
    ]
    everywhere = find(objects(), "ClusterRole", f"{NAMESPACE}-demo-operator")
    assert roles[0]["rules"] == everywhere["rules"][len(cluster_role["rules"]) :]


def test_the_operator_may_do_no_more_than_it_does() -> None:
    cluster_role = find(objects(), "ClusterRole", f"{NAMESPACE}-demo-operator")
    rules = {
        (group, resource): set(rule["verbs"])
        for rule in cluster_role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert rules["", "events"] == {"create"}
    assert ("events.k8s.io", "events") not in rules
    # A gate's Job is made and removed, and pods are told whose requests to take.
    assert rules["batch", "jobs"] == {"get", "list", "watch", "create", "delete"}
    assert rules["", "pods"] == {"get", "list", "watch", "patch"}
    assert rules["durableagents.dev", "agentdeployments/status"] == {"patch"}
    leases = find(objects(), "Role", "demo-operator-lease")["rules"]
    assert [(rule.get("resourceNames"), rule["verbs"]) for rule in leases] == [
        (["demo-operator"], ["get", "update"]),
        (None, ["create"]),
    ]


def test_gates_run_on_the_images_of_the_release() -> None:
    images = {"operator": {"image": {"tag": "7"}}, "restate": {"image": {"tag": "8"}}}
    (container,) = find(objects(images), "Deployment", "demo-operator")["spec"]["template"]["spec"][
        "containers"
    ]
    assert env(container)["GATE_IMAGE"] == container["image"] == "durable-agents/operator:7"
    assert env(container)["GATE_RESTATE_IMAGE"] == "restatedev/restate:8"


def test_replicas_of_the_operator_share_a_lease() -> None:
    manifests_ = objects({"operator": {"replicas": 2}})
    deployment = find(manifests_, "Deployment", "demo-operator")
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["type"] == "RollingUpdate"
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert env(container)["LEASE_NAME"] == "demo-operator"
    assert env(container)["LEASE_SECONDS"] == "15"
    assert {e["name"] for e in container["env"] if "valueFrom" in e} == {
        "POD_NAME",
        "POD_NAMESPACE",
    }
    selector = deployment["spec"]["selector"]
    for spread in spec["topologySpreadConstraints"]:
        assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
        assert spread["labelSelector"] == selector
    budget = find(manifests_, "PodDisruptionBudget", "demo-operator")
    assert budget["spec"] == {"maxUnavailable": 1, "selector": selector}


def test_one_replica_of_the_operator_is_in_no_node_drain_s_way() -> None:
    assert not [m for m in objects() if m["kind"] == "PodDisruptionBudget"]
    (spec,) = (s for name, s in pod_specs(objects()) if name == "Deployment/demo-operator")
    assert "topologySpreadConstraints" not in spec
    # Nobody stands by, so that its lease may be renewed seldom.
    assert env(spec["containers"][0])["LEASE_SECONDS"] == "180"


def test_agents_become_agent_deployments() -> None:
    manifests_ = objects(EVERYTHING)
    spec = find(manifests_, "AgentDeployment", "weather")["spec"]
    assert spec["image"] == "durable-agents/agent-service:0.1.0"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    address = {"name": "GOOGLE_GEMINI_BASE_URL"}
    address["value"] = f"http://da-model.{NAMESPACE}.svc.cluster.local:8080"
    assert spec["env"] == [address]
    keyed = find(manifests_, "AgentDeployment", "keyed")["spec"]
    assert keyed["image"] == "mine:1"
    assert "env" not in keyed, "an agent with a key keeps its real model"


def test_an_address_in_a_template_is_not_given_twice() -> None:
    address = {"name": "GOOGLE_GEMINI_BASE_URL", "value": "http://mine:8080"}
    template = {"spec": {"containers": [{"name": "agent", "env": [address]}]}}
    agents = {"weather": {**WEATHER["weather"], "template": template}}
    manifests_ = objects({"agents": agents, "scriptedModel": {"enabled": True}})
    spec = find(manifests_, "AgentDeployment", "weather")["spec"]
    assert spec["template"] == template
    assert "env" not in spec


def test_extra_objects_come_along() -> None:
    manifests_ = objects(EVERYTHING)
    assert find(manifests_, "ConfigMap", "plain")
    assert find(manifests_, "ConfigMap", "demo-text")


def test_the_hooks() -> None:
    manifests_ = objects()
    upgrade = find(manifests_, "Job", "demo-crd-upgrade")
    assert upgrade["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert upgrade["spec"]["template"]["spec"]["containers"][0]["args"] == ["crd", "apply"]
    uninstall = find(manifests_, "Job", "demo-uninstall")
    assert uninstall["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    arguments = uninstall["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "app.kubernetes.io/instance=demo" in arguments
    agent = find(objects({"agents": WEATHER}), "AgentDeployment", "weather")
    assert agent["metadata"]["labels"]["app.kubernetes.io/instance"] == "demo"
    assert not [m for m in objects(VALUES["no hooks"]) if m["kind"] == "Job"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"operater": {}}, "operater"),
        ({"operator": {"replicas": -1}}, "replicas"),
        ({"operator": {"logFormat": "xml"}}, "logFormat"),
        ({"operator": {"image": {"repository": "x", "pullPolicy": "Sometimes"}}}, "pullPolicy"),
        ({"operator": {"watchNamespaces": ["Not_A_Name"]}}, "watchNamespaces"),
        ({"operator": {"logLevel": "LOUD"}}, "logLevel"),
        ({"restate": {"enabled": False}}, "adminURL"),
        ({"restate": {**EXTERNAL, "external": {"adminURL": "restate:9070"}}}, "adminURL"),
        ({"restate": {"partitions": 0}}, "partitions"),
        ({"restate": {"persistence": {"size": "a lot"}}}, "size"),
        ({"agents": {"Weather": {}}}, "Weather"),
        ({"agents": {"a" * 53: {}}}, "aaa"),
        ({"agents": {"weather": {"replicas": -1}}}, "replicas"),
        ({"agents": ["weather"]}, "agents"),
        ({"uninstall": {"timeoutSeconds": 0}}, "timeoutSeconds"),
        ({"agents": WEATHER, "operator": {"watchNamespaces": ["other"]}}, NAMESPACE),
    ],
)
def test_values_that_cannot_work_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(HelmError, match=message):
        render(values)

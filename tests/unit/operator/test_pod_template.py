"""What becomes of a user's pod template: kept field by field, restricted where it says nothing."""

from typing import Any

import pytest

from agent_operator.api import names
from agent_operator.reconcile import manifests, trust
from tests.unit.operator.build import agent, wish

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
SIDECAR = {"name": "proxy", "image": "proxy:1"}


def rendered(template: dict[str, Any], **spec: Any) -> dict[str, Any]:
    owner = agent(template=template, **spec)
    made = manifests.replica_set(owner, wish(template=template, **spec))["spec"]["template"]
    assert isinstance(made, dict)
    return made


def pod(spec: dict[str, Any], **short: Any) -> dict[str, Any]:
    return dict(rendered({"spec": spec}, **short)["spec"])


def container(name: str, spec: dict[str, Any], **short: Any) -> dict[str, Any]:
    made = pod(spec, **short)
    every = [*made["containers"], *made.get("initContainers", ())]
    return dict(next(c for c in every if c["name"] == name))


def test_what_the_operator_has_no_opinion_on_passes_through() -> None:
    given: dict[str, Any] = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone"}],
        "priorityClassName": "high",
        "terminationGracePeriodSeconds": 5,
        "enableServiceLinks": True,
        "dnsPolicy": "None",
    }
    assert given.items() <= pod(given).items()


def test_without_a_template_pods_are_as_with_an_empty_one() -> None:
    none = manifests.replica_set(agent(), wish())["spec"]["template"]
    name = wish(template={}).name
    empty = rendered({})
    assert empty["metadata"]["labels"].pop(names.REVISION_LABEL) == name
    none["metadata"]["labels"].pop(names.REVISION_LABEL)
    for made in (none, empty):
        made["spec"]["containers"][0].pop("env")
    assert none == empty


def test_the_agents_container_is_merged_with_the_short_forms() -> None:
    own = {
        "name": "agent",
        "env": [{"name": "A", "value": "1"}],
        "ports": [{"name": "metrics", "containerPort": 9090}],
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
        "readinessProbe": {"tcpSocket": {"port": "restate"}},
        "resources": {"limits": {"memory": "1Gi"}},
    }
    made = container(
        "agent",
        {"containers": [own]},
        args=["my:agent"],
        env=[{"name": "B", "value": "2"}],
        model={"name": "gemini-2.5-pro"},
    )
    assert made["image"] == "claims:1"
    assert made["args"] == ["my:agent"]
    env = {e["name"]: e["value"] for e in made["env"]}
    assert {"A": "1", "B": "2", "AGENT_MODEL": "gemini-2.5-pro", "PORT": "9080"}.items() <= (
        env.items()
    )
    assert made["ports"] == [{"name": "restate", "containerPort": 9080}, *own["ports"]]
    for field in ("lifecycle", "readinessProbe", "resources"):
        assert made[field] == own[field]
    assert made["startupProbe"]["httpGet"]["path"] == "/health"


def test_the_agents_container_comes_first_and_is_the_one_that_logs_show() -> None:
    made = rendered({"spec": {"containers": [SIDECAR]}})
    assert [c["name"] for c in made["spec"]["containers"]] == ["agent", "proxy"]
    assert made["metadata"]["annotations"] == {"kubectl.kubernetes.io/default-container": "agent"}
    annotations = {"kubectl.kubernetes.io/default-container": "proxy", "a": "b"}
    made = rendered({"metadata": {"annotations": annotations}, "spec": {"containers": [SIDECAR]}})
    assert made["metadata"]["annotations"] == annotations


def test_every_container_is_restricted() -> None:
    spec = {"containers": [SIDECAR], "initContainers": [{"name": "fetch", "image": "fetch:1"}]}
    for name in ("agent", "proxy", "fetch"):
        assert container(name, spec)["securityContext"] == RESTRICTED


GIVEN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"readOnlyRootFilesystem": False}, {**RESTRICTED, "readOnlyRootFilesystem": False}),
    ({"runAsUser": 7}, {**RESTRICTED, "runAsUser": 7}),
    (
        {"capabilities": {"add": ["NET_BIND_SERVICE"]}},
        {**RESTRICTED, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}},
    ),
    (
        {"privileged": True},
        {"privileged": True, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
    ),
    (
        {"capabilities": {"drop": [], "add": ["SYS_ADMIN"]}},
        {"readOnlyRootFilesystem": True, "capabilities": {"drop": [], "add": ["SYS_ADMIN"]}},
    ),
]


@pytest.mark.parametrize(("given", "made"), GIVEN, ids=[str(g) for g, _ in GIVEN])
def test_what_is_given_wins_field_by_field(given: dict[str, Any], made: dict[str, Any]) -> None:
    spec = {"containers": [{**SIDECAR, "securityContext": given}]}
    assert container("proxy", spec)["securityContext"] == made
    assert container("agent", spec)["securityContext"] == RESTRICTED


def test_the_pods_own_restrictions_are_kept_field_by_field() -> None:
    made = pod({"securityContext": {"runAsNonRoot": False, "fsGroup": 7}})["securityContext"]
    assert made == {
        "runAsNonRoot": False,
        "fsGroup": 7,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_each_container_has_its_own_place_for_temporary_files() -> None:
    spec = {"containers": [SIDECAR], "initContainers": [{"name": "fetch", "image": "fetch:1"}]}
    mounts = {n: container(n, spec)["volumeMounts"] for n in ("agent", "proxy", "fetch")}
    assert mounts == {
        "agent": [{"name": "tmp", "mountPath": "/tmp"}, trust.MOUNT],
        "proxy": [{"name": "tmp-proxy", "mountPath": "/tmp"}],
        "fetch": [{"name": "tmp-fetch", "mountPath": "/tmp"}],
    }
    assert {v["name"] for v in pod(spec)["volumes"]} == {
        "tmp",
        "tmp-proxy",
        "tmp-fetch",
        trust.VOLUME["name"],
    }


def test_no_second_place_for_temporary_files() -> None:
    own = {"name": "agent", "volumeMounts": [{"name": "scratch", "mountPath": "/tmp/"}]}
    writable = {**SIDECAR, "securityContext": {"readOnlyRootFilesystem": False}}
    scratch = {"name": "scratch", "emptyDir": {"medium": "Memory"}}
    spec = {"containers": [own, writable], "volumes": [scratch]}
    assert container("agent", spec)["volumeMounts"] == [*own["volumeMounts"], trust.MOUNT]
    assert "volumeMounts" not in container("proxy", spec)
    assert pod(spec)["volumes"] == [scratch, trust.VOLUME]


def test_a_volume_named_tmp_replaces_ours() -> None:
    tmp = {"name": "tmp", "emptyDir": {"medium": "Memory"}}
    assert pod({"volumes": [tmp]})["volumes"] == [tmp, trust.VOLUME]


def test_volume_names_stay_within_kubernetes_limit() -> None:
    long = {"name": "p" * 63, "image": "proxy:1"}
    made = pod({"containers": [long]})
    assert max(len(volume["name"]) for volume in made["volumes"]) == 63


@pytest.mark.parametrize(
    ("spec", "short", "mounted"),
    [
        ({}, {}, False),
        ({"serviceAccountName": "a"}, {}, True),
        ({}, {"serviceAccountName": "a"}, True),
        ({"serviceAccountName": "a", "automountServiceAccountToken": False}, {}, False),
        ({"automountServiceAccountToken": True}, {}, True),
    ],
)
def test_the_service_accounts_token(
    spec: dict[str, Any], short: dict[str, Any], mounted: bool
) -> None:
    assert pod(spec, **short)["automountServiceAccountToken"] is mounted


def test_pull_secrets_add_up() -> None:
    made = pod({"imagePullSecrets": [{"name": "a"}]}, imagePullSecrets=[{"name": "b"}])
    assert made["imagePullSecrets"] == [{"name": "b"}, {"name": "a"}]


def test_the_operators_labels_stay_the_operators() -> None:
    """The API server refuses them; an operator that selects pods by them must not rely on that."""
    labels = {"team": "x", names.REVISION_LABEL: "another", names.MANAGED_BY_LABEL: "me"}
    made = rendered({"metadata": {"labels": labels}})["metadata"]["labels"]
    assert made["team"] == "x"
    assert made[names.MANAGED_BY_LABEL] == names.MANAGER
    assert made[names.REVISION_LABEL] != "another"


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        (None, "GOOGLE_API_KEY"),
        ("Gemini", "GOOGLE_API_KEY"),
        ("OpenAI", "OPENAI_API_KEY"),
        ("Anthropic", "ANTHROPIC_API_KEY"),
    ],
)
def test_the_provider_decides_where_the_key_comes(provider: str | None, variable: str) -> None:
    model = {"provider": provider, "apiKeySecret": {"name": "s", "key": "k"}}
    env = {e["name"]: e for e in container("agent", {}, model=model)["env"]}
    assert [name for name in env if name.endswith("_API_KEY")] == [variable]
    assert env.get("AGENT_MODEL_PROVIDER", {}).get("value") == provider

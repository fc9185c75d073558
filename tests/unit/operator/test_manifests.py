"""What a revision is made of."""

from dataclasses import replace
from typing import Any

from agent_operator.api import names
from agent_operator.reconcile import manifests
from tests.unit.operator.build import agent, wish

SERVICE = manifests.service(agent(), wish().name, 9080)


def container(**spec: Any) -> dict[str, Any]:
    made = manifests.replica_set(agent(**spec), wish(**spec))
    (only,) = made["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def pod(**spec: Any) -> dict[str, Any]:
    made = manifests.replica_set(agent(**spec), wish(**spec))["spec"]["template"]["spec"]
    assert isinstance(made, dict)
    return made


def test_pods_are_restricted() -> None:
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod()["automountServiceAccountToken"] is False
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_a_service_account_brings_its_token() -> None:
    assert pod(serviceAccountName="agents")["automountServiceAccountToken"] is True
    assert pod(serviceAccountName="agents")["serviceAccountName"] == "agents"


def test_the_agent_learns_who_it_is() -> None:
    env = {e["name"]: e.get("value") for e in container(port=9090)["env"]}
    assert env["AGENT_NAME"] == "claims"
    assert env["AGENT_NAMESPACE"] == "team"
    assert env["AGENT_REVISION"] == wish(port=9090).name
    assert env["PORT"] == "9090"


def test_the_agent_learns_where_the_ingress_is_unless_the_user_says_so() -> None:
    given = {"name": "RESTATE_INGRESS_URL", "value": "http://mine"}
    own = {"spec": {"containers": [{"name": "agent", "env": [given]}]}}
    for spec, expected in (
        ({}, "http://restate.test:8080"),
        ({"env": [given]}, "http://mine"),
        ({"template": own}, "http://mine"),
    ):
        wanted = replace(wish(**spec), ingress="http://restate.test:8080")
        made = manifests.replica_set(agent(**spec), wanted)
        (only,) = made["spec"]["template"]["spec"]["containers"]
        values = [e["value"] for e in only["env"] if e["name"] == "RESTATE_INGRESS_URL"]
        assert values == [expected]
    assert "RESTATE_INGRESS_URL" not in {e["name"] for e in container()["env"]}


def test_the_model_key_stays_a_reference() -> None:
    model = {"name": "gemini-2.5-flash", "apiKeySecret": {"name": "gemini", "key": "key"}}
    env = {e["name"]: e for e in container(model=model)["env"]}
    assert env["GOOGLE_API_KEY"] == {
        "name": "GOOGLE_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": "gemini", "key": "key"}},
    }
    assert env["AGENT_MODEL"]["value"] == "gemini-2.5-flash"


def test_what_the_user_gives_is_passed_on() -> None:
    given: dict[str, Any] = {
        "command": ["/agent"],
        "args": ["--x"],
        "imagePullPolicy": "Always",
        "resources": {"limits": {"memory": "1Gi", "cpu": 1}},
        "envFrom": [{"secretRef": {"name": "s"}}],
        "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}],
    }
    made = container(**given)
    for name in ("command", "args", "imagePullPolicy", "resources", "envFrom"):
        assert made[name] == given[name]
    assert made["env"][-1] == given["env"][0]
    assert pod(imagePullSecrets=[{"name": "r"}])["imagePullSecrets"] == [{"name": "r"}]


def test_the_garbage_collector_has_no_say() -> None:
    """An owner reference would let a foreground deletion take the pods of waiting turns away."""
    for made in (
        manifests.replica_set(agent(), wish()),
        manifests.service(agent(), wish().name, 9080),
    ):
        assert "ownerReferences" not in made["metadata"]
        assert made["metadata"]["labels"][names.MANAGED_BY_LABEL] == names.MANAGER
        assert made["metadata"]["labels"][names.AGENT_LABEL] == "claims"


def test_the_service_finds_this_revisions_pods_only() -> None:
    made, found = (
        manifests.replica_set(agent(), wish()),
        manifests.service(agent(), wish().name, 9080),
    )
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert found["spec"]["selector"].items() <= labels.items()
    assert found["spec"]["selector"] == {names.REVISION_LABEL: wish().name}
    assert made["spec"]["selector"]["matchLabels"] == found["spec"]["selector"]

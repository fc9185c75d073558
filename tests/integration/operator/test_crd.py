"""The CRD on the real API server: what can't work is refused, and the answer names the field."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from agent_operator.api import AgentDeployment
from agent_operator.reconcile import companions
from tests.support import kube

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def kubectl() -> Iterator[kube.Kubectl]:
    kube.crd()
    with kube.namespace("crd") as found:
        yield found


def agent(name: str = "claims", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "durableagents.dev/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": name},
        "spec": {"image": "claims:1", **spec},
    }


SECRET = {"secretKeyRef": {"name": "s", "key": "k"}}
KEY = {"apiKeySecret": {"name": "s", "key": "k"}}
TOKEN = {"name": "restate", "key": "token"}
HIDDEN = {"name": "x-key", "valueFrom": {"secretKeyRef": TOKEN}}
FAR = "https://restate.example:9070"
X_OPENAI = {"name": "OPENAI_API_KEY", "value": "x"}
CPU = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
USED = {"target": {"type": "Utilization", "averageUtilization": 70}}
IN_ALL = {"name": "cpu", "target": {"type": "Value", "value": "500m"}}
NO_VALUE = {"name": "cpu", "target": {"type": "AverageValue", "averageUtilization": 70}}


def gated(**gate: Any) -> dict[str, Any]:
    return {"rollout": {"gates": [{"name": "g", **gate}]}}


def scaled_by(**metric: Any) -> dict[str, Any]:
    return {"autoscaler": {"maxReplicas": 2, "metrics": [metric]}}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"rollout": {"strategy": "Sometimes"}}, "spec.rollout.strategy"),
    (gated(), "exactly one of smoke, evaluation, job"),
    (gated(smoke={}, job={}), "exactly one of smoke, evaluation, job"),
    (gated(smoke={}, name="Not A Name"), "gates[0].name"),
    (gated(smoke={}, timeoutSeconds=1), "timeoutSeconds"),
    (gated(smoke={"expect": {}}), "exactly one of json, pattern, cel"),
    (gated(smoke={"expect": {"pattern": "a", "json": {}}}), "exactly one of json, pattern, cel"),
    (gated(smoke={"expect": {"json": 3}}), "expect.json"),
    (gated(evaluation={"thresholds": {"m": 1}}), "exactly one of configMap, path"),
    (gated(evaluation={"path": "/s.json"}), "thresholds"),
    (gated(evaluation={"path": "/s.json", "thresholds": {}}), "thresholds"),
    (gated(job=[]), "gates[0].job"),
    ({"rollout": {"gates": [{"name": "a", "smoke": {}}] * 2}}, "Duplicate value"),
    ({"image": None}, "spec.image"),
    ({"image": ""}, "spec.image"),
    ({"image": "claims: 1"}, "spec.image"),
    ({"replicas": -1}, "spec.replicas"),
    ({"replicas": "two"}, "spec.replicas"),
    ({"port": 70000}, "spec.port"),
    ({"drain": {"delay": "soon"}}, "spec.drain.delay"),
    ({"drain": {"delay": "-5s"}}, "spec.drain.delay"),
    ({"drain": {"delay": 5}}, "spec.drain.delay"),
    ({"rollout": {"progressDeadlineSeconds": 0}}, "spec.rollout.progressDeadlineSeconds"),
    ({"restate": {"adminURL": "restate:9070"}}, "spec.restate.adminURL"),
    ({"restate": {"ingressURL": "restate:8080"}}, "spec.restate.ingressURL"),
    ({"restate": {"adminURL": "http://user:secret@restate:9070"}}, "spec.restate.adminURL"),
    ({"restate": {"adminURL": "http://10.0.0.300:9070"}}, "a port from 1 to 65535"),
    ({"restate": {"adminURL": "http://10.0.0.5:90700"}}, "spec.restate.adminURL"),
    ({"restate": {"ingressURL": "http://restate:0"}}, "spec.restate.ingressURL"),
    ({"restate": {"service": {"name": "restate:9070"}}}, "the Service's name alone"),
    ({"restate": {"service": {"name": "r", "namespace": "a.b"}}}, "spec.restate.service.namespace"),
    ({"restate": {"adminURL": FAR, "service": {"name": "restate"}}}, "not both"),
    ({"restate": {"tokenSecret": TOKEN}}, "credentials need the Restate"),
    ({"restate": {"service": {"name": "r"}, "caSecret": TOKEN}}, "are for TLS"),
    ({"restate": {"adminURL": "http://far.example", "caSecret": TOKEN}}, "are for TLS"),
    ({"restate": {"adminURL": "http://far.example", "tokenSecret": TOKEN}}, "in clear"),
    (
        {"restate": {"adminURL": "http://far.example", "headers": [HIDDEN]}},
        "in clear",
    ),
    ({"restate": {"service": {"name": "r", "scheme": "ftp"}}}, "spec.restate.service.scheme"),
    ({"restate": {"headers": [{"name": "X-A", "value": "b"}]}}, "spec.restate.headers[0].name"),
    ({"restate": {"headers": [{"name": "x", "value": "a\nb"}]}}, "spec.restate.headers[0].value"),
    ({"restate": {"headers": [{"name": "x"}]}}, "exactly one of value"),
    ({"restate": {"headers": [{"name": "host", "value": "a"}]}}, "Restate's own"),
    ({"restate": {"headers": [{"name": "x-restate-id", "value": "a"}]}}, "Restate's own"),
    ({"env": [{"name": "A=B", "value": "x"}]}, "spec.env[0].name"),
    ({"env": [{"name": "A", "value": "x"}, {"name": "A", "value": "y"}]}, "spec.env[1]"),
    ({"env": [{"name": "PORT", "value": "1"}]}, "set by the operator"),
    ({"env": [{"name": "A", "value": "x", "valueFrom": SECRET}]}, "not both"),
    ({"env": [{"name": "A", "valueFrom": {}}]}, "exactly one of"),
    ({"envFrom": [{"prefix": "P_"}]}, "exactly one of"),
    ({"model": KEY, "env": [{"name": "GOOGLE_API_KEY", "value": "x"}]}, "apiKeySecret"),
    ({"model": {**KEY, "provider": "OpenAI"}, "env": [X_OPENAI]}, "comes from spec.model.api"),
    ({"model": {"provider": "OpenAI"}, "env": [{"name": "AGENT_MODEL_PROVIDER"}]}, "comes from"),
    ({"model": {"provider": "Acme"}}, "spec.model.provider"),
    ({"scaling": {"autoscaler": {"minReplicas": 3, "maxReplicas": 2}}}, "no more than maxReplicas"),
    ({"scaling": {"autoscaler": {}}}, "spec.scaling.autoscaler.maxReplicas"),
    ({"scaling": scaled_by(type="Pods", resource=CPU)}, "need each other"),
    ({"scaling": scaled_by(type="Resource", resource=NO_VALUE)}, "as type says"),
    ({"scaling": scaled_by(type="Resource", resource=IN_ALL)}, "Utilization or AverageValue"),
    (
        {"scaling": scaled_by(type="Pods", pods={"metric": {"name": "m"}, **USED})},
        "pods.target must be AverageValue",
    ),
    ({"scaling": {"idle": {"after": "never"}}}, "spec.scaling.idle.after"),
    ({"scaling": {"idle": {}}}, "spec.scaling.idle.after"),
    ({"imagePullPolicy": "Sometimes"}, "spec.imagePullPolicy"),
    ({"resources": {"limits": {"memory": {"a": "b"}}}}, "spec.resources.limits"),
]


@pytest.mark.parametrize(("spec", "words"), REFUSED, ids=[f"{s}" for s, _ in REFUSED])
def test_refused(kubectl: kube.Kubectl, spec: dict[str, Any], words: str) -> None:
    wish = agent(**spec)
    wish["spec"] = {key: value for key, value in wish["spec"].items() if value is not None}
    assert words in kubectl.refused(wish)


@pytest.mark.parametrize("name", ["a" * 53, "9lives", "a.b"])
def test_a_name_that_no_service_can_have_is_refused(kubectl: kube.Kubectl, name: str) -> None:
    assert "metadata.name" in kubectl.refused(agent(name))


TAKEN: list[dict[str, Any]] = [
    {"adminURL": FAR, "tokenSecret": TOKEN, "caSecret": TOKEN, "headers": [HIDDEN]},
    {"adminURL": FAR, "clientCertificateSecret": {"name": "client"}, "http11": True},
    {"ingressURL": "https://restate.example:8080"},
    {"adminURL": "http://10.0.0.5:65535/proxy", "ingressURL": "http://[fd00::1]:8080"},
    {"adminURL": "http://restate.tools.svc:9070", "tokenSecret": TOKEN},
    {"adminURL": "http://restate.tools.svc.cluster.local:9070", "tokenSecret": TOKEN},
    {"service": {"name": "restate"}, "tokenSecret": TOKEN, "headers": [HIDDEN]},
    {"service": {"name": "restate", "namespace": "tools", "scheme": "https"}, "caSecret": TOKEN},
    {"headers": [HIDDEN, {"name": "x-tenant", "value": "shop"}]},
]


@pytest.mark.parametrize("ref", TAKEN, ids=str)
def test_restate_references_that_are_taken(kubectl: kube.Kubectl, ref: dict[str, Any]) -> None:
    kubectl.apply(agent("referring", restate=ref))


def test_no_spec_is_refused(kubectl: kube.Kubectl) -> None:
    wish = agent()
    del wish["spec"]
    assert "spec: Required value" in kubectl.refused(wish)


def test_a_misspelt_field_is_told(kubectl: kube.Kubectl) -> None:
    """Strict validation is kubectl's default: a typo never passes in silence."""
    assert 'unknown field "spec.replica"' in kubectl.refused(agent(replica=2))


def test_a_full_spec_is_taken_with_its_defaults(kubectl: kube.Kubectl) -> None:
    kubectl.apply(
        agent(
            "a" * 52,
            command=["python"],
            args=["-m", "agent"],
            env=[{"name": "A", "value": "x"}, {"name": "B", "valueFrom": SECRET}],
            envFrom=[{"configMapRef": {"name": "c"}}],
            resources={"limits": {"memory": "1Gi", "cpu": 1}},
            model={"name": "gemini-2.5-flash", **KEY},
            restate={"adminURL": "http://restate.tools:9070"},
            imagePullSecrets=[{"name": "r"}],
        )
    )
    taken = kubectl.get("agd", "a" * 52)
    assert taken is not None
    assert taken["spec"]["replicas"] == 1
    assert taken["spec"]["deletionPolicy"] == "Drain"
    assert taken["spec"]["drain"] == {
        "delay": "10s",
        "idle": "ScaleToZero",
        "quiet": "30s",
        "onDeadline": "Keep",
    }
    assert taken["spec"]["rollout"] == {
        "progressDeadlineSeconds": 600,
        "breakingChanges": "Refuse",
        "strategy": "Automatic",
        "onConfigChange": "Ignore",
    }


def test_every_kind_of_metric_is_taken_and_an_autoscaler_takes_it(kubectl: kube.Kubectl) -> None:
    amount = {"type": "AverageValue", "averageValue": "500m"}
    metric = {"name": "turns", "selector": {"matchLabels": {"queue": "claims"}}}
    described = {"apiVersion": "v1", "kind": "Service", "name": "front"}
    value = {"type": "Value", "value": 20}
    metrics = [
        {"type": "Resource", "resource": CPU},
        {"type": "ContainerResource", "containerResource": {**CPU, "container": "agent"}},
        {"type": "Pods", "pods": {"metric": metric, "target": amount}},
        {
            "type": "Object",
            "object": {"metric": metric, "target": value, "describedObject": described},
        },
        {"type": "External", "external": {"metric": metric, "target": value}},
    ]
    policy = {"type": "Percent", "value": 50, "periodSeconds": 60}
    behavior = {
        "scaleUp": {"selectPolicy": "Max", "policies": [policy]},
        "scaleDown": {"stabilizationWindowSeconds": 600},
    }
    wish = {"maxReplicas": 5, "metrics": metrics, "behavior": behavior}
    kubectl.apply(agent("autoscaled", scaling={"autoscaler": wish, "idle": {"after": "1h30m"}}))
    taken = kubectl.get("agd", "autoscaled")
    assert taken is not None
    found = AgentDeployment.model_validate(taken)
    assert found.spec.scaling is not None
    assert found.spec.scaling.autoscaler is not None
    made = {"metadata": {"name": "autoscaled-1", "namespace": kubectl.namespace, "uid": "u"}}
    # Only tried: the garbage collector would take away what belongs to no ReplicaSet.
    trial = yaml.safe_dump(companions.autoscaler(found, made, found.spec.scaling.autoscaler))
    options = ("--dry-run=server", "-o", "json", "-f", "-")
    scaler = json.loads(kubectl("create", *options, stdin=trial))
    assert [one["type"] for one in scaler["spec"]["metrics"]] == [one["type"] for one in metrics]
    assert scaler["spec"]["minReplicas"] == 1
    for manifest in (
        companions.budget(found, made),
        companions.front(found, "autoscaled-1", 9080),
    ):
        kubectl("create", *options, stdin=yaml.safe_dump(manifest))


def test_scale_and_short_name(kubectl: kube.Kubectl) -> None:
    kubectl.apply(agent("scaled"))
    kubectl("scale", "agd/scaled", "--replicas=3")
    taken = kubectl.get("agd", "scaled")
    assert taken is not None
    assert taken["spec"]["replicas"] == 3
    assert "scaled" in kubectl("get", "agents")


def test_the_spec_explains_itself(kubectl: kube.Kubectl) -> None:
    text = kubectl("explain", "agd.spec.drain.delay")
    assert "How long a revision is kept" in text

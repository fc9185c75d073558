"""The CRD on the real API server: what can't work is refused, and the answer names the field."""

from collections.abc import Iterator
from typing import Any

import pytest

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
X_OPENAI = {"name": "OPENAI_API_KEY", "value": "x"}
REFUSED: list[tuple[dict[str, Any], str]] = [
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
    ({"restate": {"adminURL": "http://user:secret@restate:9070"}}, "spec.restate.adminURL"),
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
        "onConfigChange": "Ignore",
    }


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

"""The CRD's rules in CEL, told apart from the rest of the schema: what they let through.

The API server has its say in tests/integration/operator/test_crd.py.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from cel_expr_python import cel

from agent_operator.api import AgentDeploymentSpec
from agent_operator.api.crd import structural

SPEC = structural(AgentDeploymentSpec)


@cache
def compiled(rule: str) -> cel.Expression:
    return cel.NewEnv(variables={"self": cel.Type.DYN}).compile(rule)


def broken(schema: dict[str, Any], value: Any) -> Iterator[str]:
    """The messages of the rules that a value breaks."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if compiled(rule["rule"]).eval(data={"self": value}).value() is not True:
            yield rule["message"]
    if isinstance(value, dict):
        for name, part in value.items():
            yield from broken(schema.get("properties", {}).get(name, {}), part)
    elif isinstance(value, list):
        for part in value:
            yield from broken(schema.get("items", {}), part)


def restate(**fields: Any) -> dict[str, Any]:
    return {"restate": fields}


def scaled_by(kind: str, **target: Any) -> dict[str, Any]:
    """By one metric of a kind, kept at a target."""
    field = f"{kind[0].lower()}{kind[1:]}"
    return {
        "scaling": {
            "autoscaler": {
                "minReplicas": 1,
                "maxReplicas": 2,
                "metrics": [{"type": kind, field: {"target": target}}],
            }
        }
    }


UTILIZATION = {"type": "Utilization", "averageUtilization": 70}
AVERAGE = {"type": "AverageValue", "averageValue": "500m"}
VALUE = {"type": "Value", "value": 20}

ADDRESS = "a port from 1 to 65535"
NAME = "the Service's name alone"
REFUSED: list[tuple[dict[str, Any], str]] = [
    *(
        (restate(adminURL=url), ADDRESS)
        for url in (
            "restate:9070",
            "ftp://restate:9070",
            "http://user:secret@restate:9070",
            "http://10.0.0.300:9070",
            "http://10.0.0.5:90700",
            "http://10.0.0.5:65536",
            "http://10.0.0.5:0",
            "http://restate.12:9070",
            "http://restate:9070:9070",
            "http://a..b",
            "http://a-.b",
            f"http://{'a' * 64}.example",
            "http://restate?x=y",
        )
    ),
    (restate(ingressURL="http://restate:80800"), ADDRESS),
    (restate(service={"name": "restate:9070", "scheme": "http"}), NAME),
    (restate(service={"name": "restate.tools", "scheme": "http"}), NAME),
    (restate(service={"name": "r" * 64, "scheme": "http"}), NAME),
    (scaled_by("Resource", **VALUE), "resource.target must be Utilization or AverageValue"),
    (scaled_by("ContainerResource", **VALUE), "containerResource.target must be Utilization or"),
    (scaled_by("Pods", **UTILIZATION), "pods.target must be AverageValue"),
    (scaled_by("Pods", **VALUE), "pods.target must be AverageValue"),
    (scaled_by("Object", **UTILIZATION), "object.target must be AverageValue or Value"),
    (scaled_by("External", **UTILIZATION), "external.target must be AverageValue or Value"),
    (restate(service={"name": "r", "namespace": "Tools", "scheme": "http"}), "a namespace's name"),
]
TAKEN: list[dict[str, Any]] = [
    *(
        restate(adminURL=url, ingressURL=url)
        for url in (
            "http://restate:9070",
            "https://restate.example:65535/behind/a/proxy",
            "http://10.0.0.255:1",
            "http://[fd00::1]:9070",
            "http://1a.2b:9070",
            "http://restate.tools.svc.cluster.local",
        )
    ),
    scaled_by("Resource", **UTILIZATION),
    scaled_by("ContainerResource", **AVERAGE),
    scaled_by("Pods", **AVERAGE),
    scaled_by("Object", **VALUE),
    scaled_by("External", **AVERAGE),
    restate(service={"name": "restate-1", "namespace": "9-tools", "scheme": "http"}),
]


@pytest.mark.parametrize(("spec", "words"), REFUSED, ids=str)
def test_refused(spec: dict[str, Any], words: str) -> None:
    (message,) = broken(SPEC, spec)
    assert words in message


@pytest.mark.parametrize("spec", TAKEN, ids=str)
def test_taken(spec: dict[str, Any]) -> None:
    assert list(broken(SPEC, spec)) == []


def test_what_was_stored_before_there_was_a_rule_can_still_be_read() -> None:
    for spec in (spec for spec, _ in REFUSED if "restate" in spec):
        AgentDeploymentSpec.model_validate({"image": "claims:1", **spec})

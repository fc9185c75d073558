"""``spec.template``: Kubernetes' own pod template, and what of it is not for users to set.

The schema of a pod's spec is a file made by ``python -m hack.pod_template`` from an API server, so
that a mistake is refused when the agent is applied, and not when its pods are made.
"""

import json
from importlib import resources
from typing import Annotated, Any, Final, NamedTuple

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

from agent_operator.api.names import (
    AGENT_LABEL,
    GROUP,
    IMAGE_CONTAINER,
    MANAGED_BY_LABEL,
    RESERVED_ENV,
    RESTATE_PORT,
)

SCHEMA_FILE: Final = "pod_spec.json"
DOCUMENTATION: Final = (
    "https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#PodSpec"
)
GREATEST_LABELS: Final = 64


class Rule(NamedTuple):
    """A CEL rule, and what the API server answers where it does not hold."""

    rule: str
    message: str


# Given once: in the spec's short form, or in the agent's container.
_SHORT_FORMS: Final = ("imagePullPolicy", "command", "args", "envFrom", "resources")
_OUR_LABELS: Final = ("app.kubernetes.io/name", MANAGED_BY_LABEL)


def in_agent_container(condition: str) -> str:
    """CEL of the spec: the template's agent container ``c`` exists, and the condition holds."""
    return (
        "has(self.template) && has(self.template.spec) && has(self.template.spec.containers)"
        f" && self.template.spec.containers.exists(c, c.name == '{IMAGE_CONTAINER}'"
        f" && {condition})"
    )


def _short_form(field: str) -> Rule:
    return Rule(
        f"!(has(self.{field}) && {in_agent_container(f'has(c.{field})')})",
        f"{field} is given twice: in spec.{field} and in the template's container"
        f" {IMAGE_CONTAINER}; give one",
    )


_AGENT_ENV: Final = f"self.template.spec.containers.filter(c, c.name == '{IMAGE_CONTAINER}')[0].env"

SPEC_RULES: Final[tuple[Rule, ...]] = (
    *(_short_form(field) for field in _SHORT_FORMS),
    Rule(
        f"!(has(self.env) && {in_agent_container('has(c.env)')})"
        f" || self.env.all(e, !{_AGENT_ENV}.exists(t, t.name == e.name))",
        "a variable is given twice: in spec.env and in the template's container"
        f" {IMAGE_CONTAINER}; give it once",
    ),
    Rule(
        "!(has(self.serviceAccountName) && has(self.template) && has(self.template.spec)"
        " && has(self.template.spec.serviceAccountName))",
        "serviceAccountName is given twice: in spec.serviceAccountName and in the template;"
        " give one",
    ),
    Rule(
        "!("
        + in_agent_container("has(c.ports) && c.ports.exists(p, p.containerPort == self.port)")
        + ")",
        "spec.port is a port of the container already; remove it from the template",
    ),
)
"""What template and short forms may not say both: rules of ``spec``."""


def _containers(condition: str) -> str:
    """CEL of the template: it holds of each of its containers ``c``."""
    return (
        f"!has(self.spec) || !has(self.spec.containers) || self.spec.containers.all(c, {condition})"
    )


_TEMPLATE_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        _containers(f"c.name != '{IMAGE_CONTAINER}' || !has(c.image)"),
        f"the image of container {IMAGE_CONTAINER} is given in spec.image",
    ),
    Rule(
        _containers(
            f"c.name != '{IMAGE_CONTAINER}' || !has(c.env)"
            f" || c.env.all(e, !(e.name in {list(RESERVED_ENV)!r}))"
        ),
        f"{', '.join(RESERVED_ENV)} are set by the operator; choose another name",
    ),
    Rule(
        _containers(f"!has(c.ports) || c.ports.all(p, !has(p.name) || p.name != '{RESTATE_PORT}')"),
        f"the port name {RESTATE_PORT} is the operator's (see spec.port); choose another name",
    ),
    Rule(
        "!has(self.metadata) || !has(self.metadata.labels)"
        f" || self.metadata.labels.all(k, !k.startsWith('{GROUP}/')"
        f" && !(k in {list(_OUR_LABELS)!r}))",
        f"labels {GROUP}/*, {' and '.join(_OUR_LABELS)} are the operator's; choose other names",
    ),
)


def schema() -> dict[str, Any]:
    """The structural schema of ``spec.template``."""
    file = resources.files(__package__).joinpath(SCHEMA_FILE)
    pod_spec: dict[str, Any] = json.loads(file.read_text())
    return {
        "type": "object",
        "properties": {
            "metadata": _METADATA,
            "spec": {
                **pod_spec,
                "description": "The pods' spec, as in a Deployment: `kubectl explain pod.spec`"
                f" says more. Its container named {IMAGE_CONTAINER} is the one that the short"
                " forms (spec.image, spec.env, ...) are about, and need not be given.",
            },
        },
        "externalDocs": {"url": DOCUMENTATION},
        "x-kubernetes-validations": [rule._asdict() for rule in _TEMPLATE_RULES],
    }


_STRINGS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA: Final = {
    "type": "object",
    "description": "Labels and annotations of the pods.",
    "properties": {
        "labels": {
            **_STRINGS,
            "description": f"Labels; those of the operator ({AGENT_LABEL} and others) come along.",
            "maxProperties": GREATEST_LABELS,
        },
        "annotations": {**_STRINGS, "description": "Annotations."},
    },
}


class _Schema:
    """Read from its file only where a schema is made: the running operator needs none."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return schema()


PodTemplate = Annotated[dict[str, Any], _Schema()]

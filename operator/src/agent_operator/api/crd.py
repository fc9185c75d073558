"""The CustomResourceDefinition, made from the types of this package."""

from typing import Any, Final

from pydantic import BaseModel

from agent_operator.api import names
from agent_operator.api.spec import NAME_RULES, AgentDeploymentSpec
from agent_operator.api.status import AgentDeploymentStatus

_DROPPED: Final = frozenset({"title", "$defs", "additionalProperties", "const"})
# For docs/reference.md; a CRD's schema has no place for several.
_EXAMPLES: Final = frozenset({"examples"})
_COLUMNS: Final = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0),
    ("Active", "string", ".status.activeRevision", 0),
    ("Pods", "integer", ".status.readyReplicas", 0),
    ("Draining", "integer", ".status.drainingRevisions", 0),
    ("Old Turns", "integer", ".status.drainingInvocations", 0),
    ("Status", "string", '.status.conditions[?(@.type=="Progressing")].reason', 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Image", "string", ".spec.image", 1),
    ("Message", "string", '.status.conditions[?(@.type=="Progressing")].message', 1),
)


def crd() -> dict[str, Any]:
    """The AgentDeployment's CustomResourceDefinition, as ``kubectl apply`` takes it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": [names.CATEGORY],
            },
            "versions": [_version()],
        },
    }


def _version() -> dict[str, Any]:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, "priority": priority}
            for name, kind, path, priority in _COLUMNS
        ],
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "description": "An agent image, run as durable, immutable revisions on Restate.",
                "required": ["spec"],
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "metadata": {"type": "object"},
                    "spec": structural(AgentDeploymentSpec),
                    "status": structural(AgentDeploymentStatus),
                },
                **NAME_RULES,
            }
        },
    }


def structural(model: type[BaseModel]) -> dict[str, Any]:
    """A pydantic model's schema in the form that a CRD demands: no references, no unions."""
    return _schema(model, _DROPPED | _EXAMPLES)


def documented(model: type[BaseModel]) -> dict[str, Any]:
    """The same, with ``examples`` where the types have some."""
    return _schema(model, _DROPPED)


def _schema(model: type[BaseModel], dropped: frozenset[str]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    return _inline(schema, schema.get("$defs", {}), dropped)


def _inline(node: dict[str, Any], defs: dict[str, Any], dropped: frozenset[str]) -> dict[str, Any]:
    node = _resolve(node, defs)
    if node.get("x-kubernetes-int-or-string"):
        keep = {"x-kubernetes-int-or-string", "description", "examples"} - dropped
        return {key: value for key, value in node.items() if key in keep}
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            out[key] = {name: _inline(child, defs, dropped) for name, child in value.items()}
        elif key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
            out[key] = _inline(value, defs, dropped)
        elif key == "default" and value is None:
            continue
        elif key not in dropped:
            out[key] = value
    return out


def _resolve(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Follow references, and drop the null of an optional field: absent says the same."""
    node = dict(node)
    while True:
        if "$ref" in node:
            target = defs[node.pop("$ref").removeprefix("#/$defs/")]
            node = {**target, **node}
        elif "anyOf" in node and "x-kubernetes-int-or-string" not in node:
            (only,) = [choice for choice in node.pop("anyOf") if choice.get("type") != "null"]
            node = {**only, **node}
        else:
            return node

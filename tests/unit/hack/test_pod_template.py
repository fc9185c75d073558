"""The schema of pods, as made of an API server's, and the one that is checked in."""

from collections.abc import Iterator
from typing import Any

from agent_operator.api import template
from hack import pod_template

REF = "#/components/schemas/"
SCHEMAS: dict[str, dict[str, Any]] = {
    pod_template.ROOT_TYPE: {
        "description": "The pod. More.",
        "type": "object",
        "required": ["containers"],
        "properties": {
            "containers": {
                "type": "array",
                "description": "List of containers.\nMore.",
                "items": {"default": {}, "allOf": [{"$ref": REF + "Container"}]},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "x-kubernetes-patch-strategy": "merge",
            },
            "restartPolicy": {"type": "string", "enum": ["Always", "Never"]},
            **{name: {"type": "string"} for name in pod_template.LEFT_OUT},
        },
    },
    "Container": {
        "type": "object",
        "description": "A container.",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "default": ""},
            "ports": {
                "type": "array",
                "items": {"allOf": [{"$ref": REF + "Port"}]},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["number", "protocol"],
            },
            "limits": {"type": "object", "additionalProperties": {"$ref": REF + "Quantity"}},
        },
    },
    "Port": {
        "type": "object",
        "required": ["number"],
        "properties": {
            "number": {"type": "integer", "format": "int32", "default": 0},
            "protocol": {"type": "string", "default": "TCP"},
        },
    },
    "Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
}


def test_the_schema_is_structural() -> None:
    made = pod_template.pod_spec(SCHEMAS)
    assert made == {
        "type": "object",
        "description": "The pod.",
        "properties": {
            "containers": {
                "type": "array",
                "description": "List of containers.",
                "maxItems": 16,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "limits": {
                            "type": "object",
                            "additionalProperties": {"x-kubernetes-int-or-string": True},
                        },
                        "ports": {
                            "type": "array",
                            "maxItems": 64,
                            "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["number", "protocol"],
                            "items": {
                                "type": "object",
                                "required": ["number"],
                                "properties": {
                                    "number": {"type": "integer", "format": "int32"},
                                    "protocol": {"type": "string", "default": "TCP"},
                                },
                            },
                        },
                    },
                },
            },
            "restartPolicy": {"type": "string", "enum": ["Always"]},
        },
    }


def nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for child in schema.get("properties", {}).values():
        yield from nodes(child)
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key])


def test_the_file_is_whole() -> None:
    pod = template.schema()["properties"]["spec"]
    known = {"properties", "items", "additionalProperties", "description", "maxItems", "default"}
    for node in nodes(pod):
        assert set(node) <= pod_template.KEPT | known | {"x-kubernetes-int-or-string"}
        assert "type" in node or node.get("x-kubernetes-int-or-string")
    assert len(list(nodes(pod))) > 500
    assert "required" not in pod
    assert pod_template.FILE.read_text().count("\n") == 1

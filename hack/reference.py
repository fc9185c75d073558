"""Writes docs/reference.md from the AgentDeployment's types; ``python -m hack.manifests`` calls it.

A field of the spec without an example is an error: give its ``Field`` an ``examples=[...]``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent_operator.api import AgentDeploymentSpec, AgentDeploymentStatus, names
from agent_operator.api.crd import crd, documented

Schema = dict[str, Any]

_HEAD = """\
<!-- Made by `python -m hack.manifests` from agent_operator.api: change it there. -->
# AgentDeployment

`{api_version}`, kind `{kind}`, namespaced; `kubectl get {plural}`, or `{short}` for short.
`kubectl scale` and a HorizontalPodAutoscaler set `spec.replicas`; `kubectl explain {short}.spec`
says the same as this page. Fields in bold must be given; `[]` stands for each element of a list.

"""
_LIMITS = (
    ("maxLength", "at most {} characters"),
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("minItems", "at least {} elements"),
    ("maxItems", "at most {} elements"),
)


class NoExampleError(ValueError):
    """Fields of the spec lack an example; the message names them."""


@dataclass(frozen=True)
class Block:
    """An object of the API: its path (such as ``spec.env[]``), its schema, an example of it."""

    path: str
    schema: Schema
    example: Any


def reference() -> str:
    """The page.

    Raises:
        NoExampleError: fields of the spec have none.
    """
    spec, status = documented(AgentDeploymentSpec), documented(AgentDeploymentStatus)
    if missing := without_example(spec):
        raise NoExampleError(
            f"no example for {', '.join(missing)}; add examples=[...] to each in"
            " operator/src/agent_operator/api/spec.py"
        )
    head = _HEAD.format(
        api_version=names.API_VERSION, kind=names.KIND, plural=names.PLURAL, short=names.SHORT_NAME
    )
    whole = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    metadata = "\n".join(["## metadata", "", *_rules(whole)])
    sections = [_section(block, examples=True) for block in blocks("spec", spec)]
    sections += [_section(block, examples=False) for block in blocks("status", status)]
    return head + "\n\n".join([metadata, *sections]) + "\n"


def without_example(spec: Schema) -> list[str]:
    """Paths of the spec's fields for which there is no example, not even of what is in them."""
    return [
        f"{block.path}.{name}"
        for block in blocks("spec", spec)
        for name, field in block.schema["properties"].items()
        if _example(field, name, block.example) is None
    ]


def example_of(schema: Schema) -> Any:
    """An example: the schema's own, or one made of what is in it; ``None`` where there is none."""
    if "examples" in schema:
        return schema["examples"][0]
    if "properties" in schema:
        inner = {name: example_of(field) for name, field in schema["properties"].items()}
        return {name: value for name, value in inner.items() if value is not None} or None
    if "items" in schema:
        element = example_of(schema["items"])
        return None if element is None else [element]
    return None


def blocks(path: str, schema: Schema, example: Any = None) -> Iterator[Block]:
    """An object and all objects in it, outermost first."""
    example = example_of(schema) if example is None else example
    yield Block(path, schema, example)
    for name, field in schema["properties"].items():
        inner, value, suffix = field, _example(field, name, example), ""
        if "items" in field:
            inner, suffix = field["items"], "[]"
            value = value[0] if value else None
        if "properties" in inner and "externalDocs" not in inner:
            yield from blocks(f"{path}.{name}{suffix}", inner, value)


def _example(field: Schema, name: str, around: Any) -> Any:
    """Of a field: what the object around it shows, so that a page's examples fit together."""
    inside = around.get(name) if isinstance(around, dict) else None
    return example_of(field) if inside is None else inside


def _section(block: Block, *, examples: bool) -> str:
    columns = ["Field", "Type", "Default", *(["Example"] if examples else []), "Meaning"]
    lines = [f"## {block.path}", ""]
    if description := block.schema.get("description"):
        lines += [description, ""]
    lines += [_row(columns), _row(["---"] * len(columns))]
    required = block.schema.get("required", ())
    for name, field in block.schema["properties"].items():
        default = field.get("default")
        shown = f"`{name}`"
        cells = [
            f"**{shown}**" if examples and name in required else shown,
            "<br>".join([_type(field), *_limits(field)]),
            "" if default in (None, {}, []) else _code(default),
        ]
        if examples:
            cells.append(_code(_example(field, name, block.example)))
        lines.append(_row([*cells, field.get("description", "")]))
    if rules := _rules(block.schema):
        lines += ["", *rules]
    for name, field in block.schema["properties"].items():
        if elsewhere := field.get("externalDocs"):
            lines += ["", *_described_elsewhere(name, field, elsewhere["url"])]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    escaped = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _code(value: Any) -> str:
    """As one writes it in YAML, in one line; JSON is YAML."""
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return f"`{text}`"


def _type(field: Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    kind = str(field.get("type", "any JSON"))
    if kind == "array":
        return f"list of {_type(field['items'])}s"
    inner = field.get("additionalProperties")
    if isinstance(inner, dict):
        return f"map of string to {_type(inner)}"
    return kind


def _limits(field: Schema) -> list[str]:
    said = []
    if "enum" in field:
        said.append("one of " + ", ".join(f"`{value}`" for value in field["enum"]))
    if "minLength" in field:
        said.append(
            "not empty" if field["minLength"] == 1 else f"from {field['minLength']} characters"
        )
    said += [text.format(f"{field[key]:,}") for key, text in _LIMITS if key in field]
    if "pattern" in field:
        said.append(f"matches `{field['pattern']}`")
    if "properties" not in field:  # those of an object are below its own table
        said += [f"*{rule['message']}*" for rule in field.get("x-kubernetes-validations", ())]
    if keys := field.get("x-kubernetes-list-map-keys"):
        said.append(f"one for each `{'`, `'.join(keys)}`")
    return said


def _described_elsewhere(name: str, field: Schema, url: str) -> list[str]:
    """Of a type of Kubernetes' own: where its fields are described, and our rules for it."""
    return [f"The fields in `{name}` are [Kubernetes' own]({url}).", "", *_rules(field)]


def _rules(schema: Schema) -> list[str]:
    """The CEL rules, which the API server checks."""
    return [
        f"- Refused otherwise: *{rule['message']}*<br>`{rule['rule']}`"
        for rule in schema.get("x-kubernetes-validations", ())
    ]

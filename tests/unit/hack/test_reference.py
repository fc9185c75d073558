"""docs/reference.md says of every field what the API server and the operator make of it."""

import json
import re

import jsonschema
import pytest
from pydantic import BaseModel, Field

from agent_operator.api import AgentDeploymentSpec, AgentDeploymentStatus
from agent_operator.api.crd import crd, documented
from hack import reference
from hack.cluster.paths import this_clone

SPEC = documented(AgentDeploymentSpec)
PAGE = this_clone().root / "docs" / "reference.md"


class Inner(BaseModel):
    shown: int = Field(1, examples=[2])
    bare: int = 1


class Outer(BaseModel):
    inner: Inner = Field(default_factory=Inner)
    some: list[Inner] = Field(default_factory=list)


def test_every_field_of_the_spec_has_an_example() -> None:
    assert reference.without_example(SPEC) == [], "add examples=[...] to these in api/spec.py"


def test_a_field_without_an_example_is_noticed() -> None:
    found = reference.without_example(documented(Outer))
    assert found == ["spec.inner.bare", "spec.some[].bare"]


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == reference.reference(), "run `make manifests`"


def test_examples_are_valid() -> None:
    AgentDeploymentSpec.model_validate(reference.example_of(SPEC))
    for block in reference.blocks("spec", SPEC):
        jsonschema.validate(block.example, block.schema)
        for field in block.schema["properties"].values():
            for example in field.get("examples", ()):
                jsonschema.validate(example, field)


@pytest.mark.parametrize("model", [AgentDeploymentSpec, AgentDeploymentStatus])
def test_every_field_is_on_the_page(model: type[BaseModel]) -> None:
    root = "spec" if model is AgentDeploymentSpec else "status"
    text = PAGE.read_text()
    for block in reference.blocks(root, documented(model)):
        section = text.split(f"\n## {block.path}\n", 1)[1].split("\n## ", 1)[0]
        for name, field in block.schema["properties"].items():
            (row,) = re.findall(rf"^\| \*{{0,2}}`{name}`\*{{0,2}} \|.*$", section, re.MULTILINE)
            assert field["description"] in row
        for rule in block.schema.get("x-kubernetes-validations", ()):
            assert rule["rule"] in section
            assert rule["message"] in section


def test_tables_are_whole() -> None:
    """A bar in a pattern would begin a new cell."""
    for section in PAGE.read_text().split("\n## ")[1:]:
        rows = [line for line in section.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) <= 1, section


def test_the_crd_has_no_examples() -> None:
    assert '"examples"' not in json.dumps(crd())

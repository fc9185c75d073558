"""What the API's types are made with."""

from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agent_operator.api import durations


class Rule(NamedTuple):
    """A CEL rule, and what the API server answers where it does not hold."""

    rule: str
    message: str


def rules(*found: Rule) -> dict[str, Any]:
    """CEL rules as a part of a schema."""
    return {"x-kubernetes-validations": [rule._asdict() for rule in found]}


def list_by(*keys: str) -> dict[str, Any]:
    """A list whose elements are known by some of their fields."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


class ApiModel(BaseModel):
    """A type of the API: camelCase outside, snake_case inside, immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore"
    )


ObjectName = Annotated[str, Field(min_length=1, max_length=253)]
Duration = Annotated[str, Field(pattern=durations.PATTERN, max_length=32)]
Quantity = Annotated[int | str, Field(json_schema_extra={"x-kubernetes-int-or-string": True})]

"""What the types of the API are made of."""

from typing import Annotated, Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agent_operator.api import durations

ADDRESS_PATTERN: Final = (
    r"^https?://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
    r"(/[A-Za-z0-9._~/-]*)?$"
)
"""Address of a server: no user, password, query or fragment, since it is shown to people."""


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


class LocalObjectReference(ApiModel):
    """An object of the same namespace, by name."""

    name: ObjectName = Field(description="Name of the object.", examples=["registry-login"])


class SecretKey(ApiModel):
    """One key of an object in the same namespace."""

    name: ObjectName = Field(description="Name of the object.", examples=["gemini"])
    key: ObjectName = Field(description="Key in the object.", examples=["api-key"])

"""What the types of the API are made of."""

from typing import Annotated, Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agent_operator.api import durations

_PORT: Final = (
    "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
)
_NUMBER: Final = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_LABEL: Final = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# What ends in a number is an IPv4 address, or nothing at all.
_HOST: Final = (
    rf"(({_LABEL}[.])*([0-9][0-9-]*)?[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?"
    rf"|({_NUMBER}[.]){{3}}{_NUMBER}|\[[0-9A-Fa-f:.]+\])"
)
ADDRESS_PATTERN: Final = rf"^https?://{_HOST}(:{_PORT})?(/[A-Za-z0-9._~/-]*)?$"
"""Address of a server: no user, password, query or fragment, since it is shown to people."""

LABEL_PATTERN: Final = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
"""Name of a Service or a namespace, which is a part of an address."""


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


# By rule and not by pattern: the answer to a wrong one says what is right, and an object that was
# stored before there was a rule can still be read.
Address = Annotated[
    str,
    Field(
        max_length=512,
        json_schema_extra=rules(
            Rule(
                f"self.matches(r'{ADDRESS_PATTERN}')",
                "give a plain http or https address such as https://restate.example:9070: a name or"
                " IP address, a port from 1 to 65535, and no user, query or fragment",
            )
        ),
    ),
]
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

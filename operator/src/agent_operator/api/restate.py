"""``spec.restate``: which Restate an agent registers with, and how that one calls it."""

from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

from agent_operator.api.base import (
    LABEL_PATTERN,
    Address,
    ApiModel,
    LocalObjectReference,
    ObjectName,
    Rule,
    SecretKey,
    list_by,
    rules,
)

# Of the connection itself, or set by Restate with each request.
_NO_HEADERS: Final = (
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
)
INGRESS_PORT: Final = 8080
"""The usual port of Restate's ingress."""

_NAMED: Final = "(has(self.adminURL) || has(self.service))"
_HTTPS: Final = (
    "((has(self.adminURL) && self.adminURL.startsWith('https://'))"
    " || (has(self.service) && self.service.scheme == 'https'))"
)
INSIDE_PATTERN: Final = r"^http://[a-z0-9.-]+[.]svc([.][a-z0-9.-]+)?(:[0-9]+)?(/.*)?$"
"""A Service by its whole name: what is sent there in clear stays in the cluster."""

_INSIDE: Final = (
    f"(has(self.service) || (has(self.adminURL) && self.adminURL.matches('{INSIDE_PATTERN}')))"
)


def _label(what: str) -> dict[str, Any]:
    return rules(Rule(f"self.matches('{LABEL_PATTERN}')", f"give {what}"))


class RestateService(ApiModel):
    """Restate as a Service of this cluster."""

    name: ObjectName = Field(
        description="Name of the Service.",
        json_schema_extra=_label("the Service's name alone: namespace and port are fields beside"),
        examples=["restate"],
    )
    namespace: ObjectName | None = Field(
        None,
        description="Its namespace; the agent's own unless given.",
        json_schema_extra=_label("a namespace's name"),
        examples=["tools"],
    )
    port: int = Field(
        9070, description="Port of Restate's admin API.", ge=1, le=65_535, examples=[9070]
    )
    scheme: Literal["http", "https"] = Field(
        "http", description="Whether it speaks TLS.", examples=["https"]
    )
    ingress_port: int = Field(
        INGRESS_PORT, description="Port of Restate's ingress.", ge=1, le=65_535, examples=[8080]
    )


class HeaderSource(ApiModel):
    """Where a header's value comes from."""

    secret_key_ref: SecretKey = Field(description="A key of a Secret in the agent's namespace.")


class HeaderSpec(ApiModel):
    """A header that Restate sends with each request to the agent."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule("has(self.value) != has(self.valueFrom)", "give exactly one of value, valueFrom"),
            Rule(
                f"!(self.name in {list(_NO_HEADERS)!r} || self.name.startsWith('x-restate-'))",
                f"{', '.join(_NO_HEADERS)} and x-restate-... are Restate's own; choose another",
            ),
        )
    )
    name: str = Field(
        description="Name of the header, in lower case.",
        pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]+$",
        max_length=128,
        examples=["x-tenant"],
    )
    value: str | None = Field(
        None,
        description="Its value, in clear: on record at the revision's ReplicaSet too.",
        pattern=r"^[!-~]([ -~]*[!-~])?$",
        max_length=4096,
        examples=["shop"],
    )
    value_from: HeaderSource | None = Field(
        None,
        description="Where its value comes from. It is read at registration: a value that changes"
        " later reaches Restate with the next revision.",
        examples=[{"secretKeyRef": {"name": "mesh", "key": "token"}}],
    )


class RestateRef(ApiModel):
    """The Restate server that the agent's revisions register with, and how it calls them.

    The addresses, ``http11`` and ``headers`` are part of a revision. The Secrets are not: when one
    changes, or another one is named, the operator uses what it finds.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "!(has(self.adminURL) && has(self.service))",
                "give adminURL or service, not both",
            ),
            Rule(
                f"{_NAMED} || !(has(self.tokenSecret) || has(self.clientCertificateSecret)"
                " || has(self.caSecret))",
                "credentials need the Restate that they are for: give adminURL or service (those of"
                " the operator's default are in the operator's own settings)",
            ),
            Rule(
                f"{_HTTPS} || !(has(self.clientCertificateSecret) || has(self.caSecret))",
                "clientCertificateSecret and caSecret are for TLS: give an https adminURL, or"
                " service.scheme https",
            ),
            Rule(
                f"{_HTTPS} || {_INSIDE} || !(has(self.tokenSecret)"
                f" || ({_NAMED} && has(self.headers) && self.headers.exists(h, has(h.valueFrom))))",
                "a token or header from a Secret would leave the cluster in clear: give an https"
                " adminURL, or name the Service (service, or http://<name>.<namespace>.svc:<port>)",
            ),
        )
    )
    admin_url: Address | None = Field(
        None,
        alias="adminURL",
        description="Address of Restate's admin API, such as https://restate.example:9070. Without"
        " it and service, the operator's own default.",
        examples=["https://restate.example:9070"],
    )
    service: RestateService | None = Field(
        None, description="The Service of a Restate in this cluster, in place of adminURL."
    )
    ingress_url: Address | None = Field(
        None,
        alias="ingressURL",
        description="Address of Restate's ingress as the agent's pods reach it, for the partial"
        " text of turns that stream (RESTATE_INGRESS_URL there). Without it, that of the service,"
        " or the operator's default for the operator's own Restate.",
        examples=["https://restate.example:8080"],
    )
    token_secret: SecretKey | None = Field(
        None,
        description="Bearer token for the admin API: a key of a Secret in the agent's namespace.",
        examples=[{"name": "restate", "key": "token"}],
    )
    client_certificate_secret: LocalObjectReference | None = Field(
        None,
        description="Client certificate for the admin API: a Secret of the type kubernetes.io/tls"
        " in the agent's namespace.",
        examples=[{"name": "restate-client"}],
    )
    ca_secret: SecretKey | None = Field(
        None,
        description="The only authority trusted to certify the admin API, in PEM: a key of a Secret"
        " in the agent's namespace. Those that are well known unless given.",
        examples=[{"name": "restate-client", "key": "ca.crt"}],
    )
    http11: bool | None = Field(
        None,
        description="Whether Restate calls the agent over HTTP/1.1, for what doesn't let HTTP/2"
        " through; each wait then suspends the turn at once.",
        examples=[True],
    )
    headers: list[HeaderSpec] | None = Field(
        None,
        description="Headers that Restate sends with each request to the agent. Restate shows them"
        " in clear to all who may read its admin API, those from Secrets too.",
        max_length=16,
        json_schema_extra=list_by("name"),
        examples=[[{"name": "x-tenant", "value": "shop"}]],
    )

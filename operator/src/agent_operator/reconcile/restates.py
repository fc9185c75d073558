"""Which Restate a revision registers with: from a spec, and to and from its ReplicaSet. Pure.

A revision is drained on the Restate where it was registered, so that one's address and the names of
the Secrets stay on record. A record names no namespace: whoever may edit a ReplicaSet must not have
the operator read Secrets from elsewhere and send them to an address of their choice.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import TypeAdapter

from agent_operator.api import AgentDeployment, AgentDeploymentSpec, names
from agent_operator.api.base import SecretKey as SecretKeySpec
from agent_operator.api.restate import HeaderSpec, RestateRef, RestateService
from agent_operator.restate.server import Calling, Header, SecretKey, Server
from agent_operator.settings import Settings

_CALLING: Final = TypeAdapter(Calling)
_SERVER: Final = TypeAdapter(Server)


def wanted_by(agent: AgentDeployment, settings: Settings) -> Server:
    """The Restate that an AgentDeployment's spec names, or else the operator's own default."""
    ref = agent.spec.restate
    url = _address(ref, agent.metadata.namespace, settings) if ref else None
    if ref is None or url is None:
        return settings.restate
    certificate = ref.client_certificate_secret
    own = Server(
        url=url,
        token=_key(ref.token_secret),
        client_certificate=certificate.name if certificate else None,
        ca=_key(ref.ca_secret),
    )
    return _with_namespace(own, agent.metadata.namespace, settings)


def ingress_of(agent: AgentDeployment, settings: Settings) -> str:
    """Where the agent's pods reach the ingress of its Restate; empty: nobody said."""
    ref = agent.spec.restate
    if ref is not None and ref.ingress_url:
        return ref.ingress_url.rstrip("/")
    if ref is not None and ref.service is not None:
        return _at(ref.service, ref.service.ingress_port, agent.metadata.namespace, settings)
    own = wanted_by(agent, settings).url == settings.restate.url
    return settings.ingress_url if own else ""


def calling_of(spec: AgentDeploymentSpec) -> Calling:
    """How Restate is to call a spec's revision. The order of headers makes no difference."""
    ref = spec.restate
    if ref is None:
        return Calling()
    headers = sorted(ref.headers or (), key=lambda header: header.name)
    return Calling(http11=bool(ref.http11), headers=tuple(_header(h) for h in headers))


def notes(restate: Server, calling: Calling, namespace: str) -> dict[str, str]:
    """What is kept on record at a revision's ReplicaSet in a namespace."""
    kept = {names.ADMIN_URL_ANNOTATION: restate.url}
    if restate.has_credentials and restate.namespace == namespace:
        named = replace(restate, namespace="")
        kept[names.CREDENTIALS_ANNOTATION] = _SERVER.dump_json(named, exclude_none=True).decode()
    if calling != Calling():
        kept[names.CALLING_ANNOTATION] = _CALLING.dump_json(calling, exclude_none=True).decode()
    return kept


def credentials_notes(restate: Server, namespace: str) -> dict[str, str | None]:
    """The record of a Restate whose credentials are somewhere else now."""
    kept = notes(restate, Calling(), namespace)
    return {names.CREDENTIALS_ANNOTATION: kept.get(names.CREDENTIALS_ANNOTATION)}


def read_notes(
    kept: Mapping[str, Any], namespace: str, settings: Settings
) -> tuple[Server, Calling]:
    """The Restate on record, and how it was told to call the revision."""
    url = str(kept.get(names.ADMIN_URL_ANNOTATION, ""))
    named = kept.get(names.CREDENTIALS_ANNOTATION)
    server = replace(_SERVER.validate_json(named), url=url) if named else Server(url)
    calling = kept.get(names.CALLING_ANNOTATION)
    return (
        _with_namespace(server, namespace, settings),
        _CALLING.validate_json(calling) if calling else Calling(),
    )


def _address(ref: RestateRef, namespace: str, settings: Settings) -> str | None:
    if ref.service is None:
        return ref.admin_url.rstrip("/") if ref.admin_url else None
    return _at(ref.service, ref.service.port, namespace, settings)


def _at(service: RestateService, port: int, namespace: str, settings: Settings) -> str:
    host = f"{service.name}.{service.namespace or namespace}.svc.{settings.cluster_domain}"
    return f"{service.scheme}://{host}:{port}"


def _with_namespace(server: Server, namespace: str, settings: Settings) -> Server:
    """Its own credentials are in the agent's namespace; the default's only go to the default."""
    if server.has_credentials:
        return replace(server, namespace=namespace)
    return settings.restate if server.url == settings.restate.url else Server(server.url)


def _key(key: SecretKeySpec | None) -> SecretKey | None:
    return SecretKey(key.name, key.key) if key else None


def _header(header: HeaderSpec) -> Header:
    secret = header.value_from.secret_key_ref if header.value_from else None
    return Header(header.name, header.value, _key(secret))

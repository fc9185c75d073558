"""The operator's own settings, from its environment."""

import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from agent_operator.api.base import ADDRESS_PATTERN
from agent_operator.api.restate import INSIDE_PATTERN
from agent_operator.logs import LogFormat
from agent_operator.restate.server import SecretKey, Server

DEFAULT_ADMIN_URL: Final = "http://restate:9070"
SHORTEST_LEASE_SECONDS: Final = 15
ADDRESS: Final = re.compile(ADDRESS_PATTERN)
CLUSTER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
INSIDE: Final = re.compile(INSIDE_PATTERN)


class SettingsError(ValueError):
    """A variable has a value that can't be used; the message names both."""


@dataclass(frozen=True)
class Settings:
    """What the operator watches, and where Restate is unless an AgentDeployment says otherwise.

    ``namespaces`` empty means all of them. ``resync_seconds`` is how often the operator's picture
    of the cluster is compared with a full list, in case a watch lost something.

    ``identity`` is this replica's among those that share the Lease ``lease_name``; without a
    ``lease_namespace`` there is no Lease, and this is the only replica. ``lease_seconds`` is how
    long others wait for one that vanished; the longer, the fewer renewals.

    ``ingress_url`` is where agents' pods reach the ingress of ``restate``; empty: nowhere.

    ``gate_image`` (the operator's own) runs smoke gates, with a server of ``gate_restate_image``.
    """

    restate: Server = field(default_factory=lambda: Server(DEFAULT_ADMIN_URL))
    ingress_url: str = ""
    cluster_domain: str = "cluster.local"
    cluster: str = ""
    namespaces: tuple[str, ...] = ()
    health_port: int = 8080
    log_level: str = "INFO"
    log_format: LogFormat = "text"
    identity: str = ""
    lease_namespace: str = ""
    lease_name: str = "durable-agents-operator"
    lease_seconds: int = SHORTEST_LEASE_SECONDS
    resync_seconds: float = 1800.0
    gate_image: str = ""
    gate_restate_image: str = ""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the settings.

        Raises:
            SettingsError: RESTATE_ADMIN_URL is no http(s) address or doesn't fit its credentials,
                RESTATE_INGRESS_URL is none,
                HEALTH_PORT is no port, LOG_FORMAT neither text nor json, or LEASE_SECONDS too short
                or no number.
        """
        ingress = env.get("RESTATE_INGRESS_URL", "")
        return cls(
            restate=_restate(env),
            ingress_url=_address("RESTATE_INGRESS_URL", ingress) if ingress else "",
            cluster=_cluster(env.get("CLUSTER_ID", "")),
            cluster_domain=env.get("CLUSTER_DOMAIN") or cls.cluster_domain,
            namespaces=tuple(
                name
                for part in env.get("WATCH_NAMESPACES", "").split(",")
                if (name := part.strip())
            ),
            health_port=_port("HEALTH_PORT", env.get("HEALTH_PORT") or str(cls.health_port)),
            log_level=(env.get("LOG_LEVEL") or cls.log_level).upper(),
            log_format=_log_format(env.get("LOG_FORMAT") or cls.log_format),
            identity=env.get("POD_NAME") or _own_name(),
            lease_namespace=env.get("POD_NAMESPACE", ""),
            lease_name=env.get("LEASE_NAME") or cls.lease_name,
            lease_seconds=_lease_seconds(env.get("LEASE_SECONDS") or str(cls.lease_seconds)),
            gate_image=env.get("GATE_IMAGE", ""),
            gate_restate_image=env.get("GATE_RESTATE_IMAGE", ""),
        )


def _address(name: str, value: str) -> str:
    if not ADDRESS.fullmatch(value):
        # Not shown: what is wrong with it may be a password.
        raise SettingsError(
            f"{name} is no plain http or https address (a name or IP address, a port from 1 to"
            f" 65535, no user, query or fragment); give one such as {DEFAULT_ADMIN_URL}"
        )
    return value.rstrip("/")


def _restate(env: Mapping[str, str]) -> Server:
    url = _address("RESTATE_ADMIN_URL", env.get("RESTATE_ADMIN_URL", DEFAULT_ADMIN_URL))
    server = Server(
        url=url,
        token=_secret_key(env, "RESTATE_TOKEN_SECRET", "token"),
        client_certificate=env.get("RESTATE_CLIENT_CERTIFICATE_SECRET") or None,
        ca=_secret_key(env, "RESTATE_CA_SECRET", "ca.crt"),
    )
    if not server.has_credentials:
        return server
    namespace = env.get("POD_NAMESPACE")
    if not namespace:
        raise SettingsError(
            "RESTATE_TOKEN_SECRET, RESTATE_CLIENT_CERTIFICATE_SECRET and RESTATE_CA_SECRET name"
            " Secrets of the operator's namespace: give it in POD_NAMESPACE"
        )
    if not url.startswith("https://"):
        if server.ca or server.client_certificate:
            raise SettingsError("a CA or client certificate needs an https RESTATE_ADMIN_URL")
        if not INSIDE.match(url):
            raise SettingsError(
                "the token would leave the cluster in clear: give an https RESTATE_ADMIN_URL, or"
                " name the Service as http://<name>.<namespace>.svc:<port>"
            )
    return replace(server, namespace=namespace)


def _secret_key(env: Mapping[str, str], name: str, usual: str) -> SecretKey | None:
    """A Secret and its key, as ``name`` or ``name/key``."""
    secret, _, key = env.get(name, "").partition("/")
    return SecretKey(secret, key or usual) if secret else None


def _cluster(value: str) -> str:
    if value and not CLUSTER.fullmatch(value):
        raise SettingsError(f"CLUSTER_ID is {value!r}; give letters, digits, '.', '_' and '-'")
    return value


def _port(name: str, value: str) -> int:
    if not value.isdecimal() or not 0 <= int(value) <= 65_535:
        raise SettingsError(f"{name} is {value!r}; give a port from 0 (any free one) to 65535")
    return int(value)


def _log_format(value: str) -> LogFormat:
    match value:
        case "text" | "json":
            return value
    raise SettingsError(f"LOG_FORMAT is {value!r}; give text or json")


def _lease_seconds(value: str) -> int:
    if not value.isdecimal() or int(value) < SHORTEST_LEASE_SECONDS:
        raise SettingsError(
            f"LEASE_SECONDS is {value!r}; give whole seconds, {SHORTEST_LEASE_SECONDS} or more"
        )
    return int(value)


def _own_name() -> str:
    # Two processes on one machine must not take each other for themselves.
    return f"{socket.gethostname()}_{secrets.token_hex(4)}"

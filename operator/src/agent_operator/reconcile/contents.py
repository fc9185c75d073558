"""Reads what Secrets and ConfigMaps say, for the agents that asked for it, and keeps digests."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from agent_operator.api import AgentDeployment
from agent_operator.kube.client import CONFIG_MAPS, SECRETS, Body, Kube
from agent_operator.kube.errors import KubeError
from agent_operator.reconcile.config_changes import LOOK, Digests, Kind, config_of, references
from agent_operator.reconcile.snapshot import Config, Failure

# Looks of several agents at one object, or of one agent that moves, share an answer.
MAX_AGE: Final = LOOK.total_seconds() - 1
_KEPT: Final = 10 * MAX_AGE
_FORBIDDEN: Final = 403
_RESOURCES: Final = {"ConfigMap": CONFIG_MAPS, "Secret": SECRETS}
_SWITCHES: Final = {"ConfigMap": "operator.reads.configMaps", "Secret": "operator.reads.secrets"}

_Name = tuple[Kind, str, str]
"""Kind, namespace, name."""


@dataclass(frozen=True)
class _Seen:
    """An object as last seen: its digests, or ``None`` where it does not exist."""

    at: float
    identity: tuple[str, str] = ("", "")
    digests: Digests | None = None
    error: str | None = None


@dataclass
class Contents:
    """What was read. An object's content is fetched only when its version has changed."""

    kube: Kube
    clock: Callable[[], float] = time.monotonic
    _seen: dict[_Name, _Seen] = field(default_factory=dict)

    async def look(self, agent: AgentDeployment) -> Config | None:
        """What an agent's pods would find; ``None`` where that makes no revision."""
        asked = agent.spec.rollout.on_config_change == "NewRevision"
        wishes = references(agent.spec) if asked and not agent.deleting else []
        if not wishes:
            return None
        namespace = agent.metadata.namespace
        found: dict[tuple[Kind, str], Digests | None] = {}
        for kind, name in sorted({(wish.kind, wish.name) for wish in wishes}):
            seen = await self._object((kind, namespace, name))
            if seen.error:
                return Config("", Failure("ConfigUnreadable", seen.error))
            found[kind, name] = seen.digests
        # In a thread, since it is slow on purpose.
        return await asyncio.to_thread(config_of, namespace, wishes, found)

    async def _object(self, name: _Name) -> _Seen:
        now = self.clock()
        known = self._seen.get(name)
        if known and now < known.at + MAX_AGE:
            return known
        self._seen = {key: seen for key, seen in self._seen.items() if now < seen.at + _KEPT}
        seen = self._seen[name] = await self._read(name, known)
        return seen

    async def _read(self, name: _Name, known: _Seen | None) -> _Seen:
        kind, namespace, object_name = name
        resource, now = _RESOURCES[kind], self.clock()
        try:
            body = await self.kube.metadata(resource, namespace, object_name)
            if known and not known.error and known.identity == _identity(body):
                return _Seen(now, known.identity, known.digests)
            body = await self.kube.get(resource, namespace, object_name)
        except KubeError as error:
            if error.missing:
                return _Seen(now)
            if known and not known.error and error.status != _FORBIDDEN:
                return _Seen(now, known.identity, known.digests)
            return _Seen(now, error=_unreadable(name, error))
        return _Seen(now, _identity(body), _digests(body))


def _identity(body: Body) -> tuple[str, str]:
    return str(body["metadata"]["uid"]), str(body["metadata"]["resourceVersion"])


def _digests(body: Body) -> Digests:
    values = {**(body.get("data") or {}), **(body.get("binaryData") or {})}
    return {key: hashlib.sha256(value.encode()).hexdigest() for key, value in values.items()}


def _unreadable(name: _Name, error: KubeError) -> str:
    kind, _, object_name = name
    if error.status == _FORBIDDEN:
        return (
            f"{kind} {object_name} may not be read by the operator: allow it (in the chart with"
            f" {_SWITCHES[kind]}), or set spec.rollout.onConfigChange to Ignore"
        )
    return f"{kind} {object_name} can't be read: {error}"

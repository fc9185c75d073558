"""Secrets and ConfigMaps that pods refer to: what of them is part of a revision. Pure.

With ``rollout.onConfigChange: NewRevision`` their contents are: another content is another
revision, and the earlier content the earlier one. Nothing of a content leaves this process but a
slow digest of all of them together, inside the revision's hash.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final, Literal

from agent_operator.api import AgentDeployment, AgentDeploymentSpec, names
from agent_operator.reconcile.last_active import last_active
from agent_operator.reconcile.revisions import Wanted, wanted
from agent_operator.reconcile.snapshot import Config, Failure, Revision, Snapshot
from agent_operator.settings import Settings

LOOK: Final = timedelta(seconds=10)
"""How often contents are looked at: what runs is seconds behind, and Secrets need no watch."""

Kind = Literal["ConfigMap", "Secret"]
Digests = Mapping[str, str]
"""Of an object: a digest for each of its keys."""

# 16 MB and some 50 ms for each guess: a password of few characters can't be found by trying which
# one gives the revision's name.
_SCRYPT: Final = {"n": 2**14, "r": 8, "p": 1, "dklen": 16}


@dataclass(frozen=True, order=True)
class Reference:
    """What pods take from an object: one key, or (``None``) all of them."""

    kind: Kind
    name: str
    key: str | None
    optional: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f", key {self.key}" if self.key else "")


def references(spec: AgentDeploymentSpec) -> list[Reference]:
    """All that the pods of a spec refer to, in a fixed order."""
    container = spec.model_dump(mode="json", by_alias=True, include={"env", "env_from"})
    found = set(_of_container(container))
    if spec.model and spec.model.api_key_secret:
        key = spec.model.api_key_secret
        found.add(Reference("Secret", key.name, key.key, optional=False))
    pod = (spec.template or {}).get("spec") or {}
    for container in (*(pod.get("containers") or ()), *(pod.get("initContainers") or ())):
        found.update(_of_container(container))
    for volume in pod.get("volumes") or ():
        found.update(_of_volume(volume))
    return sorted(found, key=lambda r: (r.kind, r.name, r.key or "", r.optional))


def _of_container(container: Mapping[str, Any]) -> Iterator[Reference]:
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        yield from _of_key("ConfigMap", source.get("configMapKeyRef"))
        yield from _of_key("Secret", source.get("secretKeyRef"))
    for source in container.get("envFrom") or ():
        yield from _whole("ConfigMap", source.get("configMapRef"), "name")
        yield from _whole("Secret", source.get("secretRef"), "name")


def _of_volume(volume: Mapping[str, Any]) -> Iterator[Reference]:
    yield from _whole("ConfigMap", volume.get("configMap"), "name")
    yield from _whole("Secret", volume.get("secret"), "secretName")
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield from _whole("ConfigMap", source.get("configMap"), "name")
        yield from _whole("Secret", source.get("secret"), "name")


def _of_key(kind: Kind, source: Mapping[str, Any] | None) -> Iterator[Reference]:
    if source and source.get("name"):
        yield Reference(kind, source["name"], source["key"], bool(source.get("optional")))


def _whole(kind: Kind, source: Mapping[str, Any] | None, field: str) -> Iterator[Reference]:
    if source and source.get(field):
        optional, items = bool(source.get("optional")), source.get("items")
        keys = [item["key"] for item in items] if items else [None]
        for key in keys:
            yield Reference(kind, source[field], key, optional)


def config_of(
    namespace: str,
    wishes: Sequence[Reference],
    contents: Mapping[tuple[Kind, str], Digests | None],
) -> Config:
    """What the pods would find. An object that does not exist has ``None`` for its content."""
    parts: list[object] = []
    missing = []
    for wish in wishes:
        content = contents[wish.kind, wish.name]
        found: object = content
        if content is not None and wish.key is not None:
            found = content.get(wish.key)
        if found is None and not wish.optional:
            missing.append(str(wish))
        parts.append([wish.kind, wish.name, wish.key, found])
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    trouble = None
    if missing:
        trouble = Failure("ConfigMissing", f"pods refer to what does not exist: {missing[0]}")
    return Config(_slow_digest(namespace, text), trouble)


@lru_cache(maxsize=1024)
def _slow_digest(namespace: str, text: str) -> str:
    salt = f"{names.GROUP}/{namespace}".encode()
    return hashlib.scrypt(text.encode(), salt=salt, **_SCRYPT).hex()


def target(
    agent: AgentDeployment,
    settings: Settings,
    config: Config | None,
    revisions: Sequence[Revision],
) -> Wanted:
    """The revision that is wanted now.

    While something is missing, or can't be read, it is the one that the same spec has already:
    a Secret that somebody deleted must not replace pods that run by pods that can't start.
    """
    if config is None:
        return wanted(agent, settings)
    found = wanted(agent, settings, config.digest)
    kept = [r for r in revisions if r.spec_hash == found.spec_hash]
    if not config.trouble or not kept:
        return found
    active = last_active(agent)
    best = max(kept, key=lambda r: (r.name == active, r.created, r.name))
    return replace(found, name=best.name, uri=best.uri)


def must_wait(snapshot: Snapshot) -> bool:
    """Whether a revision can't even be named, since what it would consist of can't be read."""
    return bool(snapshot.config and not snapshot.config.digest and snapshot.target is None)


def look_again(snapshot: Snapshot) -> list[timedelta]:
    """Until contents are looked at again, where they matter."""
    return [LOOK] if snapshot.config else []


def trouble(snapshot: Snapshot, *, active: bool) -> Failure | None:
    """What ``Progressing`` says of missing or unreadable contents, if there are such."""
    found = snapshot.config.trouble if snapshot.config else None
    if found is None or snapshot.agent.deleting:
        return None
    name = snapshot.wanted.name
    if active:
        how = f"{name} stays active, but pods of it that start from now on may fail"
    elif must_wait(snapshot):
        how = "no revision is made until then"
    else:
        how = f"the pods of {name} can't start until then"
    return Failure(found.reason, f"{found.message}; {how}")

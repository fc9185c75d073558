"""The operator's picture of the cluster: what watches said, corrected by a full list at times.

It is a cache and a hint. An object deleted while a watch was broken has no DELETED event, so the
picture is replaced by a list now and then, and nothing is destroyed on its word alone.
"""

import sys
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from agent_operator.api import names
from agent_operator.kube.client import (
    AGENT_DEPLOYMENTS,
    CHILDREN_RESOURCES,
    Body,
    Kube,
    Resource,
)
from agent_operator.kube.slim import slim

# The late are late by seconds: a request's time is up after half a minute.
ENDED_KEPT: Final = 10_000
FOR_GOOD: Final = sys.maxsize
OURS: Final = f"{names.MANAGED_BY_LABEL}={names.MANAGER}"

Key = tuple[str, str]
"""Namespace and name of an AgentDeployment."""


def key_of(resource: Resource, body: Body) -> Key:
    """The AgentDeployment that an object is, or belongs to."""
    metadata = body["metadata"]
    if resource is AGENT_DEPLOYMENTS:
        return metadata["namespace"], metadata["name"]
    return metadata["namespace"], metadata.get("labels", {}).get(names.AGENT_LABEL, "")


@dataclass
class Store:
    """Objects by kind and name, and the children of each AgentDeployment."""

    _objects: dict[Resource, dict[Key, Body]] = field(
        default_factory=lambda: {r: {} for r in (AGENT_DEPLOYMENTS, *CHILDREN_RESOURCES)}
    )
    _children: dict[tuple[Resource, Key], dict[str, Body]] = field(default_factory=dict)
    # By uid, the version at which each ended: in another version it is there again.
    _ended: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def get(self, key: Key) -> Body | None:
        """An AgentDeployment."""
        return self._objects[AGENT_DEPLOYMENTS].get(key)

    def children(self, resource: Resource, key: Key) -> list[Body]:
        """The objects of a kind that belong to an AgentDeployment."""
        return list(self._children.get((resource, key), {}).values())

    def put(self, resource: Resource, body: Body) -> bool:
        """Take an object in, unless a newer version of it is known, or its end.

        Returns:
            Whether it is news: a write's answer is known before the event that tells of it.
        """
        name = _name(body)
        known = self._objects[resource].get(name)
        if self._has_ended(body) or (known and _version(known) > _version(body)):
            return False
        if known and _version(known) == _version(body) >= 0 and _uid(known) == _uid(body):
            return False
        self._ended.pop(_uid(body), None)
        body = slim(resource, body)
        self._objects[resource][name] = body
        if resource is not AGENT_DEPLOYMENTS:
            self._children.setdefault((resource, key_of(resource, body)), {})[name[1]] = body
        return True

    def remove(self, resource: Resource, body: Body) -> None:
        """Forget an object that a watch tells the end of, unless another one has its name by now.

        Somebody may only have taken its label away: in a later version it comes back.
        """
        self._end(resource, body, _version(body))

    def deleted(self, resource: Resource, body: Body) -> None:
        """Forget an object that a request of ours has deleted: what is told of it is of before."""
        self._end(resource, body, FOR_GOOD)

    def deleted_child(self, resource: Resource, owner: Key, name: str) -> None:
        """The same, by its AgentDeployment and its own name."""
        for body in self.children(resource, owner):
            if body["metadata"]["name"] == name:
                self.deleted(resource, body)

    def _end(self, resource: Resource, body: Body, version: int) -> None:
        name, uid = _name(body), _uid(body)
        # The answer to a request of ours may come in after the watch has told the end.
        self._ended[uid] = version
        self._ended.move_to_end(uid)
        while len(self._ended) > ENDED_KEPT:
            self._ended.popitem(last=False)
        known = self._objects[resource].get(name)
        if known is None or _uid(known) != uid:
            return
        del self._objects[resource][name]
        if resource is not AGENT_DEPLOYMENTS:
            group = (resource, key_of(resource, known))
            self._children.get(group, {}).pop(name[1], None)
            if not self._children.get(group):
                self._children.pop(group, None)

    def _has_ended(self, body: Body) -> bool:
        at = self._ended.get(_uid(body))
        # Deleted, it may still have to wait for somebody's finalizer.
        if at is None or (at == FOR_GOOD and "deletionTimestamp" in body["metadata"]):
            return False
        return _version(body) <= at

    def replace(
        self, resource: Resource, namespace: str | None, bodies: Iterable[Body], version: str
    ) -> None:
        """Take in a full list, made at a version, of a namespace or of all.

        What the list lacks is gone, unless it is newer than the list.
        """
        listed = {_name(body): body for body in bodies}
        for body in listed.values():
            self.put(resource, body)
        for name, known in list(self._objects[resource].items()):
            inside = namespace in {None, name[0]}
            if inside and name not in listed and _version(known) <= _number(version):
                self._end(resource, known, _number(version))

    def names(self, resource: Resource) -> set[Key]:
        """Namespace and name of every known object of a kind."""
        return set(self._objects[resource])


async def resync(store: Store, kube: Kube, namespace: str | None) -> None:
    """Replace the picture of a namespace, or of all, by what the API server lists.

    Raises:
        KubeError: a list was refused, for instance because the CRD isn't installed.
    """
    for resource in (AGENT_DEPLOYMENTS, *CHILDREN_RESOURCES):
        # Version 0: from the API server's own cache, which costs it next to nothing.
        query = {"resourceVersion": "0"}
        if resource is not AGENT_DEPLOYMENTS:
            query["labelSelector"] = OURS
        bodies, version = await kube.list(resource, namespace, **query)
        kind = {"kind": resource.kind}
        store.replace(resource, namespace, [{**body, **kind} for body in bodies], version)


def _name(body: Body) -> Key:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def _uid(body: Body) -> str:
    return str(body["metadata"].get("uid", ""))


def _version(body: Body) -> int:
    return _number(str(body["metadata"].get("resourceVersion", "")))


def _number(version: str) -> int:
    """Versions grow (KEP-5504); one that is no number counts as old."""
    return int(version) if version.isdecimal() else -1

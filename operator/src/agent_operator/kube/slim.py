"""What is kept of an object: not what nobody here reads, which is most of its memory."""

import sys
from typing import Any, Final

from agent_operator.kube.client import PODS, Body, Resource

_MANAGED: Final = "managedFields"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
# Of a pod's spec; the rest is in the ReplicaSet's template.
_OF_PODS: Final = frozenset({"initContainers"})


def slim(resource: Resource, body: Body) -> Body:
    """A copy of an object for the store: field names shared, ballast left out."""
    metadata = _without(body["metadata"], _MANAGED)
    if _LAST_APPLIED in (metadata.get("annotations") or {}):
        metadata["annotations"] = _without(metadata["annotations"], _LAST_APPLIED)
    kept = {**body, "metadata": metadata}
    if resource is PODS:
        kept["spec"] = {k: v for k, v in (body.get("spec") or {}).items() if k in _OF_PODS}
    slimmed: Body = _shared(kept)
    return slimmed


def _without(part: Body, field: str) -> Body:
    return {key: value for key, value in part.items() if key != field}


def _shared(value: Any) -> Any:
    """The same, with one string for each field name of all objects: JSON brings a new one each."""
    if isinstance(value, dict):
        return {sys.intern(key): _shared(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_shared(part) for part in value]
    return value

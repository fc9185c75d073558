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
    kept: Body = _shared(body)
    metadata = kept["metadata"]
    metadata.pop(_MANAGED, None)
    if annotations := metadata.get("annotations"):
        annotations.pop(_LAST_APPLIED, None)
    if resource is PODS:
        kept["spec"] = {k: v for k, v in (kept.get("spec") or {}).items() if k in _OF_PODS}
    return kept


def _shared(value: Any) -> Any:
    """The same, with one string for each field name of all objects: JSON brings a new one each."""
    if isinstance(value, dict):
        return {sys.intern(key): _shared(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_shared(part) for part in value]
    return value

"""What is kept of an object: not what nobody here reads, which is most of its memory."""

import sys
from typing import Any, Final

from agent_operator.kube.client import PODS, Body, Resource

# Each of these is a third of an object or more. The ReplicaSet has the pod's template already.
_METADATA: Final = "managedFields"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def slim(resource: Resource, body: Body) -> Body:
    """A copy of an object for the store: field names shared, ballast left out."""
    kept: Body = _shared(body)
    metadata = kept["metadata"]
    metadata.pop(_METADATA, None)
    if annotations := metadata.get("annotations"):
        annotations.pop(_LAST_APPLIED, None)
    if resource is PODS:
        kept.pop("spec", None)
    return kept


def _shared(value: Any) -> Any:
    """The same, with one string for each field name of all objects: JSON brings a new one each."""
    if isinstance(value, dict):
        return {sys.intern(key): _shared(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_shared(part) for part in value]
    return value

"""Revisions whose AgentDeployment is gone: somebody removed the finalizer by hand."""

import logging

from agent_operator.api import names
from agent_operator.kube.client import AGENT_DEPLOYMENTS, JOBS, REPLICA_SETS, SERVICES, Body, Kube
from agent_operator.kube.errors import KubeError
from agent_operator.kube.store import Key, Store

log = logging.getLogger(__name__)


async def remove(key: Key, store: Store, kube: Kube) -> None:
    """Delete what is left of an AgentDeployment that the API server itself says is gone.

    Registrations in Restate stay: without a revision nobody could tell whether work needs them,
    and an AgentDeployment of the same name finds and forgets them. What was orphaned on purpose
    stays.
    """
    if any(kept(body) for body in store.children(REPLICA_SETS, key)):
        return
    left = [
        (resource, body)
        for resource in (JOBS, SERVICES, REPLICA_SETS)
        for body in store.children(resource, key)
        if not _owned(body)
    ]
    if not left or not await _is_gone(key, store, kube):
        return
    for resource, body in left:
        name = body["metadata"]["name"]
        await kube.delete(resource, key[0], name)
        store.deleted(resource, body)
        log.warning("deleted %s %s/%s: its AgentDeployment is gone", resource.kind, key[0], name)


def kept(replica_set: Body) -> bool:
    """Whether its AgentDeployment was to go without it (``deletionPolicy: Orphan``)."""
    return names.ORPHANED_ANNOTATION in (replica_set["metadata"].get("annotations") or {})


def _owned(body: Body) -> bool:
    """Whether it goes with the AgentDeployment by itself: the garbage collector sees to it."""
    owners = body["metadata"].get("ownerReferences") or ()
    return any(owner["kind"] == names.KIND for owner in owners)


async def _is_gone(key: Key, store: Store, kube: Kube) -> bool:
    try:
        store.put(AGENT_DEPLOYMENTS, await kube.get(AGENT_DEPLOYMENTS, *key))
    except KubeError as error:
        if error.missing:
            return True
        raise
    return False

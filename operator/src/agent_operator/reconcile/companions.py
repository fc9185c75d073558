"""Manifests of what goes along with a revision, or with its agent.

They may go at any time without harm to a turn, so they have owners, and go with them.
"""

from typing import Any

from agent_operator.api import AgentDeployment, names
from agent_operator.api.scaling import Autoscaler
from agent_operator.kube.client import Body
from agent_operator.reconcile.manifests import labels_of
from agent_operator.reconcile.pod_template import Manifest
from agent_operator.reconcile.scaling import digest


def front(agent: AgentDeployment, revision: str, port: int) -> Manifest:
    """The Service named like the agent. It goes with the agent."""
    labels = labels_of(agent, revision)
    del labels[names.REVISION_LABEL]
    owner = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": agent.metadata.name,
        "uid": agent.metadata.uid,
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": agent.metadata.name,
            "namespace": agent.metadata.namespace,
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": front_spec(revision, port),
    }


def front_spec(revision: str, port: int) -> Manifest:
    """Where the Service named like the agent leads."""
    return {
        "selector": {names.REVISION_LABEL: revision},
        "ports": [
            {
                "name": "restate",
                "port": port,
                "targetPort": "restate",
                "appProtocol": "kubernetes.io/h2c",
            }
        ],
    }


def autoscaler(agent: AgentDeployment, replica_set: Body, wish: Autoscaler) -> Manifest:
    """A revision's HorizontalPodAutoscaler."""
    target = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": replica_set["metadata"]["name"],
    }
    asked = wish.model_dump(mode="json", by_alias=True, exclude_none=True)
    metadata = _metadata(agent, replica_set)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {**metadata, "annotations": {names.AUTOSCALER_ANNOTATION: digest(wish)}},
        "spec": {"scaleTargetRef": target, **asked},
    }


def budget(agent: AgentDeployment, replica_set: Body) -> Manifest:
    """A revision's PodDisruptionBudget: of several pods, one may be away."""
    name = replica_set["metadata"]["name"]
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(agent, replica_set),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": {names.REVISION_LABEL: name}},
            # A pod that does not come up must not keep its node from being drained.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _metadata(agent: AgentDeployment, replica_set: Body) -> dict[str, Any]:
    metadata = replica_set["metadata"]
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "labels": labels_of(agent, metadata["name"]),
        "ownerReferences": [owner],
    }

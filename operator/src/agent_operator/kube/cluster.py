"""The cluster's own id: the uid of its namespace kube-system, which lives as long as it does."""

from typing import Final

from agent_operator.kube.client import Kube, Resource

NAMESPACES: Final = Resource("Namespace", "namespaces", "/api/v1", namespaced=False)
OLDEST: Final = "kube-system"


async def read_id(kube: Kube) -> str:
    """The id of the cluster.

    Raises:
        KubeError: it may not be read, say.
    """
    return str((await kube.get(NAMESPACES, None, OLDEST))["metadata"]["uid"])

"""A Kubernetes cluster for this clone, behind one command: `python -m hack.cluster up`.

It is the current kubeconfig context (CLUSTER=current), a kind cluster, or a real one-node cluster
made on this Linux machine without Docker (see docs/cluster.md).
"""

from .api import down, kubeconfig, load, provider, status, up
from .errors import ClusterError
from .providers import Provider

__all__ = [
    "ClusterError",
    "Provider",
    "down",
    "kubeconfig",
    "load",
    "provider",
    "status",
    "up",
]

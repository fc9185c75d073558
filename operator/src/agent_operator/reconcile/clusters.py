"""Several clusters on one Restate: which registrations are of this one. Pure.

A revision's address is a name that only its own cluster resolves, and two clusters may have the
same; so each registration says by which cluster it was made, and nobody touches another's.
"""

from agent_operator.api import names
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.restate.view import Deployment, RestateView


def of_another(snapshot: Snapshot, deployment: Deployment) -> str | None:
    """The id of the other cluster that registered a deployment, if one did."""
    cluster = deployment.metadata.get(names.CLUSTER_KEY)
    return cluster if cluster and cluster != snapshot.cluster else None


def own(snapshot: Snapshot, view: RestateView, uri: str) -> Deployment | None:
    """What is registered under an address, unless another cluster did it."""
    found = view.by_uri(uri)
    return None if found is None or of_another(snapshot, found) else found

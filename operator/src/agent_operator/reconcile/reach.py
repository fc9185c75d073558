"""Whether a revision's Service leads to pods that aren't Ready yet. Pure.

kube-proxy needs up to a second to take in that a pod is Ready, and Restate would find nobody
meanwhile. A candidate, or a revision that sleeps, has its address lead to its pods early: no turn
goes to the one yet, and those of the other wait for just these pods. Once a revision serves, it
leads to Ready pods only, as any Service does (docs/decisions/0014).
"""

from agent_operator.reconcile import actions as do
from agent_operator.reconcile.standing import Standing


def due(standing: Standing) -> list[do.Action]:
    """Bring a revision's Service to what it should lead to, where that differs."""
    early = _early(standing)
    if early is None or standing.revision.published in {None, early}:
        return []
    return [do.PublishUnready(standing.revision, early)]


def _early(standing: Standing) -> bool | None:
    """``None``: as it is. A candidate's Service is made to lead there early."""
    revision = standing.revision
    if not standing.known or standing.deployment is None:
        return None
    if revision.replicas == 0 or revision.waking:
        return True
    return False if standing.active or not standing.unneeded else None

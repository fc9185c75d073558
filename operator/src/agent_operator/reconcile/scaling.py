"""How many pods: as the spec says, or an autoscaler that the operator does not fight. Pure."""

import hashlib
import json

from agent_operator.api.scaling import Autoscaler
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import idle
from agent_operator.reconcile.last_active import last_active
from agent_operator.reconcile.revisions import autoscaler_of
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.reconcile.standing import Standing


def start(snapshot: Snapshot) -> int:
    """With how many pods a revision starts that is to take new turns.

    Under an autoscaler with as many as the active one has: they are to carry the same load.
    """
    least, autoscaler = snapshot.wanted.replicas, _autoscaler(snapshot)
    if autoscaler is None:
        return least
    active = last_active(snapshot.agent)
    now = max((r.replicas for r in snapshot.revisions if r.name == active), default=0)
    return min(max(least, now), autoscaler.max_replicas)


def replicas_due(snapshot: Snapshot, standing: Standing) -> int | None:
    """Another number of pods for a revision that takes new turns, or is to; ``None``: as it is.

    What an autoscaler owns is only brought up from none, and down to none.
    """
    has, wanted = standing.revision.replicas, snapshot.wanted.replicas
    if has == 0 and (wanted == 0 or idle.may_sleep(snapshot, standing)):
        return None
    if _autoscaler(snapshot):
        return start(snapshot) if has == 0 else None
    return wanted if has != wanted else None


def companions(snapshot: Snapshot, standing: Standing) -> list[do.Action]:
    """The autoscaler and the disruption budget that a revision should have, and those it has not.

    An autoscaler goes as soon as its revision takes no new turns, and so before its pods do.
    """
    if not standing.known:
        return []
    revision, autoscaler = standing.revision, _autoscaler(snapshot)
    mine = autoscaler if standing.active and not snapshot.agent.deleting else None
    actions: list[do.Action] = []
    if revision.autoscaled != (digest(mine) if mine else None):
        actions.append(do.SetAutoscaler(revision, mine))
    several = revision.replicas > 1 or bool(mine and mine.max_replicas > 1)
    if revision.replicas and revision.budget not in {None, several}:
        actions.append(do.SetBudget(revision, present=several))
    return actions


def digest(autoscaler: Autoscaler) -> str:
    """Tells one autoscaler from another; the API server adds defaults to what it is given."""
    text = json.dumps(autoscaler.model_dump(mode="json", exclude_none=True), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _autoscaler(snapshot: Snapshot) -> Autoscaler | None:
    return autoscaler_of(snapshot.agent.spec)

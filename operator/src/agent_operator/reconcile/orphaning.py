"""``deletionPolicy: Orphan``: the object goes, what it made stays and can be adopted. Pure."""

from collections.abc import Sequence
from datetime import datetime

from agent_operator.api import names, times
from agent_operator.reconcile import actions as do
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.reconcile.standing import Standing


def wanted(snapshot: Snapshot) -> bool:
    """Whether the object is to go without what it made."""
    return snapshot.agent.deleting and snapshot.agent.spec.deletion_policy == "Orphan"


def let_go(snapshot: Snapshot, standings: Sequence[Standing], now: datetime) -> list[do.Action]:
    """Mark what stays, so that nobody takes it for rubbish; then the object may go."""
    actions: list[do.Action] = []
    for standing in standings:
        revision = standing.revision
        # Once nobody looks after it, nobody wakes it: not for its work, and not for a new turn.
        called = standing.routed and snapshot.wanted.replicas > 0
        if revision.replicas == 0 and (called or not standing.unneeded):
            actions.append(do.ScaleRevision(revision, max(snapshot.wanted.replicas, 1)))
        if not revision.orphaned:
            note = {names.ORPHANED_ANNOTATION: times.rfc3339(now)}
            actions.append(do.Annotate(revision, note))
    half_moved = any(s.revision.moves and s.revision.moves.open for s in standings)
    return actions if actions or half_moved else [do.RemoveFinalizer()]


def adopt(standings: Sequence[Standing]) -> list[do.Action]:
    """Take back what an earlier object of the same name left."""
    return [
        do.Annotate(standing.revision, {names.ORPHANED_ANNOTATION: None})
        for standing in standings
        if standing.revision.orphaned
    ]

"""Registrations that Restate lost (restored from a backup, say), and what is pinned to them. Pure.

Registered anew, a deployment gets another id, and what is pinned to the old one fails until it is
told the new one. Registering takes the routes too: the active revision takes them back in the next
look, and the turns that slipped in end where they began.
"""

from collections.abc import Sequence

from agent_operator.api import names
from agent_operator.reconcile import actions as do
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.reconcile.standing import Standing


def is_lost(standing: Standing) -> bool:
    """Whether something needs a revision that Restate lists no more."""
    load = standing.load
    registered = standing.known and standing.revision.registering
    return registered and standing.deployment is None and bool(load and load.counts.total)


def register(snapshot: Snapshot, standing: Standing) -> list[do.Action]:
    """Bring a lost registration back: Restate discovers it, so a pod must be up."""
    revision = standing.revision
    if revision.replicas == 0:
        return [do.ScaleRevision(revision, max(snapshot.wanted.replicas, 1))]
    ready = revision.ready >= revision.replicas
    return [do.RegisterRevision(revision)] if ready and not revision.failure else []


def restore_active(snapshot: Snapshot, standings: Sequence[Standing]) -> list[do.Action]:
    """Nothing takes turns, since Restate lost its registrations: the one that did does again."""
    if any(standing.active for standing in standings):
        return []
    before = snapshot.agent.status.get("activeRevision")
    return [
        action
        for s in standings
        if s.revision.name == before != snapshot.wanted.name and s.known and s.deployment is None
        for action in (
            [do.RegisterRevision(s.revision)] if s.revision.ready else register(snapshot, s)
        )
    ]


def record(standing: Standing) -> list[do.Action]:
    """Note a new id, with those before it until nothing is pinned to them any more."""
    revision, deployment = standing.revision, standing.deployment
    if deployment is None:
        return []
    if deployment.id != revision.deployment_id:
        return [do.Annotate(revision, ids_to_note(revision, deployment.id))]
    if standing.stranded:
        pinned = do.RepinInvocations(revision, standing.stranded[0], deployment.id)
        return [pinned] if revision.ready else []
    return [do.Annotate(revision, {names.LOST_IDS_ANNOTATION: None})] if revision.lost_ids else []


def ids_to_note(revision: Revision, new_id: str) -> dict[str, str | None]:
    """The record of a new id: in one with the old ones, or work pinned to them would be lost."""
    notes: dict[str, str | None] = {names.DEPLOYMENT_ID_ANNOTATION: new_id}
    old = [i for i in (revision.deployment_id, *revision.lost_ids) if i and i != new_id]
    if old:
        notes[names.LOST_IDS_ANNOTATION] = ",".join(old)
    return notes

"""Registrations that Restate lost (restored from a backup, say), and what is pinned to them. Pure.

Registered anew, a deployment gets another id, and what is pinned to the old one fails until it is
told the new one. Registering takes the routes too: so what took the turns last comes back first,
and an older one only when that can take them back in the next look. The turns that slipped in end
where they began.
"""

from collections.abc import Sequence

from agent_operator.api import names
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import clusters
from agent_operator.reconcile.last_active import last_active
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.reconcile.standing import Standing, foreign_holder, target_takes_all_turns
from agent_operator.restate.view import RestateView


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
    if revision.ready < revision.replicas or revision.failure:
        return []
    name = None if snapshot.agent.deleting else last_active(snapshot.agent)
    here = (r for r in snapshot.revisions if r.name == name and r.restate == revision.restate)
    holder = next(here, revision)
    if holder is revision or _can_take_turns_back(snapshot, holder):
        return [do.RegisterRevision(revision)]
    # It may sleep, as nobody talks to it. If it was lost itself, it comes back by other actions.
    asleep = holder.replicas == 0 and snapshot.wanted.replicas > 0 and _is_listed(snapshot, holder)
    return [do.ScaleRevision(holder, snapshot.wanted.replicas)] if asleep else []


def restore_active(snapshot: Snapshot, standings: Sequence[Standing]) -> list[do.Action]:
    """What took the turns last does again: nobody does, or an older one that was lost."""
    last = _last(snapshot, standings)
    if last is None or last.revision is snapshot.target or not last.known:
        return []
    if any(standing.active for standing in standings) and not displaced(snapshot, standings):
        return []
    if foreign_holder(snapshot, last):
        return []
    if last.revision.ready:
        return [do.RegisterRevision(last.revision)]
    replicas = max(snapshot.wanted.replicas, 1)
    return [do.ScaleRevision(last.revision, replicas)] if last.revision.replicas == 0 else []


def displaced(snapshot: Snapshot, standings: Sequence[Standing]) -> bool:
    """Whether an older revision has turns of the one that took them last: it was registered anew.

    That is for a moment only, and makes no history.
    """
    last = _last(snapshot, standings)
    if last is None or last.deployment is None or target_takes_all_turns(snapshot):
        return False
    view = snapshot.restates.get(last.revision.restate)
    served = snapshot.agent.status.get("history", ())
    older = [
        standing.deployment.id
        for standing in standings
        if standing.deployment
        and standing is not last
        and standing.revision.restate == last.revision.restate
        and standing.revision is not snapshot.target
        # One that turns began on in passing, or long ago, is in no history.
        and (standing.revision.name in served or standing.revision.lost_ids)
    ]
    return isinstance(view, RestateView) and any(
        view.route(service) in older for service in last.deployment.services
    )


def _last(snapshot: Snapshot, standings: Sequence[Standing]) -> Standing | None:
    name = last_active(snapshot.agent)
    return next((s for s in standings if s.revision.name == name), None)


def _can_take_turns_back(snapshot: Snapshot, holder: Revision) -> bool:
    """Whether a revision would be registered in the next look, if its routes were taken now."""
    needed = holder.replicas if holder is snapshot.target else 1
    return holder.ready >= max(needed, 1) and _is_listed(snapshot, holder)


def _is_listed(snapshot: Snapshot, revision: Revision) -> bool:
    view = snapshot.restates.get(revision.restate)
    return isinstance(view, RestateView) and bool(clusters.own(snapshot, view, revision.uri))


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

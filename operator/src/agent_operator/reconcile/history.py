"""Drained revisions that are kept for a rollback: without pods, but registered. Pure."""

from collections.abc import Sequence
from datetime import datetime

from agent_operator.api import Phase, durations
from agent_operator.reconcile import actions as do
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.reconcile.standing import Standing, is_spare

MESSAGE = "kept for rollback"


def kept(snapshot: Snapshot, standings: Sequence[Standing]) -> frozenset[str]:
    """The names of the revisions that stay though nothing needs them, by the history limit."""
    limit = snapshot.agent.spec.revision_history_limit
    if snapshot.agent.deleting or not limit:
        return frozenset()
    may = {s.revision.name: s.revision for s in standings if _may_be_kept(snapshot, s)}
    history = snapshot.agent.status.get("history", ())
    latest_first = [name for name in history if name in may]
    # An adopted one was kept by an object that is gone, and its history with it.
    adopted = [r for r in may.values() if r.deployment_id and r.name not in history]
    adopted.sort(key=lambda r: r.created, reverse=True)
    latest_first += [r.name for r in adopted]
    return frozenset(latest_first[:limit])


def settled(snapshot: Snapshot, standings: Sequence[Standing]) -> bool:
    """Whether all but the active revision are kept, and have nothing left to do."""
    names = kept(snapshot, standings)
    others = [s.revision for s in standings if not s.active]
    return all(revision.name in names and at_rest(revision) for revision in others)


def at_rest(revision: Revision) -> bool:
    """Whether a revision has no pods, and none that will come back for a turn that sleeps."""
    return revision.replicas == 0 and revision.idle_since is not None


def rest(snapshot: Snapshot, standing: Standing, now: datetime) -> list[do.Action]:
    """What is due for a revision that is kept: its pods go after the usual delay."""
    revision = standing.revision
    if not standing.known:
        return []
    if revision.idle_since is None:
        return [do.mark_idle(revision, now)]
    delay = durations.parse(snapshot.agent.spec.drain.delay)
    if revision.replicas and now >= revision.idle_since + delay:
        return [do.ScaleRevision(revision, 0)]
    return []


def _may_be_kept(snapshot: Snapshot, standing: Standing) -> bool:
    """Whether going back can lead to it, and nobody can call it meanwhile.

    A service that a newer revision dropped goes with the last revision that has it.
    """
    revision = standing.revision
    if revision is snapshot.target or standing.phase is not Phase.DRAINED:
        return False
    # What is to take turns again is not kept for later: it keeps its pods.
    if is_spare(snapshot, revision):
        return False
    here = revision.restate.url == snapshot.wanted.restate.url
    return here and revision.registering and not standing.routed

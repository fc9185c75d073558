"""What stays as it is for long: then looking at Restate each second would show nothing. Pure.

A candidate may wait for days: for an image that can be pulled, a promotion, another spec. An event
of the cluster, which wakes the object by itself, comes first. Turns that sleep may keep the pods of
their revision for weeks, too. Both are told from the cluster's objects and the status as last
written, so that they are known before Restate is asked.
"""

from collections.abc import Sequence

from agent_operator.api import Phase
from agent_operator.api.status import InvocationCounts
from agent_operator.reconcile import gates
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.reconcile.standing import failure_of


def candidate(snapshot: Snapshot) -> Revision | None:
    """The wanted revision, where it can't get on before an event of the cluster."""
    target, agent = snapshot.target, snapshot.agent
    if target is None or agent.deleting or target.name == agent.status.get("activeRevision"):
        return None
    return target if _waits_for_an_event(snapshot, target) else None


def moving(snapshot: Snapshot) -> list[Revision]:
    """The revisions of which Restate has to be asked."""
    waits = candidate(snapshot)
    return [r for r in snapshot.revisions if r is not waits and not held(snapshot, r)]


def held(snapshot: Snapshot, revision: Revision) -> bool:
    """Whether an old revision keeps its pods for turns that sleep.

    Its pods answer whoever wakes, so all there is to see is that the last one has ended: that one
    of them has, ``sleepers`` finds out more cheaply.
    """
    drain = snapshot.agent.spec.drain
    ends = drain.deadline is not None and drain.on_deadline != "Keep"
    if drain.idle != "Keep" or ends or snapshot.agent.deleting or revision is snapshot.target:
        return False
    up = 0 < revision.replicas <= revision.ready and not revision.waking
    return up and not _half_done(revision) and _only_sleepers_shown(snapshot, revision)


def _waits_for_an_event(snapshot: Snapshot, target: Revision) -> bool:
    if _half_done(target):
        return False
    failed = failure_of(snapshot, target) is not None
    if target.deployment_id and (failed or target.waking):
        return False  # turns of an earlier time may need it
    if target.replicas == 0:
        return failed or snapshot.wanted.replicas == 0
    # One that has failed is about to lose its pods.
    starts = target.ready < target.replicas
    return not failed and (starts or gates.explain(snapshot, target) is not None)


def _half_done(revision: Revision) -> bool:
    return bool(revision.lost_ids or (revision.moves and revision.moves.open))


def _only_sleepers_shown(snapshot: Snapshot, revision: Revision) -> bool:
    shown: Sequence[dict[str, object]] = snapshot.agent.status.get("revisions", ())
    for entry in shown:
        if entry.get("name") == revision.name and entry.get("phase") == Phase.DRAINING:
            counts = InvocationCounts.model_validate(entry.get("invocations") or {})
            return counts.total > 0 and not counts.running and not counts.backing_off
    return False

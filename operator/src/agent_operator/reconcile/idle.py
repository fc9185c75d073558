"""An agent that nobody talks to holds no pods, and its next turn wakes it. Pure.

Since when nobody does is noted at the ReplicaSet, so that it outlasts the operator. While turns
come and go the note is moved only now and then; what came later is remembered, and Restate is
asked once more before the pods go.
"""

from datetime import datetime, timedelta
from typing import Final

from agent_operator.api import durations
from agent_operator.reconcile import actions as do
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.reconcile.standing import Standing
from agent_operator.restate.view import RestateView

SHORTEST_STEP: Final = timedelta(seconds=10)


def after(snapshot: Snapshot) -> timedelta | None:
    """How long nobody must have talked to the agent; ``None``: it keeps its pods."""
    scaling = snapshot.agent.spec.scaling
    if scaling is None or scaling.idle is None or snapshot.wanted.replicas == 0:
        return None
    return durations.parse(scaling.idle.after)


def may_sleep(snapshot: Snapshot, standing: Standing) -> bool:
    """Whether a revision without pods may stay so, though it takes the new turns."""
    if after(snapshot) is None or not standing.active:
        return False
    return not called(standing)


def called(standing: Standing) -> bool:
    """Whether an active revision is to have pods: for its own turns, or for work to move there."""
    return standing.awaited or bool(standing.load and standing.load.calls)


def due(snapshot: Snapshot, standing: Standing, now: datetime) -> list[do.Action]:
    """For the active revision, while it has pods: note since when it is idle, let it sleep."""
    revision, load, span = standing.revision, standing.load, after(snapshot)
    if load is None or standing.deployment is None or not revision.replicas:
        return []
    noted = revision.untouched_since
    if span is None:
        return [do.mark_untouched(revision, None)] if noted else []
    if noted is None:
        return [] if called(standing) else [do.mark_untouched(revision, now)]
    since = since_when(snapshot, standing, noted)
    if since - noted >= max(span / 4, SHORTEST_STEP):
        return [do.mark_untouched(revision, since)]
    if called(standing) or now < since + span:
        return []
    return [do.LetSleep(revision, standing.deployment.id, since)]


def since_when(snapshot: Snapshot, standing: Standing, noted: datetime) -> datetime:
    """Since when a revision is untouched: as noted, or as seen later."""
    view = snapshot.restates.get(standing.revision.restate)
    if not isinstance(view, RestateView) or standing.deployment is None:
        return noted
    return max(noted, view.awake.get(standing.deployment.id, noted))


def time_left(snapshot: Snapshot, standing: Standing, now: datetime) -> timedelta | None:
    """Until an active revision may sleep, or until a look should tell whether its turns ended."""
    span, noted = after(snapshot), standing.revision.untouched_since
    if span is None or not standing.active or not standing.revision.replicas:
        return None
    if noted is None or called(standing):
        return max(span, SHORTEST_STEP)
    return since_when(snapshot, standing, noted) + span - now

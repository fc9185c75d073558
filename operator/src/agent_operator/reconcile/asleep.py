"""When there is nothing to watch but revisions that sleep: then cheap questions do. Pure."""

from agent_operator.reconcile import parked
from agent_operator.reconcile.history import at_rest
from agent_operator.reconcile.snapshot import Revision, Snapshot


def only_asleep(snapshot: Snapshot) -> tuple[Revision, ...]:
    """The revisions that have no pods and may be called, if that is all there is to watch."""
    agent, target = snapshot.agent, snapshot.wanted
    if agent.suspended:
        return ()  # whoever is called gets no pods
    active = agent.status.get("activeRevision")
    # A rollout that waits for a place (maxRevisions) may wait for weeks, until a sleeper is done.
    nothing_moves = (
        target.name == active or snapshot.target is None or parked.candidate(snapshot) is not None
    )
    if not agent.deleting and not (active and nothing_moves):
        return ()
    stopped = target.replicas == 0  # by spec.replicas: nothing wakes it
    watched = [r for r in parked.moving(snapshot) if not at_rest(r)]
    sleeping = tuple(
        r
        for r in watched
        if r.replicas == 0 and r.deployment_id and not (stopped and r.name == target.name)
    )
    others = [r for r in watched if r not in sleeping]
    settled = all(r.name == active and not r.waking for r in others)
    return sleeping if settled and (not agent.deleting or not others) else ()

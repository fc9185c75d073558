"""When there is nothing to watch but revisions that sleep: then cheap questions do. Pure."""

from collections.abc import Sequence

from agent_operator.api import AgentDeployment
from agent_operator.reconcile.revisions import Wanted
from agent_operator.reconcile.snapshot import Revision


def only_asleep(
    agent: AgentDeployment, target: Wanted, revisions: Sequence[Revision]
) -> tuple[Revision, ...]:
    """The revisions that have no pods and may be called, if that is all there is to watch."""
    if not agent.deleting and agent.status.get("activeRevision") != target.name:
        return ()
    sleeping = tuple(r for r in revisions if r.replicas == 0 and r.deployment_id)
    others = [r for r in revisions if r not in sleeping]
    settled = all(r.name == target.name and not r.waking for r in others)
    return sleeping if settled and (not agent.deleting or not others) else ()

"""Hands off: an AgentDeployment that its user has suspended is looked at, and not touched. Pure."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from agent_operator.api import Condition, names
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.reconcile.standing import Standing

LOOK_AGAIN: Final = timedelta(seconds=10)


def progress(snapshot: Snapshot, standings: Sequence[Standing]) -> Condition | None:
    """What the condition Progressing says while it is suspended."""
    if not snapshot.agent.suspended:
        return None
    parts = ["nothing is done"]
    if snapshot.agent.deleting:
        parts.append("its deletion waits")
    waking = [
        standing.revision.name
        for standing in standings
        if standing.load and standing.load.wants_pods and not standing.revision.replicas
    ]
    if waking:
        parts.append(f"turns of {', '.join(waking)} wait for pods")
    return Condition(
        type="Progressing",
        status="Unknown",
        reason="Suspended",
        message=f"suspended: {', '.join(parts)}, until the annotation {names.SUSPEND_ANNOTATION}"
        " is removed",
    )

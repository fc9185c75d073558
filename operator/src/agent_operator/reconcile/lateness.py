"""When a candidate has had its time to become active (``progressDeadlineSeconds``). Pure.

The time runs only while it is brought up: not while it has no pods by somebody's wish, waits for
gates or people, or is suspended; and after that from then on.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from agent_operator.api import times
from agent_operator.reconcile import gates
from agent_operator.reconcile.snapshot import Revision, Snapshot

_STOOD_STILL: Final = frozenset({"Suspended", "ScaledToZero", gates.WAITS_FOR_PROMOTION})
"""Reasons of ``Progressing`` while it was somebody's wish that a candidate went no further."""


def deadline(snapshot: Snapshot) -> timedelta:
    """How long a candidate may take."""
    return timedelta(seconds=snapshot.agent.spec.rollout.progress_deadline_seconds)


def time_left(snapshot: Snapshot, revision: Revision, now: datetime) -> timedelta | None:
    """Until a candidate is late (not above zero: it is); ``None`` while its time doesn't run."""
    # Once registered it was active: coming back to it is no first start, and has no deadline.
    if revision is not snapshot.target or revision.deployment_id or snapshot.agent.suspended:
        return None
    # Its pods may still be asked for: after other gates, say.
    if revision.replicas == 0 or snapshot.wanted.replicas == 0 or gates.holds(snapshot, revision):
        return None
    shown = _progress_shown(snapshot)
    if shown.get("reason") in _STOOD_STILL:
        return None  # it goes on just now
    since = max(revision.created, revision.waking_since or revision.created)
    if shown.get("status") == "True" and shown.get("lastTransitionTime"):
        since = max(since, times.parse(shown["lastTransitionTime"]))
    return since + deadline(snapshot) - now


def _progress_shown(snapshot: Snapshot) -> dict[str, Any]:
    """The condition ``Progressing`` as last written."""
    conditions = snapshot.agent.status.get("conditions", ())
    return next((c for c in conditions if c.get("type") == "Progressing"), {})

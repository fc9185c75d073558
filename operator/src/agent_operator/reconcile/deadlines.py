"""When draining has taken long enough, and what is done then. Pure."""

from datetime import datetime, timedelta
from typing import Literal

from agent_operator.api import durations, times
from agent_operator.reconcile.snapshot import Revision, Snapshot

Way = Literal["cancel", "kill", "move"]
_WAYS: dict[str, Way] = {"Cancel": "cancel", "Kill": "kill", "MoveToActive": "move"}


def way_out(snapshot: Snapshot, revision: Revision, now: datetime) -> Way | None:
    """What is due to be done to the invocations that hold a revision, if anything."""
    spec = snapshot.agent.spec
    if snapshot.agent.deleting and spec.deletion_policy in _WAYS:
        return "kill" if _cancelled_for_long(snapshot, now) else _WAYS[spec.deletion_policy]
    left = time_left(snapshot, revision, now)
    if left is None or left > timedelta(0):
        return None
    return _WAYS.get(spec.drain.on_deadline)


def _cancelled_for_long(snapshot: Snapshot, now: datetime) -> bool:
    """Whether a deletion's cancelling has taken longer than the user would wait."""
    drain, deleted = snapshot.agent.spec.drain, snapshot.agent.metadata.deletion_timestamp
    if drain.on_deadline != "Kill" or not drain.deadline or not deleted:
        return False
    return now >= times.parse(deleted) + durations.parse(drain.deadline)


def time_left(snapshot: Snapshot, revision: Revision, now: datetime) -> timedelta | None:
    """Until a revision's deadline (negative: it is over); ``None`` where it has none."""
    deadline, since = snapshot.agent.spec.drain.deadline, draining_since(snapshot, revision)
    return since + durations.parse(deadline) - now if deadline and since else None


def draining_since(snapshot: Snapshot, revision: Revision) -> datetime | None:
    """Since when a revision takes no new turns. In deletion, none does."""
    deleted = snapshot.agent.metadata.deletion_timestamp
    return revision.draining_since or (times.parse(deleted) if deleted else None)

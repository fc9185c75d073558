"""How many revisions may have turns at a time: a rollout beyond that waits. Pure."""

from collections.abc import Sequence

from agent_operator.api import Condition
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.reconcile.standing import Standing
from agent_operator.reconcile.words import counts_in_words, listed

REASON = "MaxRevisions"


def waits(snapshot: Snapshot, standings: Sequence[Standing]) -> bool:
    """Whether the wanted revision may not be made yet. One that was made never waits."""
    limit = snapshot.agent.spec.max_revisions
    if limit is None or snapshot.target is not None or snapshot.agent.deleting:
        return False
    return len(_holders(standings)) >= limit


def progress(snapshot: Snapshot, standings: Sequence[Standing]) -> Condition | None:
    """What the condition Progressing says of a rollout that waits for a place."""
    if not waits(snapshot, standings):
        return None
    holders = _holders(standings)
    return Condition(
        type="Progressing",
        status="True",
        reason=REASON,
        message=f"{snapshot.wanted.name} waits: spec.maxRevisions is"
        f" {snapshot.agent.spec.max_revisions}, and its places are held by"
        f" {listed([_in_words(standing) for standing in holders])}. It goes on once one of them"
        " is drained: answer, cancel or kill what holds it, or raise spec.maxRevisions",
    )


def _holders(standings: Sequence[Standing]) -> list[Standing]:
    """Revisions that take turns, or have some (that sleep, too), the oldest first.

    One that is drained counts no more, though it may have pods for a moment yet: it may be unable
    to go before the wanted one is there (where a Restate lost its registrations).
    """
    return [s for s in standings if s.active or not s.unneeded]


def _in_words(standing: Standing) -> str:
    name = standing.revision.name
    if standing.active:
        return f"{name} (active)"
    if standing.load is None:
        return f"{name} (Restate can't be asked)"
    return f"{name} ({counts_in_words(standing.load.counts)})"

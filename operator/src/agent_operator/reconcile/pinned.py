"""What needs a revision under each id that Restate ever gave it. Pure."""

from dataclasses import replace

from agent_operator.api.status import InvocationCounts
from agent_operator.reconcile.snapshot import Revision
from agent_operator.restate.view import Deployment, Load, RestateView


def loads(
    view: RestateView, revision: Revision, deployment: Deployment | None
) -> tuple[Load, tuple[str, ...]]:
    """What needs a revision under any of its ids, and the lost ids that something is pinned to."""
    before = dict.fromkeys(i for i in (revision.deployment_id, *revision.lost_ids) if i)
    if deployment:
        before.pop(deployment.id, None)
    whole = view.load(deployment.id) if deployment else Load()
    for lost in before:
        whole = _both(view.load(lost), whole)
    return whole, tuple(lost for lost in before if view.load(lost).counts.total)


def _both(old: Load, new: Load) -> Load:
    if not (old.counts.total and new.counts.total):
        return old if old.counts.total else new
    counts = {
        name: getattr(old.counts, name) + getattr(new.counts, name)
        for name in InvocationCounts.model_fields
    }
    oldest = min((o for o in (old.oldest, new.oldest) if o), key=lambda o: o.since, default=None)
    return replace(
        old, counts=InvocationCounts(**counts), oldest=oldest, stuck=(*old.stuck, *new.stuck)
    )

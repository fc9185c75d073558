"""What needs a revision under each id that Restate ever gave it. Pure."""

from dataclasses import replace

from agent_operator.api.status import InvocationCounts
from agent_operator.reconcile.snapshot import Revision
from agent_operator.restate.view import Deployment, Load, RestateView


def loads(
    view: RestateView, revision: Revision, deployment: Deployment | None
) -> tuple[Load, bool]:
    """What needs a revision under its old and its new id, and whether the old one still counts."""
    new = view.load(deployment.id) if deployment else Load()
    if revision.deployment_id is None or (deployment and deployment.id == revision.deployment_id):
        return new, False
    old = view.load(revision.deployment_id)
    return _both(old, new), bool(old.counts.total)


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

"""What keeps a revision in use though it is to go: callers who begin new turns on it. Pure."""

from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.reconcile.standing import Standing
from agent_operator.restate.view import RestateView


def in_words(snapshot: Snapshot, standing: Standing) -> str:
    """What to do about new turns that hold a draining revision; empty where there can be none."""
    view = snapshot.restates.get(standing.revision.restate)
    if not standing.routed or standing.deployment is None or not isinstance(view, RestateView):
        return ""
    names = ", ".join(sorted(s.name for s in view.routed_to(standing.deployment.id)))
    if snapshot.agent.deleting:
        return (
            f". It still takes new turns of {names}, so that approvals can be answered: stop the"
            " callers, or they hold it for as long as they come"
        )
    if standing.revision.restate.url != snapshot.wanted.restate.url:
        return (
            f". {standing.revision.restate.url} still gives it new turns of {names}: point the"
            f" callers to {snapshot.wanted.restate.url}"
        )
    return (
        f". It still takes the new turns of {names}, which {snapshot.wanted.name} no longer has:"
        " stop the callers, or they hold it for as long as they come"
    )

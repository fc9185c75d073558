"""The condition ``Registered``: whether Restate gives new turns to the right revision. Pure.

``GET /services`` says so; the answer to a registration proves nothing.
"""

from collections.abc import Sequence
from typing import Final

from agent_operator.api import Condition
from agent_operator.reconcile.last_active import last_active
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.reconcile.standing import Standing, foreign_holder
from agent_operator.restate.view import RestateView, Unreachable

REGISTERED: Final = "Registered"


def condition(
    snapshot: Snapshot,
    standings: Sequence[Standing],
    active: Standing | None,
    target: Standing | None,
) -> Condition:
    """For the active revision, or for the one that is to become active."""
    standing = active or target
    restate = standing.revision.restate if standing else snapshot.wanted.restate
    view = snapshot.restates.get(restate)
    if isinstance(view, Unreachable):
        return _condition("Unknown", view.reason, f"Restate can't be asked: {view.error}")
    if active and active.deployment and isinstance(view, RestateView):
        names = sorted(service.name for service in view.routed_to(active.deployment.id))
        return _condition(
            "True",
            REGISTERED,
            f"{active.revision.name} is {active.deployment.id} at {restate.url}, which gives it"
            f" the new turns of {', '.join(names)}",
        )
    return _condition("False", *_why_not(snapshot, standings, target))


def taken_over(snapshot: Snapshot, standings: Sequence[Standing]) -> tuple[str, str] | None:
    """Reason and message where somebody else took what the wanted or the last active one served."""
    ours = {snapshot.wanted.name, last_active(snapshot.agent)}
    for standing in standings:
        name = standing.revision.name
        if name in ours and (foreign := foreign_holder(snapshot, standing)):
            message = (
                f"services of {name} were taken over by deployment {foreign.id} at {foreign.uri};"
                " deregister it to take them back"
            )
            return "ServiceTakenOver", message
    return None


def _why_not(
    snapshot: Snapshot, standings: Sequence[Standing], target: Standing | None
) -> tuple[str, str]:
    if snapshot.agent.deleting:
        return "Deleting", "being deleted; Draining says whether anything still takes turns"
    name = snapshot.wanted.name
    if taken := taken_over(snapshot, standings):
        return taken
    if target and target.failure:
        return target.failure.reason, f"{name} failed: {target.failure.message}"
    if target and snapshot.setback:
        return snapshot.setback.reason, f"{name}: {snapshot.setback.message}"
    return "NotRegistered", f"no revision takes turns; {name} is registered once its pods are ready"


def _condition(truth: str, reason: str, message: str) -> Condition:
    return Condition.model_validate(
        {"type": REGISTERED, "status": truth, "reason": reason, "message": message}
    )

"""The label that says what a revision's pods are for: candidate, active, or draining. Pure.

It is in the ReplicaSet's template, so that new pods are born with it, and on the pods that live.
Nothing is written while both are right.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from agent_operator.api import Phase
from agent_operator.reconcile import actions as do
from agent_operator.reconcile.manifests import CANDIDATE
from agent_operator.reconcile.standing import Standing

ACTIVE: Final = "active"
DRAINING: Final = "draining"

_OF_PHASE: Final = {
    Phase.PENDING: CANDIDATE,
    Phase.CHECKING: CANDIDATE,
    Phase.ACTIVE: ACTIVE,
    Phase.DRAINING: DRAINING,
    Phase.DORMANT: DRAINING,
    Phase.DRAINED: DRAINING,
}


def with_roles(standings: Sequence[Standing], actions: Sequence[do.Action]) -> Iterator[do.Action]:
    """The actions, and those that bring labels up to date.

    A note on a ReplicaSet and its label are one request.
    """
    due = {s.revision.name: role for s in standings if (role := _due(s))}
    for action in actions:
        if isinstance(action, do.Annotate) and action.revision.name in due:
            yield replace(action, role=due.pop(action.revision.name))
        else:
            yield action
    for standing in standings:
        revision, role = standing.revision, _role(standing)
        if revision.name in due:
            yield do.Annotate(revision, {}, due[revision.name])
        if role and (pods := tuple(pod for pod, has in revision.pod_roles if has != role)):
            yield do.LabelPods(revision, pods, role)


def _role(standing: Standing) -> str | None:
    """``None`` where it is not known, or does not matter."""
    if not standing.known or standing.revision.role is None:
        return None
    return _OF_PHASE.get(standing.phase)


def _due(standing: Standing) -> str | None:
    """The role to be written into the template, where it has another."""
    role = _role(standing)
    return role if role != standing.revision.role else None

"""Registrations of an agent without a revision: its ReplicaSet was deleted by hand, say. Pure."""

from dataclasses import dataclass

from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.reconcile.standing import full_name, is_of
from agent_operator.restate.server import Server
from agent_operator.restate.view import Deployment, Load, RestateView


@dataclass(frozen=True)
class Ghost:
    """A deployment that no pods can serve any more. ``forgettable``: nothing needs it."""

    restate: Server
    deployment: Deployment
    load: Load
    forgettable: bool


def ghosts_of(snapshot: Snapshot) -> list[Ghost]:
    """The registrations without a revision, of each Restate that can be asked.

    One that still takes turns is left alone, but not in deletion: it would block its services.
    """
    known = {revision.uri for revision in snapshot.revisions}
    if not snapshot.agent.deleting:
        known.add(snapshot.wanted.uri)
    return [
        Ghost(restate, found, view.load(found.id), may_forget(snapshot, view, found.id))
        for restate, view in snapshot.restates.items()
        if isinstance(view, RestateView)
        for found in view.owned_by(full_name(snapshot))
        if found.uri not in known and is_of(snapshot, found)
    ]


def may_forget(snapshot: Snapshot, view: RestateView, deployment_id: str) -> bool:
    """Whether a registration without a revision may go."""
    if view.load(deployment_id).counts.total:
        return False
    return snapshot.agent.deleting or not view.holds_a_route(deployment_id)

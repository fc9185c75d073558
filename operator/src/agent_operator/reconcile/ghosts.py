"""Registrations of an agent without a revision: its ReplicaSet was deleted by hand, say. Pure."""

from dataclasses import dataclass

from agent_operator.api import names
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.reconcile.standing import full_name, is_of
from agent_operator.reconcile.words import counts_in_words
from agent_operator.restate.server import Server
from agent_operator.restate.view import Deployment, Load, RestateView


@dataclass(frozen=True)
class Ghost:
    """A deployment that no pods can serve any more. ``forgettable``: nothing needs it.

    ``routed``: new turns of at least one of its services go to it.
    """

    restate: Server
    deployment: Deployment
    load: Load
    forgettable: bool
    routed: bool

    @property
    def revision(self) -> str:
        """The name of the revision that it was."""
        return self.deployment.metadata.get(names.REVISION_LABEL, "")


def ghosts_of(snapshot: Snapshot) -> list[Ghost]:
    """The registrations without a revision, of each Restate that can be asked.

    One that still takes turns is left alone, but not in deletion: it would block its services.
    """
    known = {revision.uri for revision in snapshot.revisions}
    if not snapshot.agent.deleting:
        known.add(snapshot.wanted.uri)
    return [
        Ghost(
            restate,
            found,
            load=view.load(found.id),
            forgettable=may_forget(snapshot, view, found.id),
            routed=view.holds_a_route(found.id),
        )
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


def in_words(snapshot: Snapshot) -> list[str]:
    """What to do about each ghost that invocations are left behind on.

    While it has the new turns the next active revision takes some of them over.
    """
    return [
        f"{ghost.deployment.id} still has {counts_in_words(ghost.load.counts)}{_oldest(ghost)}, but"
        " its ReplicaSet was deleted, so that they can't go on: kill them in Restate"
        for ghost in ghosts_of(snapshot)
        if ghost.load.counts.total and (snapshot.agent.deleting or not ghost.routed)
    ]


def _oldest(ghost: Ghost) -> str:
    oldest = ghost.load.oldest
    return f", the oldest {oldest.target} ({oldest.id}) since {oldest.since}" if oldest else ""

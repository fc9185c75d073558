"""The Service named like the agent: it leads to the active revision's pods. Pure.

For people and health checks. Restate calls each revision at its own address.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from agent_operator.reconcile import actions as do
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.reconcile.standing import Standing


def due(snapshot: Snapshot, standings: Sequence[Standing]) -> list[do.Action]:
    """Point it to what Restate says takes the new turns, where it points elsewhere."""
    front = snapshot.front
    serving = [s.revision for s in standings if s.known and s.active]
    if front is None or snapshot.agent.deleting or not serving:
        return []
    # Of two that each hold a route, the one that was active, or is to be.
    before = snapshot.agent.status.get("activeRevision")
    wanted = snapshot.wanted.name
    chosen = max(serving, key=lambda r: (r.name == wanted, r.name == before, r.created))
    if (front.revision, front.port) == (chosen.name, port_of(chosen)):
        return []
    return [do.PointService(chosen, port_of(chosen), exists=front.revision is not None)]


def port_of(revision: Revision) -> int:
    """The port at which Restate calls a revision."""
    return urlsplit(revision.uri).port or 80

"""What goes along with a plan's main actions: names, labels, autoscalers, budgets. Pure."""

from collections.abc import Sequence

from agent_operator.reconcile import actions as do
from agent_operator.reconcile import credentials, front, reach, reopening, roles, scaling
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.reconcile.standing import Standing


def around(
    snapshot: Snapshot, standings: Sequence[Standing], actions: Sequence[do.Action]
) -> list[do.Action]:
    """All that is due, in order: an autoscaler goes before anything is scaled."""
    going = {do.revision_of(a) for a in actions if isinstance(a, do.RemoveRevision)}
    staying = [s for s in standings if s.revision.name not in going]
    companions = [action for s in staying for action in scaling.companions(snapshot, s)]
    first = [a for a in companions if isinstance(a, do.SetAutoscaler) and a.autoscaler is None]
    return [
        *first,
        *roles.with_roles(staying, actions),
        *(action for s in staying for action in reach.due(s)),
        *front.due(snapshot, standings),
        *(action for action in companions if action not in first),
        *reopening.due(staying),
        *credentials.renew(snapshot, staying),
    ]

"""Services that were closed to the ingress for a removal that did not come about. Pure.

Before the last look at a revision its services are closed, so that no turn slips in. An operator
killed right then would leave them closed: so they are written down first, and whoever looks next
opens them again. Only those: a service may be closed by its users, on purpose.
"""

from collections.abc import Sequence

from agent_operator.reconcile import actions as do
from agent_operator.reconcile.standing import Standing


def due(staying: Sequence[Standing]) -> list[do.Action]:
    """What is to be opened: what was closed for a removal that is not planned any more."""
    return [do.ReopenServices(s.revision) for s in staying if s.known and s.revision.closed]

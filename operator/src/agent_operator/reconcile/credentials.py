"""Keeping the record of a Restate's credentials current: a spec may name other Secrets. Pure."""

from collections.abc import Sequence

from agent_operator.reconcile import actions as do
from agent_operator.reconcile import restates
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.reconcile.standing import Standing


def renew(snapshot: Snapshot, staying: Sequence[Standing]) -> list[do.Action]:
    """Where the spec names other credentials for the same server, all revisions there use them.

    They must be on record: the spec may name another server next, while old turns still drain.
    """
    restate, namespace = snapshot.wanted.restate, snapshot.agent.metadata.namespace
    return [
        do.Annotate(s.revision, restates.credentials_notes(restate, namespace))
        for s in staying
        if s.revision.restate.url == restate.url and s.revision.restate != restate
    ]

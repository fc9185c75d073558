"""Keeping the record of a Restate's credentials current: a spec may name other Secrets. Pure."""

from agent_operator.reconcile import actions as do
from agent_operator.reconcile import restates
from agent_operator.reconcile.snapshot import Snapshot


def renew(snapshot: Snapshot) -> list[do.Action]:
    """Where the spec names other credentials for the same server, all revisions there use them.

    They must be on record: the spec may name another server next, while old turns still drain.
    """
    restate, namespace = snapshot.wanted.restate, snapshot.agent.metadata.namespace
    return [
        do.Annotate(revision, restates.credentials_notes(restate, namespace))
        for revision in snapshot.revisions
        if revision.restate.url == restate.url and revision.restate != restate
    ]

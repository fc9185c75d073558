"""Carry out a repin: what is pinned to a lost deployment's id goes on under its new one."""

import logging

from agent_operator.reconcile.actions import RepinInvocations
from agent_operator.reconcile.errors import NotNowError
from agent_operator.restate.client import RestateClient
from agent_operator.restate.invocations import Invocations

log = logging.getLogger(__name__)


async def repin(action: RepinInvocations, client: RestateClient) -> None:
    """Take each invocation one step further: those at work are paused, and resumed in a later look.

    A crash in between leaves some paused, and still pinned to the old id: the next look finds them.

    Raises:
        NotNowError: always, while any was left; whether they go on is seen later.
    """
    invocations = Invocations(client)
    held = await invocations.pinned_to(action.old_id)
    for invocation in held:
        if invocation.at_rest:
            await invocations.resume(invocation.id, action.new_id)
        elif invocation.at_work:
            await invocations.pause(invocation.id)
    if held:
        log.warning(
            "%s: %s is lost; %d invocations go on as %s",
            action.revision.name, action.old_id, len(held), action.new_id,
        )  # fmt: skip
        raise NotNowError(f"{len(held)} invocations are told that {action.new_id} is the new id")

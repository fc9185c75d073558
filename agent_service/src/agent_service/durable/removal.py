"""Handlers that end things: a turn that runs in a session, or the session itself."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final, cast

import restate
from restate.retry_policy import InvocationRetryPolicy

from agent_service.api import CancelReceipt, DeleteReceipt
from agent_service.durable.children import CHILDREN, Child, children_in
from agent_service.durable.identity import session_of
from agent_service.durable.keeping import Keeping
from agent_service.durable.session_store import running_turn
from agent_service.durable.shared_state import SharedState
from agent_service.durable.stores import Reader
from agent_service.durable.streams import Streams

ERASE_CHILD: Final = "erase_child"

# An agent that Restate doesn't know any more has nothing to delete for a day, and never will have.
DISOWNING: Final = InvocationRetryPolicy(
    initial_interval=timedelta(seconds=1),
    exponentiation_factor=2.0,
    max_interval=timedelta(minutes=10),
    max_attempts=150,
    on_max_attempts="kill",
)


def add_removal(
    service: restate.VirtualObject, shared: SharedState, keeping: Keeping, streams: Streams
) -> None:
    """Gives an agent's virtual object the handlers ``cancel`` and ``delete``."""

    @service.handler(kind="shared")
    async def cancel(ctx: restate.ObjectSharedContext) -> CancelReceipt:
        """Cancels the turn that runs in the session; others that wait for it are taken next."""
        session_of(ctx)
        return CancelReceipt(cancelled=await _cancel(ctx))

    @service.handler(
        name=ERASE_CHILD,
        kind="shared",
        ingress_private=True,
        input_serde=CHILDREN,
        invocation_retry_policy=DISOWNING,
    )
    async def erase_child(ctx: restate.ObjectSharedContext, child: Child) -> None:
        """Deletes a session of another agent that belonged to this one."""
        ctx.generic_send(child.agent, "delete", b"", child.session)

    @service.handler(ingress_private=True)
    async def erase(ctx: restate.ObjectContext) -> DeleteReceipt:
        """Removes everything of the session; waits until no turn runs in it."""
        identity = session_of(ctx)
        keys = await ctx.state_keys()
        await keeping.forget_session(ctx, identity)
        disown(ctx, service.name, children_in(keys))
        ctx.clear_all()
        await streams.forget(ctx, ctx.key())
        if identity.user:
            await shared.forget(ctx, identity.user, identity.session)
        return DeleteReceipt(deleted=bool(keys))

    @service.handler(kind="shared")
    async def delete(ctx: restate.ObjectSharedContext) -> DeleteReceipt:
        """Deletes the session with all that it keeps; a turn that runs in it is cancelled."""
        session_of(ctx)
        await _cancel(ctx)
        return await ctx.object_call(erase, ctx.key(), None)


def disown(ctx: restate.ObjectContext, agent: str, children: Iterable[Child]) -> None:
    """Has the sessions of other agents deleted that belong to this one.

    Each by an invocation of its own: Restate takes no call of an agent that it doesn't know, and
    the session must not wait for that.
    """
    for child in children:
        ctx.generic_send(agent, ERASE_CHILD, CHILDREN.serialize(child), ctx.key())


async def _cancel(ctx: restate.ObjectSharedContext) -> str:
    """Cancels the turn that runs, if one does; returns its invocation id."""
    running = await running_turn(cast("Reader", ctx))
    if running:
        # One that was killed is cancelled in vain, which does no harm.
        ctx.cancel_invocation(running)
    return running

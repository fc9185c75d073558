"""Handlers that end things: a turn that runs in a session, or the session itself."""

from __future__ import annotations

from typing import cast

import restate

from agent_service.api import CancelReceipt, DeleteReceipt
from agent_service.durable.eager import sent_state
from agent_service.durable.identity import session_of
from agent_service.durable.keeping import Keeping
from agent_service.durable.sessions import Reader, running_turn
from agent_service.durable.shared_state import SharedState
from agent_service.durable.streams import Streams


def add_removal(
    service: restate.VirtualObject, shared: SharedState, keeping: Keeping, streams: Streams
) -> None:
    """Gives an agent's virtual object the handlers ``cancel`` and ``delete``."""

    @service.handler(kind="shared")
    async def cancel(ctx: restate.ObjectSharedContext) -> CancelReceipt:
        """Cancels the turn that runs in the session; others that wait for it are taken next."""
        session_of(ctx)
        return CancelReceipt(cancelled=await _cancel(ctx))

    @service.handler(ingress_private=True)
    async def erase(ctx: restate.ObjectContext) -> DeleteReceipt:
        """Removes everything of the session; waits until no turn runs in it."""
        identity = session_of(ctx)
        there = bool(await ctx.state_keys())
        await keeping.forget_session(ctx, identity)
        ctx.clear_all()
        await streams.forget(ctx, ctx.key())
        if identity.user:
            await shared.forget(ctx, identity.user, identity.session)
        return DeleteReceipt(deleted=there)

    @service.handler(kind="shared")
    async def delete(ctx: restate.ObjectSharedContext) -> DeleteReceipt:
        """Deletes the session with all that it keeps; a turn that runs in it is cancelled."""
        session_of(ctx)
        await _cancel(ctx)
        return await ctx.object_call(erase, ctx.key(), None)


async def _cancel(ctx: restate.ObjectSharedContext) -> str:
    """Cancels the turn that runs, if one does; returns its invocation id."""
    running = await running_turn(cast("Reader", ctx), sent_state())
    if running:
        # One that was killed is cancelled in vain, which does no harm.
        ctx.cancel_invocation(running)
    return running

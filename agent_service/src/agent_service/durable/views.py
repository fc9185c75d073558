"""A session as its callers read it: whole, or some of its events."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import cast

import restate
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.session import Session
from restate import TerminalError

from agent_service.api import SessionQuery, SessionView
from agent_service.durable.eager import sent_state
from agent_service.durable.identity import SessionId
from agent_service.durable.session_store import read_session
from agent_service.durable.sessions import Shared, filtered, with_shared
from agent_service.durable.shared_state import SharedState
from agent_service.durable.stores import Reader


async def view(
    context: restate.ObjectSharedContext,
    agent: str,
    identity: SessionId,
    query: SessionQuery,
    shared: SharedState,
) -> SessionView:
    """Reads a session, with the state that it shares.

    Raises:
        restate.TerminalError: 404, there is none.
    """
    app = (await shared.app_state(context, time.time())).state
    user = (await shared.user_state(context, identity.user)).state if identity.user else None
    # Last: nothing may be journaled after what was read past the journal, which may have changed.
    stored = await read_session(cast("Reader", context), sent_state())
    if stored is None:
        raise TerminalError(f"{agent} has no session {identity.key!r}", HTTPStatus.NOT_FOUND)
    session = Session(id=identity.session, app_name=agent, user_id="", events=stored.events)
    return SessionView(
        agent=agent,
        user=identity.user,
        session=identity.session,
        created_at=_moment(stored.created_at),
        updated_at=_moment(stored.updated_at),
        turns=len(stored.turns),
        state=with_shared(stored.state, Shared(user, app)),
        events=[
            event.model_dump(mode="json", by_alias=True, exclude_none=True)
            for event in filtered(session, _config(query)).events
        ],
    )


def _config(query: SessionQuery) -> GetSessionConfig:
    after = query.after_timestamp
    return GetSessionConfig(
        num_recent_events=query.num_recent_events,
        after_timestamp=after.timestamp() if after is not None else None,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

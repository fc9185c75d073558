"""Other sessions of the same agent, as a turn's session service reaches them: through Restate."""

from __future__ import annotations

import builtins

import restate
from google.adk.events.event import Event
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.session import Session
from restate import TerminalError

from agent_service.api import SessionEntry, SessionQuery, SessionView
from agent_service.durable.identity import SessionId
from agent_service.durable.shared_state import SharedState


class Peers:
    """Sessions that live in other virtual objects of the agent.

    Args:
        context: Restate's context of the turn.
        agent: the virtual object's name.
        shared: its companions.
    """

    def __init__(self, context: restate.ObjectContext, agent: str, shared: SharedState) -> None:
        self._context = context
        self._agent = agent
        self._shared = shared

    async def get(self, other: SessionId, config: GetSessionConfig | None) -> Session | None:
        """Reads another session; ``None``: there is none."""
        query = SessionQuery.model_validate(config.model_dump() if config is not None else {})
        body = query.model_dump_json(exclude_none=True).encode()
        try:
            answer = await self._context.generic_call(self._agent, "get", body, other.key)
        except TerminalError as error:
            if error.status_code == 404:
                return None
            raise
        view = SessionView.model_validate_json(answer)
        events = [Event.model_validate(event) for event in view.events]
        return self._session(other, view.updated_at.timestamp(), view.state, events)

    async def list(self, user_id: str | None) -> list[Session]:
        """Lists a user's sessions, or those of all users that have been named for one."""
        if user_id is not None:
            owner = SessionId.for_adk(user_id, user_id.removeprefix(":"))
            users = [] if owner is None or not owner.user else [owner.user]
        else:
            users = await self._shared.user_names(self._context)
        found: list[Session] = []
        for user in users:
            listed = await self._shared.sessions(self._context, user)
            found += [self._listed(user, entry) for entry in listed.sessions]
        return found

    async def delete(self, other: SessionId) -> None:
        """Deletes another session, once what runs in it has been cancelled and has ended."""
        await self._context.generic_call(self._agent, "delete", b"", other.key)

    async def user_state(self, user: str) -> dict[str, object]:
        """Reads another user's state."""
        return (await self._shared.user_state(self._context, user)).state

    def _listed(self, user: str, entry: SessionEntry) -> Session:
        owner = SessionId(user, entry.session)
        return self._session(owner, entry.updated_at.timestamp(), {}, [])

    def _session(
        self,
        owner: SessionId,
        updated_at: float,
        state: dict[str, object],
        events: builtins.list[Event],
    ) -> Session:
        return Session(
            id=owner.session,
            app_name=self._agent,
            user_id=owner.user_id,
            state=state,
            events=events,
            last_update_time=updated_at,
        )

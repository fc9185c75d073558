"""What sessions share: ``user:`` state and the list of a user's sessions, and ``app:`` state.

A virtual object can't read another one's state, so two more of them go with each agent's:

================= ============== ==================================================================
object            key            keeps
================= ============== ==================================================================
``{Agent}.users`` the user       ``profile``: the ``user:`` state; ``session/...``: their sessions
``{Agent}.app``   ``app``        ``profile``: the ``app:`` state; ``user/...``: who has sessions
================= ============== ==================================================================

A turn calls the first once when it begins, if its session names a user, and either one at its end
only if it changed something. Changes are merged by key, so turns that run at the same time don't
undo each other's. ``app:`` state is read through a cache of the process, for a call in every turn
would make one object the bottleneck of all (docs/decisions/0032).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Final

import restate
from pydantic import BaseModel

from agent_service.api import SessionEntry, SessionList, UserList
from agent_service.durable.companions import HIDDEN, companion
from agent_service.durable.identity import SessionId
from agent_service.durable.stores import ModelSerde

APP_KEY: Final = "app"
FRESH_SECONDS: Final = 1.0

_PROFILE: Final = "profile"
_SESSION_PREFIX: Final = "session/"
_USER_PREFIX: Final = "user/"


class Profile(BaseModel):
    """State of one scope.

    Attributes:
        version: counts the changes.
        state: by key, without the scope's prefix.
    """

    version: int = 0
    state: dict[str, Any] = {}

    def merged(self, changed: dict[str, Any]) -> Profile:
        """Returns it with some keys changed."""
        return Profile(version=self.version + 1, state={**self.state, **changed})


class Opening(BaseModel):
    """A turn begins in a user's session; times are seconds since 1970."""

    session: str
    created_at: float
    at: float


class Changes(BaseModel):
    """What a turn changed of a scope's state, by key without the prefix."""

    state: dict[str, Any]


class _Entry(BaseModel):
    created_at: float
    updated_at: float


class Name(BaseModel):
    """A session's or a user's."""

    name: str


class Saved(BaseModel):
    """What a turn changed of the state that sessions share, as its journal has it."""

    at: float
    user: dict[str, Any] = {}
    app: dict[str, Any] = {}


_PROFILES = ModelSerde(Profile)
_ENTRIES = ModelSerde(_Entry)
_NAMES = ModelSerde(Name)
_OPENINGS = ModelSerde(Opening)
_CHANGES = ModelSerde(Changes)


class AppCache:
    """The ``app:`` state as this process last read it."""

    def __init__(self) -> None:
        self._profile = Profile()
        self._read_at = 0.0

    def fresh(self) -> Profile | None:
        """Returns it unless it was read too long ago."""
        return self._profile if time.time() - self._read_at < FRESH_SECONDS else None

    def take(self, profile: Profile, read_at: float) -> None:
        """Keeps what was read, unless something later is known; a replay reads old things."""
        if (profile.version, read_at) > (self._profile.version, self._read_at):
            self._profile, self._read_at = profile, read_at


class SharedState:
    """The companions of one agent's virtual object, and what its turns call them for.

    Args:
        agent: the virtual object's name.
        options: what all services are served with.
    """

    def __init__(self, agent: str, options: dict[str, Any]) -> None:
        self._agent = agent
        self._cache = AppCache()
        self.app = companion(agent, "app", f"app: state of {agent}", options)
        self.users = companion(
            agent, "users", f"user: state and sessions of {agent}'s users", options
        )
        self._serve_app()
        self._serve_users()

    def cached(self) -> Profile | None:
        """The ``app:`` state, if this process read it just now; for a turn's first step."""
        return self._cache.fresh()

    async def app_state(
        self, context: restate.ObjectContext | restate.ObjectSharedContext, at: float
    ) -> Profile:
        """Reads the ``app:`` state; ``at`` is the time by the journal."""
        found = await context.object_call(self._read_app, APP_KEY, None)
        self._cache.take(found, at)
        return found

    async def user_state(
        self, context: restate.ObjectContext | restate.ObjectSharedContext, user: str
    ) -> Profile:
        """Reads a user's ``user:`` state."""
        return await context.object_call(self._read_user, user, None)

    async def open(self, context: restate.ObjectContext, user: str, opening: Opening) -> Profile:
        """Says that a turn of a user's session begins; returns the ``user:`` state."""
        return await context.object_call(self._open, user, opening)

    async def save(
        self,
        context: restate.ObjectContext,
        user: str,
        user_state: dict[str, Any],
        app_state: dict[str, Any],
    ) -> None:
        """Merges what a turn changed into the state that sessions share."""

        async def note() -> Saved:
            return Saved(at=time.time(), user=user_state, app=app_state)

        # Through a step: a tool that runs again may make other values, and calls must not differ.
        saved = await context.run_typed("shared state", note)
        if saved.user:
            await context.object_call(self._merge_user, user, Changes(state=saved.user))
        if saved.app:
            profile = await context.object_call(self._merge_app, APP_KEY, Changes(state=saved.app))
            self._cache.take(profile, saved.at)

    async def sessions(
        self, context: restate.ObjectContext | restate.ObjectSharedContext, user: str
    ) -> SessionList:
        """Lists a user's sessions."""
        return await context.object_call(self._list, user, None)

    async def user_names(self, context: restate.ObjectContext) -> list[str]:
        """Lists the users who have sessions."""
        return (await context.object_call(self._users, APP_KEY, None)).users

    async def forget(self, context: restate.ObjectContext, user: str, session: str) -> None:
        """Says that a user's session is no more."""
        await context.object_call(self._forget, user, Name(name=session))

    def forget_later(self, context: restate.ObjectContext, user: str, session: str) -> None:
        """Says so, and waits for nobody."""
        context.object_send(self._forget, user, Name(name=session))

    def _serve_app(self) -> None:
        @self.app.handler(kind="shared", output_serde=_PROFILES, **HIDDEN)
        async def read(ctx: restate.ObjectSharedContext) -> Profile:
            """Returns the app: state."""
            return await ctx.get(_PROFILE, serde=_PROFILES) or Profile()

        @self.app.handler(input_serde=_CHANGES, output_serde=_PROFILES, **HIDDEN)
        async def merge(ctx: restate.ObjectContext, changes: Changes) -> Profile:
            """Changes some keys of the app: state."""
            return await _merge(ctx, changes)

        @self.app.handler(input_serde=_NAMES, **HIDDEN)
        async def join(ctx: restate.ObjectContext, user: Name) -> None:
            """Notes that a user has a session."""
            ctx.set(f"{_USER_PREFIX}{user.name}", user, serde=_NAMES)

        @self.app.handler(kind="shared")
        async def users(ctx: restate.ObjectSharedContext) -> UserList:
            """Lists the users who have had sessions."""
            keys = [k for k in await ctx.state_keys() if k.startswith(_USER_PREFIX)]
            names = sorted(key.removeprefix(_USER_PREFIX) for key in keys)
            return UserList(agent=self._agent, users=names)

        self._read_app, self._merge_app, self._join, self._users = read, merge, join, users

    def _serve_users(self) -> None:
        @self.users.handler(name="open", input_serde=_OPENINGS, output_serde=_PROFILES, **HIDDEN)
        async def open_session(ctx: restate.ObjectContext, opening: Opening) -> Profile:
            """Notes that a turn of a session begins, and returns the user: state."""
            profile = await ctx.get(_PROFILE, serde=_PROFILES)
            if profile is None:
                profile = Profile()
                ctx.set(_PROFILE, profile, serde=_PROFILES)
                ctx.object_send(self._join, APP_KEY, Name(name=ctx.key()))
            entry = _Entry(created_at=opening.created_at, updated_at=opening.at)
            ctx.set(f"{_SESSION_PREFIX}{opening.session}", entry, serde=_ENTRIES)
            return profile

        @self.users.handler(kind="shared", name="state", output_serde=_PROFILES, **HIDDEN)
        async def read(ctx: restate.ObjectSharedContext) -> Profile:
            """Returns the user: state."""
            return await ctx.get(_PROFILE, serde=_PROFILES) or Profile()

        @self.users.handler(input_serde=_CHANGES, output_serde=_PROFILES, **HIDDEN)
        async def merge(ctx: restate.ObjectContext, changes: Changes) -> Profile:
            """Changes some keys of the user: state."""
            return await _merge(ctx, changes)

        @self.users.handler(input_serde=_NAMES, **HIDDEN)
        async def forget(ctx: restate.ObjectContext, session: Name) -> None:
            """Notes that a session was deleted; the user: state stays."""
            ctx.clear(f"{_SESSION_PREFIX}{session.name}")

        @self.users.handler(name="list", kind="shared")
        async def list_sessions(ctx: restate.ObjectSharedContext) -> SessionList:
            """Lists the user's sessions, the latest used first."""
            found = []
            for key in await ctx.state_keys():
                if not key.startswith(_SESSION_PREFIX):
                    continue
                entry = await ctx.get(key, serde=_ENTRIES)
                if entry is not None:
                    found.append(_listed(ctx.key(), key.removeprefix(_SESSION_PREFIX), entry))
            found.sort(key=lambda one: one.updated_at, reverse=True)
            return SessionList(agent=self._agent, user=ctx.key(), sessions=found)

        self._open, self._read_user, self._merge_user = open_session, read, merge
        self._forget, self._list = forget, list_sessions


async def _merge(ctx: restate.ObjectContext, changes: Changes) -> Profile:
    profile = (await ctx.get(_PROFILE, serde=_PROFILES) or Profile()).merged(changes.state)
    ctx.set(_PROFILE, profile, serde=_PROFILES)
    return profile


def _listed(user: str, session: str, entry: _Entry) -> SessionEntry:
    return SessionEntry(
        session=session,
        key=SessionId(user, session).key,
        created_at=datetime.fromtimestamp(entry.created_at, UTC),
        updated_at=datetime.fromtimestamp(entry.updated_at, UTC),
    )

"""Where an agent's artifacts are: one virtual object for each session, and one for each user.

======================= =========== ===========================================================
object                  key         keeps
======================= =========== ===========================================================
``{Agent}.artifacts``   a session   its artifacts
                        ``user:``   those that the user's sessions share (names with ``user:``)
======================= =========== ===========================================================

Its state has, of each artifact, ``file/{name}``: how many versions there are, and of each version
``version/{number}/{name}``: what it is; and, where no store is set for large things,
``content/{number}/{name}``. In a store, contents have names of their own; they are read by those,
past the journal. A version never changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, Literal

import restate
from google.adk.artifacts.base_artifact_service import BaseArtifactService
from pydantic import BaseModel, ConfigDict
from restate import RunOptions, TerminalError

from agent_service.api import ArtifactContent, ArtifactEntry, ArtifactList, ArtifactQuery
from agent_service.durable.blobs import BlobStore
from agent_service.durable.companions import HIDDEN, companion
from agent_service.durable.identity import SessionId, session_of
from agent_service.durable.requests import RequestSerde, readable
from agent_service.durable.stores import ModelSerde

# A turn that goes on may have read what another one deletes, and reads it again when it replays.
SWEEP_AFTER: Final = timedelta(days=1)

_FILE, _VERSION, _CONTENT = "file/", "version/", "content/"


class Kept(BaseModel):
    """What is kept of one version.

    Attributes:
        kind: bytes, a text, or a reference to a file elsewhere.
        mime_type: of bytes and files.
        display_name: likewise.
        file_uri: where the file is.
        size: of the content in bytes.
        blob: the content's name in the store; empty: it isn't there.
        data: the content, where it isn't in a store.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    kind: Literal["bytes", "text", "file"]
    mime_type: str | None = None
    display_name: str | None = None
    file_uri: str | None = None
    size: int = 0
    blob: str = ""
    data: bytes = b""


class Save(BaseModel):
    """A new version of an artifact, as the journal of the turn that saves it has it."""

    name: str
    kept: Kept
    metadata: dict[str, Any] = {}


class Version(BaseModel):
    """One version; ``kept`` is without its content."""

    number: int
    created_at: float
    kept: Kept
    metadata: dict[str, Any] = {}


class Which(BaseModel):
    """A version of an artifact; without a number the latest."""

    name: str
    number: int | None = None


class Versions(BaseModel):
    """All of an artifact's versions, in order."""

    versions: list[Version] = []


class Names(BaseModel):
    """Artifacts, or blobs."""

    names: list[str] = []


class Latest(BaseModel):
    """Artifacts as callers see them."""

    entries: list[ArtifactEntry] = []


class _File(BaseModel):
    versions: int


_FILES = ModelSerde(_File)
_KEPT = ModelSerde(Kept)
_LATEST = ModelSerde(Latest)
_SAVES = ModelSerde(Save)
_VERSION_SERDE = ModelSerde(Version)
_VERSIONS = ModelSerde(Versions)
_WHICH = ModelSerde(Which)
_NAMES = ModelSerde(Names)

type Reading = restate.ObjectContext | restate.ObjectSharedContext


class ArtifactObjects:
    """The companion that keeps one agent's artifacts, and what its turns call it for.

    Args:
        agent: the agent's virtual object.
        options: what all services are served with.
        store: for the contents; without one they are in Restate.
        own: the author's service that keeps them instead, if there is one.
    """

    def __init__(
        self,
        agent: str,
        options: dict[str, Any],
        store: BlobStore | None,
        own: BaseArtifactService | None = None,
    ) -> None:
        self._agent = agent
        self._store = store
        self._own = own
        self.service = companion(
            agent, "artifacts", f"artifacts of {agent}'s sessions and users", options
        )
        self._serve_turns()
        self._serve_removal()
        self._serve_callers()

    async def save(self, context: restate.ObjectContext, key: str, save: Save) -> int:
        """Adds a version; returns its number."""
        return await context.object_call(self._save, key, save)

    async def find(self, context: Reading, key: str, which: Which) -> Version | None:
        """Says what a version is."""
        return await context.object_call(self._find, key, which)

    async def content(self, context: Reading, key: str, name: str, version: Version) -> bytes:
        """Reads a version's content, past the journal if it is in the store.

        Raises:
            restate.TerminalError: 410, it has been deleted since.
        """
        kept = version.kept
        if kept.blob:
            found = await self._from_store(name, kept.blob)
        else:
            which = Which(name=name, number=version.number)
            answer = await context.object_call(self._content, key, which)
            found = None if answer is None else answer.data
        if found is None:
            raise TerminalError(
                f"artifact {name!r}, version {version.number}, was deleted", HTTPStatus.GONE
            )
        return found

    async def names(self, context: Reading, key: str) -> list[str]:
        """Lists artifacts."""
        return (await context.object_call(self._names, key, None)).names

    async def versions(self, context: Reading, key: str, name: str) -> list[Version]:
        """Lists an artifact's versions."""
        return (await context.object_call(self._versions, key, Which(name=name))).versions

    async def delete(self, context: restate.ObjectContext, key: str, name: str) -> None:
        """Deletes an artifact with all its versions."""
        await context.object_call(self._delete, key, Which(name=name))

    async def clear(self, context: restate.ObjectContext, identity: SessionId) -> None:
        """Deletes all artifacts of a session, not those of its user."""
        await context.object_call(self._clear, identity.key, None)

    def clear_later(self, context: restate.ObjectContext, identity: SessionId) -> None:
        """Deletes them, and waits for nobody."""
        context.object_send(self._clear, identity.key, None)

    def _serve_turns(self) -> None:
        @self.service.handler(input_serde=_SAVES, **HIDDEN)
        async def save(ctx: restate.ObjectContext, save: Save) -> int:
            """Adds a version of an artifact."""
            file = await ctx.get(f"{_FILE}{save.name}", serde=_FILES) or _File(versions=0)
            number, kept = file.versions, save.kept
            version = Version(
                number=number,
                created_at=await ctx.time(),
                kept=kept.model_copy(update={"data": b""}),
                metadata=save.metadata,
            )
            ctx.set(_key(_VERSION, save.name, number), version, serde=_VERSION_SERDE)
            if not kept.blob:
                ctx.set(_key(_CONTENT, save.name, number), kept, serde=_KEPT)
            ctx.set(f"{_FILE}{save.name}", _File(versions=number + 1), serde=_FILES)
            return number

        @self.service.handler(kind="shared", input_serde=_WHICH, output_serde=_KEPT, **HIDDEN)
        async def content(ctx: restate.ObjectSharedContext, which: Which) -> Kept | None:
            """Returns a version with its content."""
            return await ctx.get(_key(_CONTENT, which.name, which.number or 0), serde=_KEPT)

        @self.service.handler(
            kind="shared", input_serde=_WHICH, output_serde=_VERSION_SERDE, **HIDDEN
        )
        async def find(ctx: restate.ObjectSharedContext, which: Which) -> Version | None:
            """Says what a version is."""
            return await _find(ctx, which)

        @self.service.handler(kind="shared", output_serde=_NAMES, **HIDDEN)
        async def names(ctx: restate.ObjectSharedContext) -> Names:
            """Lists the artifacts."""
            return Names(names=_files(await ctx.state_keys()))

        @self.service.handler(kind="shared", input_serde=_WHICH, output_serde=_VERSIONS, **HIDDEN)
        async def versions(ctx: restate.ObjectSharedContext, which: Which) -> Versions:
            """Lists an artifact's versions."""
            keys = _versions(await ctx.state_keys(), which.name)
            found = [await _version(ctx, key) for key in keys]
            return Versions(versions=[version for version in found if version is not None])

        self._save, self._find, self._content = save, find, content
        self._names, self._versions = names, versions

    def _serve_removal(self) -> None:
        @self.service.handler(kind="shared", input_serde=_NAMES, **HIDDEN)
        async def sweep(_ctx: restate.ObjectSharedContext, blobs: Names) -> None:
            """Removes contents that nothing refers to any more."""
            await self._remove(blobs.names)

        @self.service.handler(input_serde=_WHICH, **HIDDEN)
        async def delete(ctx: restate.ObjectContext, which: Which) -> None:
            """Deletes an artifact."""
            keys = await ctx.state_keys()
            mine = _versions(keys, which.name)
            blobs = await _blobs(ctx, mine)
            for key in mine:
                ctx.clear(key)
                ctx.clear(key.replace(_VERSION, _CONTENT, 1))
            ctx.clear(f"{_FILE}{which.name}")
            if blobs:
                ctx.object_send(sweep, ctx.key(), Names(names=blobs), send_delay=SWEEP_AFTER)

        @self.service.handler(**HIDDEN)
        async def clear(ctx: restate.ObjectContext) -> None:
            """Deletes all artifacts with their contents, those of an author's service too."""
            if self._own is not None:
                await _delete_there(ctx, self._own, self._agent)
            keys = await ctx.state_keys()
            blobs = await _blobs(ctx, [key for key in keys if key.startswith(_VERSION)])
            if blobs:
                # First, so that what can't be removed now is still known when it is tried again.
                await self._remove(blobs)
            ctx.clear_all()

        self._delete, self._clear = delete, clear

    def _serve_callers(self) -> None:
        @self.service.handler(kind="shared", output_serde=_LATEST, **HIDDEN)
        async def entries(ctx: restate.ObjectSharedContext) -> Latest:
            """Lists the artifacts, each with its latest version."""
            return await _latest(ctx)

        @self.service.handler(name="list", kind="shared", state_preload=False)
        async def list_artifacts(ctx: restate.ObjectSharedContext) -> ArtifactList:
            """Lists a session's artifacts, each with its latest version, and its user's."""
            identity = session_of(ctx)
            found = [await _latest(ctx)]
            found += [
                await ctx.object_call(entries, key, None)
                for key in scopes(identity)
                if key != ctx.key()
            ]
            return ArtifactList(
                agent=self._agent,
                user=identity.user,
                session=identity.session,
                artifacts=[entry for latest in found for entry in latest.entries],
            )

        @self.service.handler(
            kind="shared", input_serde=RequestSerde(ArtifactQuery), state_preload=False
        )
        async def load(ctx: restate.ObjectSharedContext, request: ArtifactQuery) -> ArtifactContent:
            """Returns a version of an artifact, its content included."""
            asked = readable(request)
            identity = session_of(ctx)
            key = scope_of(identity, asked.name)
            version = await self.find(ctx, key, Which(name=asked.name, number=asked.version))
            if version is None:
                raise TerminalError(
                    f"session {identity.key!r} has no such artifact: {asked.name!r}"
                    + ("" if asked.version is None else f", version {asked.version}"),
                    HTTPStatus.NOT_FOUND,
                )
            data = b""
            if version.kept.kind != "file":
                data = await self.content(ctx, key, asked.name, version)
            return _shown(asked.name, version, data)

    async def _from_store(self, name: str, blob: str) -> bytes | None:
        if self._store is None:
            raise TerminalError(
                f"artifact {name!r} is in a store, and AGENT_ARTIFACTS_URL isn't set",
                HTTPStatus.SERVICE_UNAVAILABLE,
            )
        return await self._store.get(blob)

    async def _remove(self, blobs: list[str]) -> None:
        # Without a step: to remove them twice does no harm.
        if self._store is None:
            raise TerminalError(
                f"{len(blobs)} contents are in a store, and AGENT_ARTIFACTS_URL isn't set",
                HTTPStatus.SERVICE_UNAVAILABLE,
            )
        await self._store.delete(blobs)


def scope_of(identity: SessionId, name: str) -> str:
    """The key of the object that keeps an artifact of a session."""
    return user_scope(identity) if name.startswith("user:") else identity.key


def user_scope(identity: SessionId) -> str:
    """The key of what a user's sessions share; a session without one shares it with nobody."""
    return SessionId(identity.user, "-").key[:-1] if identity.user else identity.key


def scopes(identity: SessionId) -> list[str]:
    """The keys of all objects with artifacts that a session sees."""
    return list(dict.fromkeys((identity.key, user_scope(identity))))


async def _delete_there(ctx: restate.ObjectContext, own: BaseArtifactService, agent: str) -> None:
    identity = session_of(ctx)
    where = {"app_name": agent, "user_id": identity.user_id, "session_id": identity.session}

    async def delete() -> None:
        for name in await own.list_artifact_keys(**where):
            if not name.startswith("user:"):
                await own.delete_artifact(**where, filename=name)

    await ctx.run_typed("delete artifacts", delete, RunOptions(type_hint=type(None)))


async def _latest(ctx: Reading) -> Latest:
    found = []
    for name in _files(await ctx.state_keys()):
        version = await _find(ctx, Which(name=name))
        if version is not None:
            found.append(_entry(name, version))
    return Latest(entries=found)


async def _find(ctx: Reading, which: Which) -> Version | None:
    number = which.number
    if number is None:
        file = await ctx.get(f"{_FILE}{which.name}", serde=_FILES)
        if file is None:
            return None
        number = file.versions - 1
    return await _version(ctx, _key(_VERSION, which.name, number))


async def _version(ctx: Reading, key: str) -> Version | None:
    return await ctx.get(key, serde=_VERSION_SERDE)


async def _blobs(ctx: Reading, keys: Iterable[str]) -> list[str]:
    found = [await _version(ctx, key) for key in keys]
    return [version.kept.blob for version in found if version is not None and version.kept.blob]


def _key(prefix: str, name: str, number: int) -> str:
    return f"{prefix}{number:06d}/{name}"


def _files(keys: Iterable[str]) -> list[str]:
    return sorted(key.removeprefix(_FILE) for key in keys if key.startswith(_FILE))


def _versions(keys: Iterable[str], name: str) -> list[str]:
    mine = (key for key in keys if key.startswith(_VERSION))
    return sorted(key for key in mine if key.removeprefix(_VERSION).partition("/")[2] == name)


def _entry(name: str, version: Version) -> ArtifactEntry:
    return ArtifactEntry(
        name=name,
        version=version.number,
        mime_type=version.kept.mime_type or "",
        size=version.kept.size,
        created_at=datetime.fromtimestamp(version.created_at, UTC),
        metadata=version.metadata,
    )


def _shown(name: str, version: Version, data: bytes) -> ArtifactContent:
    kept = version.kept
    return ArtifactContent(
        **_entry(name, version).model_dump(),
        text=data.decode() if kept.kind == "text" else None,
        data=data if kept.kind == "bytes" else None,
        uri=kept.file_uri,
    )

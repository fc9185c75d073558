"""ADK's artifact service in a turn: a version is saved exactly once, whatever dies meanwhile.

To save is two entries of the turn's journal: a step that puts the content where it stays, and a
call that gives the version its number (`artifact_objects.py`). Contents of a store don't get into
the journal: a load journals which version it is, and reads that again when it replays.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import Any, Final, override

from google.adk.artifacts import artifact_util
from google.adk.artifacts.base_artifact_service import (
    ArtifactVersion,
    BaseArtifactService,
    ensure_part,
)
from google.adk.errors.input_validation_error import InputValidationError
from google.adk.platform import uuid as platform_uuid
from google.genai import types
from pydantic_core import to_jsonable_python
from restate import RunOptions, TerminalError

from agent_service.durable.artifact_objects import (
    ArtifactObjects,
    Kept,
    Save,
    Version,
    Which,
    scope_of,
    scopes,
    user_scope,
)
from agent_service.durable.blobs import BlobStore, blob_name
from agent_service.durable.identity import SessionId
from agent_service.durable.scope import TurnScope, enter_step, entered_turn
from agent_service.durable.stores import ModelSerde

# What Restate keeps well; a version is in the journal twice and in an object's state.
MOST_BYTES_IN_RESTATE: Final = 1024 * 1024
# How many references a load follows, as in ADK's own services.
MOST_REFERENCES: Final = 5

_SAVE = ModelSerde(Save)


class ObjectArtifacts(BaseArtifactService):
    """One turn's view of its agent's artifacts.

    What can't be saved or found is a ``TerminalError``, which ends the turn unless the tool that
    asked catches it.

    Args:
        agent: the agent's name.
        objects: where they are.
        store: for the contents, if there is one.
    """

    def __init__(self, agent: str, objects: ArtifactObjects, store: BlobStore | None) -> None:
        self._agent = agent
        self._objects = objects
        self._store = store
        self._read: dict[tuple[str, str, int, float], bytes] = {}

    @override
    async def save_artifact(
        self,
        *,
        app_name: str,
        user_id: str,
        filename: str,
        artifact: types.Part | dict[str, Any],
        session_id: str | None = None,
        custom_metadata: dict[str, Any] | None = None,
    ) -> int:
        turn = await entered_turn("save an artifact")
        key = self._key(app_name, user_id, session_id, filename)
        part = ensure_part(artifact)
        if artifact_util.is_artifact_ref(part) and part.file_data is not None:
            uri = part.file_data.file_uri or ""
            _resolved(uri, app_name, user_id, session_id, MOST_REFERENCES)
        unique = platform_uuid.new_uuid()

        async def put() -> Save:
            enter_step()
            kept = await self._put(blob_name(self._agent, key, filename), unique, filename, part)
            return Save(
                name=filename, kept=kept, metadata=to_jsonable_python(custom_metadata or {})
            )

        # Through a step: a tool that runs again may make another name and other contents, and what
        # is called, or the step's own name, must not differ.
        save = await turn.context.run_typed("save artifact", put, RunOptions(serde=_SAVE))
        saved_in = self._key(app_name, user_id, session_id, save.name)
        return await self._objects.save(turn.context, saved_in, save)

    @override
    async def load_artifact(
        self,
        *,
        app_name: str,
        user_id: str,
        filename: str,
        session_id: str | None = None,
        version: int | None = None,
    ) -> types.Part | None:
        turn = await entered_turn("load an artifact")
        for remaining in range(MOST_REFERENCES, -1, -1):
            key = self._key(app_name, user_id, session_id, filename)
            found = await self._find(turn, key, filename, version)
            if found is None:
                return None
            part = await self._part(turn, key, filename, found)
            if not artifact_util.is_artifact_ref(part):
                return None if _is_nothing(part) else part
            uri = found.kept.file_uri or ""
            target = _resolved(uri, app_name, user_id, session_id, remaining)
            session_id, filename, version = target.session_id, target.filename, target.version
        return None

    @override
    async def list_artifact_keys(
        self, *, app_name: str, user_id: str, session_id: str | None = None
    ) -> list[str]:
        turn = await entered_turn("list artifacts")
        identity = self._identity(app_name, user_id, session_id)
        keys = [user_scope(identity)] if session_id is None else scopes(identity)
        return sorted([n for key in keys for n in await self._objects.names(turn.context, key)])

    @override
    async def delete_artifact(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> None:
        turn = await entered_turn("delete an artifact")
        key = self._key(app_name, user_id, session_id, filename)
        await self._objects.delete(turn.context, key, filename)

    @override
    async def list_versions(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> list[int]:
        found = await self.list_artifact_versions(
            app_name=app_name, user_id=user_id, filename=filename, session_id=session_id
        )
        return [version.version for version in found]

    @override
    async def list_artifact_versions(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> list[ArtifactVersion]:
        turn = await entered_turn("list an artifact's versions")
        key = self._key(app_name, user_id, session_id, filename)
        found = await self._objects.versions(turn.context, key, filename)
        return [self._shown(user_id, session_id, filename, version) for version in found]

    @override
    async def get_artifact_version(
        self,
        *,
        app_name: str,
        user_id: str,
        filename: str,
        session_id: str | None = None,
        version: int | None = None,
    ) -> ArtifactVersion | None:
        turn = await entered_turn("look at an artifact")
        key = self._key(app_name, user_id, session_id, filename)
        found = await self._find(turn, key, filename, version)
        return None if found is None else self._shown(user_id, session_id, filename, found)

    async def _find(
        self, turn: TurnScope, key: str, filename: str, version: int | None
    ) -> Version | None:
        if version is not None and version < 0:
            return None
        return await self._objects.find(turn.context, key, Which(name=filename, number=version))

    async def _put(self, folder: str, unique: str, filename: str, part: types.Part) -> Kept:
        """Puts the content where it stays; says what it is, and where."""
        kept = _described(filename, part)
        if kept.kind == "file":
            return kept
        if self._store is not None:
            # The same name when a killed attempt is repeated, so that it leaves nothing behind; and
            # one for this content only, so that what has once been saved never changes.
            name = f"{folder}/{unique}-{hashlib.sha256(kept.data).hexdigest()[:16]}"
            await self._store.put(name, kept.data)
            return kept.model_copy(update={"blob": name, "data": b""})
        if kept.size > MOST_BYTES_IN_RESTATE:
            raise TerminalError(
                f"artifact {filename!r} has {kept.size:,} bytes: without a store at most "
                f"{MOST_BYTES_IN_RESTATE:,} are kept; AGENT_ARTIFACTS_URL names one",
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )
        return kept

    async def _part(self, turn: TurnScope, key: str, filename: str, version: Version) -> types.Part:
        kept = version.kept
        if kept.kind == "file":
            return types.Part(
                file_data=types.FileData(
                    file_uri=kept.file_uri,
                    mime_type=kept.mime_type,
                    display_name=kept.display_name,
                )
            )
        known = (key, filename, version.number, version.created_at)
        data = self._read.get(known)
        if data is None:
            data = await self._objects.content(turn.context, key, filename, version)
            if not kept.blob:
                # Once a turn, for it gets into the journal.
                self._read[known] = data
        if kept.kind == "text":
            return types.Part(text=data.decode())
        blob = types.Blob(data=data, mime_type=kept.mime_type, display_name=kept.display_name)
        return types.Part(inline_data=blob)

    def _shown(
        self, user_id: str, session_id: str | None, filename: str, version: Version
    ) -> ArtifactVersion:
        own = None if filename.startswith("user:") else session_id
        return ArtifactVersion(
            version=version.number,
            canonical_uri=artifact_util.get_artifact_uri(
                self._agent, user_id, filename, version.number, own
            ),
            custom_metadata=version.metadata,
            create_time=version.created_at,
            mime_type=version.kept.mime_type,
        )

    def _key(self, app_name: str, user_id: str, session_id: str | None, filename: str) -> str:
        identity = self._identity(app_name, user_id, session_id)
        if not filename:
            raise TerminalError("an artifact needs a name", HTTPStatus.BAD_REQUEST)
        return user_scope(identity) if session_id is None else scope_of(identity, filename)

    def _identity(self, app_name: str, user_id: str, session_id: str | None) -> SessionId:
        session = user_id.removeprefix(":") if session_id is None else session_id
        identity = SessionId.for_adk(user_id, session)
        if app_name != self._agent or identity is None:
            raise TerminalError(
                f"{self._agent} has no artifacts of app {app_name!r}, user {user_id!r}, session "
                f"{session_id!r}",
                HTTPStatus.BAD_REQUEST,
            )
        return identity


def _resolved(
    uri: str, app_name: str, user_id: str, session_id: str | None, remaining: int
) -> artifact_util.ParsedArtifactUri:
    """What a reference to another artifact leads to; ``remaining``: how many may yet follow."""
    try:
        return artifact_util.resolve_artifact_reference(
            file_uri=uri,
            app_name=app_name,
            user_id=user_id,
            session_id=session_id,
            remaining_depth=remaining,
        )
    except InputValidationError as error:
        raise TerminalError(str(error), HTTPStatus.BAD_REQUEST) from error


def _described(filename: str, part: types.Part) -> Kept:
    """What a part is, with its content."""
    blob, file = part.inline_data, part.file_data
    if blob is not None:
        data = blob.data or b""
        return Kept(
            kind="bytes",
            mime_type=blob.mime_type,
            display_name=blob.display_name,
            size=len(data),
            data=data,
        )
    if part.text is not None:
        data = part.text.encode()
        return Kept(kind="text", mime_type="text/plain", size=len(data), data=data)
    if file is not None and file.file_uri:
        return Kept(
            kind="file",
            mime_type=file.mime_type,
            display_name=file.display_name,
            file_uri=file.file_uri,
        )
    raise TerminalError(
        f"artifact {filename!r} must hold bytes (inline_data), text or a file's address",
        HTTPStatus.BAD_REQUEST,
    )


def _is_nothing(part: types.Part) -> bool:
    """Whether it is what ADK saves to take an artifact away, when it rewinds a session."""
    blob = part.inline_data
    return blob is not None and not blob.data and blob.mime_type == "application/octet-stream"

"""An author's own memory and artifact services, with each call a journaled step.

What they are asked is asked once. Where the process dies between a service's work and its journal
entry, the call is made again: so such a service may keep an artifact's version twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, override

from google.adk.artifacts.base_artifact_service import ArtifactVersion, BaseArtifactService
from google.adk.events.event import Event
from google.adk.memory.base_memory_service import BaseMemoryService, SearchMemoryResponse
from google.adk.memory.memory_entry import MemoryEntry
from google.adk.sessions.session import Session
from google.genai import types
from pydantic import TypeAdapter
from restate import RunOptions
from restate.serde import Serde

from agent_service.durable.failures import step_failure
from agent_service.durable.scope import enter_step, entered_turn


class _Json[T](Serde[T]):
    """Any type that pydantic knows, as JSON."""

    def __init__(self, kind: Any) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    @override
    def serialize(self, obj: T | None) -> bytes:
        return b"" if obj is None else self._adapter.dump_json(obj, exclude_none=True)

    @override
    def deserialize(self, buf: bytes) -> T | None:
        return self._adapter.validate_json(buf) if buf else None


_NUMBER: _Json[int] = _Json(int)
_NUMBERS: _Json[list[int]] = _Json(list[int])
_NAMES: _Json[list[str]] = _Json(list[str])
_VERSION: _Json[ArtifactVersion] = _Json(ArtifactVersion)
_VERSIONS: _Json[list[ArtifactVersion]] = _Json(list[ArtifactVersion])
_FOUND: _Json[SearchMemoryResponse] = _Json(SearchMemoryResponse)
_NOTHING: _Json[None] = _Json(None)


async def _step[T](
    name: str, call: Callable[[], Awaitable[T]], serde: Serde[Any], what: str
) -> Any:
    turn = await entered_turn(what)

    async def step() -> T:
        enter_step()
        try:
            return await call()
        except Exception as error:
            raise step_failure(error, f"the service that was to {what}") from error

    return await turn.context.run_typed(name, step, RunOptions(serde=serde))


class JournaledMemory(BaseMemoryService):
    """An author's memory service in turns."""

    def __init__(self, plain: BaseMemoryService) -> None:
        self._plain = plain

    @override
    async def add_session_to_memory(self, session: Session) -> None:
        await self._remember(lambda: self._plain.add_session_to_memory(session))

    @override
    async def add_events_to_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        events: Sequence[Event],
        session_id: str | None = None,
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        await self._remember(
            lambda: self._plain.add_events_to_memory(
                app_name=app_name,
                user_id=user_id,
                events=events,
                session_id=session_id,
                custom_metadata=custom_metadata,
            )
        )

    @override
    async def add_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        memories: Sequence[MemoryEntry],
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        await self._remember(
            lambda: self._plain.add_memory(
                app_name=app_name,
                user_id=user_id,
                memories=memories,
                custom_metadata=custom_metadata,
            )
        )

    @override
    async def search_memory(
        self, *, app_name: str, user_id: str, query: str
    ) -> SearchMemoryResponse:
        found: SearchMemoryResponse = await _step(
            "search memory",
            lambda: self._plain.search_memory(app_name=app_name, user_id=user_id, query=query),
            _FOUND,
            "search the memory",
        )
        return found

    @override
    async def delete_memory(
        self, *, app_name: str, user_id: str, memory_id: str | None = None
    ) -> None:
        await _step(
            "forget",
            lambda: self._plain.delete_memory(
                app_name=app_name, user_id=user_id, memory_id=memory_id
            ),
            _NOTHING,
            "delete from the memory",
        )

    async def _remember(self, call: Callable[[], Awaitable[None]]) -> None:
        await _step("remember", call, _NOTHING, "add to the memory")


class JournaledArtifacts(BaseArtifactService):
    """An author's artifact service in turns; contents that are loaded stay out of the journal."""

    def __init__(self, plain: BaseArtifactService) -> None:
        self._plain = plain

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
        saved: int = await _step(
            "save artifact",
            lambda: self._plain.save_artifact(
                app_name=app_name,
                user_id=user_id,
                filename=filename,
                artifact=artifact,
                session_id=session_id,
                custom_metadata=custom_metadata,
            ),
            _NUMBER,
            "save an artifact",
        )
        return saved

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
        await entered_turn("load an artifact")
        where: dict[str, Any] = {
            "app_name": app_name,
            "user_id": user_id,
            "filename": filename,
            "session_id": session_id,
        }
        if version is None:
            known = await self.list_versions(**where)
            if not known:
                return None
            version = max(known)
        # Past the journal: a version doesn't change, so a replay reads the same.
        return await self._plain.load_artifact(**where, version=version)

    @override
    async def list_artifact_keys(
        self, *, app_name: str, user_id: str, session_id: str | None = None
    ) -> list[str]:
        found: list[str] = await _step(
            "list artifacts",
            lambda: self._plain.list_artifact_keys(
                app_name=app_name, user_id=user_id, session_id=session_id
            ),
            _NAMES,
            "list artifacts",
        )
        return found

    @override
    async def delete_artifact(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> None:
        await _step(
            "delete artifact",
            lambda: self._plain.delete_artifact(
                app_name=app_name, user_id=user_id, filename=filename, session_id=session_id
            ),
            _NOTHING,
            "delete an artifact",
        )

    @override
    async def list_versions(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> list[int]:
        found: list[int] = await _step(
            "list versions",
            lambda: self._plain.list_versions(
                app_name=app_name, user_id=user_id, filename=filename, session_id=session_id
            ),
            _NUMBERS,
            "list an artifact's versions",
        )
        return found

    @override
    async def list_artifact_versions(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> list[ArtifactVersion]:
        found: list[ArtifactVersion] = await _step(
            "list versions",
            lambda: self._plain.list_artifact_versions(
                app_name=app_name, user_id=user_id, filename=filename, session_id=session_id
            ),
            _VERSIONS,
            "list an artifact's versions",
        )
        return found

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
        found: ArtifactVersion | None = await _step(
            "look at artifact",
            lambda: self._plain.get_artifact_version(
                app_name=app_name,
                user_id=user_id,
                filename=filename,
                session_id=session_id,
                version=version,
            ),
            _VERSION,
            "look at an artifact",
        )
        return found

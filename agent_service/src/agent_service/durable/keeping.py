"""What outlives a turn besides its session: an agent's artifacts, and what it remembers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import restate
from google.adk.artifacts.base_artifact_service import BaseArtifactService
from google.adk.memory.base_memory_service import BaseMemoryService

from agent_service.durable.artifact_objects import ArtifactObjects
from agent_service.durable.artifacts import ObjectArtifacts
from agent_service.durable.blobs import BlobStore
from agent_service.durable.identity import SessionId
from agent_service.durable.memory import ObjectMemory
from agent_service.durable.memory_objects import MemoryObjects
from agent_service.durable.own_services import JournaledArtifacts, JournaledMemory
from agent_service.errors import ConfigurationError
from agent_service.references import load
from agent_service.settings import Settings


@dataclass(frozen=True)
class Chosen:
    """What all agents of a process keep things with.

    Attributes:
        store: for the contents of artifacts; without one they are in Restate.
        memory: the author's own memory service, in place of ours.
        artifacts: the author's own artifact service, likewise.
    """

    store: BlobStore | None = None
    memory: BaseMemoryService | None = None
    artifacts: BaseArtifactService | None = None

    @classmethod
    def by(
        cls,
        settings: Settings,
        memory: BaseMemoryService | None = None,
        artifacts: BaseArtifactService | None = None,
    ) -> Chosen:
        """What the settings say, unless the author's code hands services in.

        Raises:
            ConfigurationError: the settings name something that can't be used.
        """
        if memory is None and settings.memory_service:
            memory = _loaded("AGENT_MEMORY_SERVICE", settings.memory_service, BaseMemoryService)
        if artifacts is None and settings.artifact_service:
            artifacts = _loaded(
                "AGENT_ARTIFACT_SERVICE", settings.artifact_service, BaseArtifactService
            )
        if artifacts is not None and settings.artifacts_url:
            raise ConfigurationError(
                "AGENT_ARTIFACTS_URL is set, and so is an artifact service that would not use it"
            )
        store = BlobStore(settings.artifacts_url) if settings.artifacts_url else None
        return cls(store, memory, artifacts)


def _loaded(variable: str, reference: str, kind: type[Any]) -> Any:
    found = load(reference)
    if not isinstance(found, kind):
        raise ConfigurationError(
            f"{variable} is {reference!r}, a {type(found).__name__}; it must be an instance of "
            f"ADK's {kind.__name__}"
        )
    return found


class Keeping:
    """One agent's artifacts and memory.

    Its companions are served also where the author's services take their place, for those can be
    taken away again.

    Args:
        agent: the agent's virtual object.
        options: what all services are served with.
        chosen: what to keep things with.
    """

    def __init__(self, agent: str, options: dict[str, Any], chosen: Chosen) -> None:
        self._agent = agent
        self._chosen = chosen
        self._artifacts = ArtifactObjects(agent, options, chosen.store, chosen.artifacts)
        self._memory = MemoryObjects(agent, options)

    @property
    def companions(self) -> list[restate.VirtualObject]:
        """What is served along with the agent."""
        return [self._artifacts.service, self._memory.service]

    def artifacts_in_turn(self) -> BaseArtifactService:
        """Makes the artifact service of one attempt of a turn."""
        if self._chosen.artifacts is not None:
            return JournaledArtifacts(self._chosen.artifacts)
        return ObjectArtifacts(self._agent, self._artifacts, self._chosen.store)

    def memory_in_turn(self) -> BaseMemoryService:
        """Makes the memory service of one attempt of a turn."""
        if self._chosen.memory is not None:
            return JournaledMemory(self._chosen.memory)
        return ObjectMemory(self._agent, self._memory)

    async def forget_session(self, context: restate.ObjectContext, identity: SessionId) -> None:
        """Deletes what nobody can get at without the session: its artifacts.

        What is remembered is the user's and stays, unless the session has none.
        """
        await self._artifacts.clear(context, identity)
        if not identity.user:
            await self._memory.clear(context, identity.user_id)

    def forget_session_later(self, context: restate.ObjectContext, identity: SessionId) -> None:
        """Deletes it, and waits for nobody; for the end of a turn that may have read it."""
        self._artifacts.clear_later(context, identity)
        if not identity.user:
            self._memory.clear_later(context, identity.user_id)

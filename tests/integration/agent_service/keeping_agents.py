"""Agents that keep things: artifacts and memories."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from google.adk.agents import Agent
from google.adk.agents.callback_context import CallbackContext
from google.adk.artifacts.in_memory_artifact_service import InMemoryArtifactService
from google.adk.memory.in_memory_memory_service import InMemoryMemoryService
from google.adk.memory.memory_entry import MemoryEntry
from google.adk.tools.load_memory_tool import load_memory_tool
from google.adk.tools.preload_memory_tool import preload_memory_tool
from google.adk.tools.tool_context import ToolContext
from google.genai import types

from agent_service import durable_tool, restate_object_context
from agent_service.durable.blobs import BlobStore
from tests.integration.agent_service.agents import MODEL, note

_put = BlobStore.put


async def slow_put(store: BlobStore, name: str, data: bytes) -> None:
    """Puts it, and takes its time to say so."""
    await _put(store, name, data)
    note(f"put {name}")
    if "slow" in name:
        await asyncio.sleep(2)


setattr(BlobStore, "put", slow_put)  # noqa: B010 - mypy


async def _slow_step(name: str) -> None:
    async def step() -> None:
        note(f"begin {name}")
        await asyncio.sleep(2)

    await restate_object_context().run_typed(name, step)


async def _quick_step(name: str) -> None:
    async def step() -> None:
        return

    await restate_object_context().run_typed(name, step)


async def keep(name: str, content: str, then: str, tool_context: ToolContext) -> dict[str, Any]:
    """Keeps a text as an artifact.

    Args:
        name: Under which name.
        content: What.
        then: A slow step that follows; empty: none.
    """
    part = types.Part(text=content)
    version = await tool_context.save_artifact(name, part, custom_metadata={"by": "keep"})
    if then:
        await _slow_step(then)
    return {"version": version}


async def keep_bytes(name: str, size: int, then: str, tool_context: ToolContext) -> dict[str, Any]:
    """Keeps bytes, others each time it runs, reads them and may go on slowly.

    Args:
        name: Under which name.
        size: How many.
        then: A slow step that follows; empty: none.
    """
    data = uuid4().bytes * (size // 16)
    blob = types.Blob(data=data, mime_type="application/x-test")
    version = await tool_context.save_artifact(name, types.Part(inline_data=blob))
    found = await tool_context.load_artifact(name)
    assert found is not None
    assert found.inline_data is not None
    read = found.inline_data.data or b""
    if then:
        await _slow_step(then)
    return {"version": version, "read": read[:16].hex(), "size": len(read)}


async def keep_dated(tool_context: ToolContext) -> dict[str, Any]:
    """Keeps a text under a name that is another one each time it runs."""
    name = f"report-{uuid4()}.txt"
    version = await tool_context.save_artifact(name, types.Part(text=name))
    await _quick_step("kept")
    return {"version": version}


async def look(name: str, version: int, tool_context: ToolContext) -> dict[str, Any]:
    """Reads a text artifact and all about it.

    Args:
        name: Which.
        version: Of it; -1: the latest.
    """
    service = tool_context._invocation_context.artifact_service
    assert service is not None
    session = tool_context.session
    part = await tool_context.load_artifact(name, None if version == -1 else version)
    versions = await service.list_versions(
        app_name=session.app_name, user_id=session.user_id, session_id=session.id, filename=name
    )
    about = await tool_context.get_artifact_version(name)
    return {
        "text": part.text if part else "nothing",
        "versions": ",".join(map(str, versions)),
        "names": ",".join(await tool_context.list_artifacts()),
        "about": f"{about.mime_type} {about.custom_metadata.get('by')}" if about else "nothing",
    }


async def drop(name: str, tool_context: ToolContext) -> dict[str, str]:
    """Deletes an artifact.

    Args:
        name: Which.
    """
    service = tool_context._invocation_context.artifact_service
    assert service is not None
    session = tool_context.session
    await service.delete_artifact(
        app_name=session.app_name, user_id=session.user_id, session_id=session.id, filename=name
    )
    return {"dropped": name}


async def depart(name: str, tool_context: ToolContext) -> dict[str, str]:
    """Reads a text artifact, and deletes the session.

    Args:
        name: Which artifact.
    """
    part = await tool_context.load_artifact(name)
    session = tool_context.session
    await tool_context._invocation_context.session_service.delete_session(
        app_name=session.app_name, user_id=session.user_id, session_id=session.id
    )
    await _quick_step("gone")
    return {"text": part.text or "" if part else "nothing"}


@durable_tool
async def keep_inside(tool_context: ToolContext) -> str:
    """Keeps something where it can't."""
    return str(await tool_context.save_artifact("x", types.Part(text="x")))


keeper = Agent(
    name="KeepingAgent",
    model=MODEL,
    tools=[keep, keep_bytes, keep_dated, look, drop, depart, keep_inside],
)


async def learn(fact: str, then: str, tool_context: ToolContext) -> dict[str, str]:
    """Remembers a fact.

    Args:
        fact: What.
        then: A slow step that follows; empty: none.
    """
    entry = MemoryEntry(content=types.Content(parts=[types.Part(text=fact)]), author="learn")
    await tool_context.add_memory(memories=[entry])
    if then:
        await _slow_step(then)
    return {"learnt": fact}


async def learn_twice(tool_context: ToolContext) -> dict[str, str]:
    """Remembers the session, and once more when there is nothing new in it."""
    await tool_context.add_session_to_memory()
    await tool_context.add_session_to_memory()
    return {"learnt": "twice"}


async def recall(query: str, then: str, tool_context: ToolContext) -> dict[str, str]:
    """Searches the memory.

    Args:
        query: For what.
        then: A slow step that follows; empty: none.
    """
    found = (await tool_context.search_memory(query)).memories
    if then:
        await _slow_step(then)
    texts = [part.text or "" for memory in found for part in memory.content.parts or []]
    return {"found": " | ".join(texts) or "nothing", "ids": ",".join(m.id or "" for m in found)}


async def forget(memory: str, tool_context: ToolContext) -> dict[str, str]:
    """Forgets one thing.

    Args:
        memory: Its id.
    """
    await tool_context.delete_memory(memory_id=memory)
    return {"forgot": memory}


async def remember_turn(callback_context: CallbackContext) -> None:
    await callback_context.add_session_to_memory()


learner = Agent(
    name="LearningAgent",
    model=MODEL,
    tools=[learn, learn_twice, recall, forget, load_memory_tool],
    after_agent_callback=remember_turn,
)
# Another agent has another memory.
reminded = Agent(
    name="RemindedAgent",
    model=MODEL,
    tools=[preload_memory_tool],
    after_agent_callback=remember_turn,
)


class NotedMemory(InMemoryMemoryService):
    """An author's own service, that notes what it is asked."""

    async def search_memory(self, *, app_name: str, user_id: str, query: str) -> Any:
        note(f"search {query}")
        return await super().search_memory(app_name=app_name, user_id=user_id, query=query)

    async def add_session_to_memory(self, session: Any) -> None:
        note(f"add {session.id}")
        await super().add_session_to_memory(session)


class NotedArtifacts(InMemoryArtifactService):
    """Likewise."""

    async def save_artifact(self, **kwargs: Any) -> int:
        note(f"save {kwargs['filename']}")
        return await super().save_artifact(**kwargs)

    async def delete_artifact(self, **kwargs: Any) -> None:
        note(f"delete {kwargs['filename']} of {kwargs['session_id']}")
        await super().delete_artifact(**kwargs)


own_memory = NotedMemory()
own_artifacts = NotedArtifacts()

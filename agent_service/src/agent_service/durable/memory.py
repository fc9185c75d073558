"""ADK's memory service in a turn: what is added is added once, and what was found stays found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import override

from google.adk.events.event import Event
from google.adk.memory.base_memory_service import BaseMemoryService, SearchMemoryResponse
from google.adk.memory.memory_entry import MemoryEntry
from google.adk.platform import uuid as platform_uuid
from google.adk.sessions.session import Session
from google.genai import types
from restate import RunOptions, TerminalError

from agent_service.durable.memory_objects import Addition, Entry, Mark, MemoryObjects
from agent_service.durable.scope import TurnScope, enter_step, entered_turn
from agent_service.durable.stores import ModelSerde

_ADDITION = ModelSerde(Addition)


class ObjectMemory(BaseMemoryService):
    """One turn's view of what its agent remembers of a user: texts, found by their words.

    Args:
        agent: the agent's name.
        objects: where it is.
    """

    def __init__(self, agent: str, objects: MemoryObjects) -> None:
        self._agent = agent
        self._objects = objects
        self._found: dict[tuple[str, str], list[MemoryEntry]] = {}

    @override
    async def add_session_to_memory(self, session: Session) -> None:
        turn = await entered_turn("add to the memory")
        self._check(session.app_name)
        last = await self._objects.last(turn.context, session.user_id, session.id)
        new = _after(last, session.events)
        addition = Addition(entries=[])
        if new:
            mark = Mark(id=new[-1].id, at=new[-1].timestamp)
            addition = Addition(entries=_entries(new), session=session.id, last=mark)
        # Also nothing: a turn restarted from a step has other ids, and has to make the same calls.
        await self._add(turn, session.user_id, addition)

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
        turn = await entered_turn("add to the memory")
        self._check(app_name)
        await self._add(turn, user_id, Addition(entries=_entries(events)))

    @override
    async def add_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        memories: Sequence[MemoryEntry],
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        turn = await entered_turn("add to the memory")
        self._check(app_name)
        entries = [_dated(memory, turn.clock.now()) for memory in memories]
        await self._add(turn, user_id, Addition(entries=entries))

    @override
    async def search_memory(
        self, *, app_name: str, user_id: str, query: str
    ) -> SearchMemoryResponse:
        turn = await entered_turn("search the memory")
        self._check(app_name)
        # ADK's preload_memory asks the same before each model call of a turn.
        found = self._found.get((user_id, query))
        if found is None:
            found = await self._objects.find(turn.context, user_id, query)
            self._found[user_id, query] = found
        return SearchMemoryResponse(memories=[memory.model_copy(deep=True) for memory in found])

    @override
    async def delete_memory(
        self, *, app_name: str, user_id: str, memory_id: str | None = None
    ) -> None:
        turn = await entered_turn("delete from the memory")
        self._check(app_name)
        if memory_id:
            self._found.clear()
            await self._objects.forget(turn.context, user_id, memory_id)

    async def _add(self, turn: TurnScope, user_id: str, addition: Addition) -> None:
        async def note() -> Addition:
            enter_step()
            return addition

        self._found.clear()
        # Through a step: a tool that runs again may say other things, and calls must not differ.
        added = await turn.context.run_typed("remember", note, RunOptions(serde=_ADDITION))
        if added.entries or added.session:
            await self._objects.add(turn.context, user_id, added)

    def _check(self, app_name: str) -> None:
        if app_name != self._agent:
            raise TerminalError(
                f"{self._agent} has no memory of app {app_name!r}", HTTPStatus.BAD_REQUEST
            )


def _after(last: Mark, events: Sequence[Event]) -> Sequence[Event]:
    """The events after one, which may not be among them.

    So it is if its turn was killed, if a turn before it is restarted, or if a turn is shown its
    latest turns alone.
    """
    ids = [event.id for event in events]
    if last.id in ids:
        return events[ids.index(last.id) + 1 :]
    return [event for event in events if event.timestamp > last.at]


def _entries(events: Sequence[Event]) -> list[Entry]:
    """What can be remembered of events: what was said, without calls, thoughts and files."""
    found = []
    for event in events:
        parts = (event.content.parts if event.content else None) or []
        said = [types.Part(text=part.text) for part in parts if part.text and not part.thought]
        if said and event.content is not None:
            memory = MemoryEntry(
                id=event.id,
                author=event.author,
                content=types.Content(role=event.content.role, parts=said),
                timestamp=datetime.fromtimestamp(event.timestamp, UTC).isoformat(),
            )
            found.append(Entry(memory=memory, at=event.timestamp))
    return found


def _dated(memory: MemoryEntry, now: float) -> Entry:
    """A memory that an agent's code made: with an id and a time."""
    moment = datetime.fromtimestamp(now, UTC).isoformat()
    named = {"id": memory.id or platform_uuid.new_uuid(), "timestamp": memory.timestamp or moment}
    return Entry(memory=memory.model_copy(update=named), at=now)

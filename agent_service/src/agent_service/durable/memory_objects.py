"""What an agent remembers of a user: one virtual object for each, ``{Agent}.memory``.

================== ===============================================================================
``batch/00000001`` what was added at a time, in order
``last/{session}`` the latest event of a session that was added, and its time, so that the next time
                   only what came after is; it stays when all is forgotten
``ledger``         the batches' sizes, and what was forgotten and must not come again
================== ===============================================================================

The key is the user as ADK knows it; a session without a user has a memory of its own.
"""

from __future__ import annotations

from typing import Any, Final, cast

import restate
from google.adk.events.event import Event
from google.adk.memory.in_memory_memory_service import InMemoryMemoryService
from google.adk.memory.memory_entry import MemoryEntry
from pydantic import BaseModel

from agent_service.api import ForgetRequest, MemoryItem, MemoryList, MemoryQuery
from agent_service.durable.companions import HIDDEN, companion
from agent_service.durable.eager import SentState, sent_state
from agent_service.durable.requests import RequestSerde, readable
from agent_service.durable.session_store import text_of
from agent_service.durable.stores import ModelSerde, Reader

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of one user's memory; what was added first is given up for more."""

_BATCH, _LAST, _LEDGER = "batch/", "last/", "ledger"


class Entry(BaseModel):
    """One thing to remember; ``at`` is in seconds since 1970."""

    memory: MemoryEntry
    at: float


class Mark(BaseModel):
    """An event of a session: its id, and its time in seconds since 1970; empty: none."""

    id: str = ""
    at: float = 0.0


class Addition(BaseModel):
    """What to add to a user's memory.

    Attributes:
        entries: in order.
        session: whose latest event ``last`` is, if it is the next part of a session.
        last: the event.
    """

    entries: list[Entry]
    session: str = ""
    last: Mark = Mark()


class Found(BaseModel):
    """What was looked for in a memory, best first."""

    memories: list[MemoryEntry] = []


class Text(BaseModel):
    """A query, or a name."""

    text: str


class _Batch(BaseModel):
    entries: list[Entry]


class _Ledger(BaseModel):
    next: int = 1
    sizes: dict[int, int] = {}
    forgotten: list[str] = []


_ADDITIONS = ModelSerde(Addition)
_BATCHES = ModelSerde(_Batch)
_FOUND = ModelSerde(Found)
_LEDGERS = ModelSerde(_Ledger)
_MARKS = ModelSerde(Mark)
_TEXTS = ModelSerde(Text)


class MemoryObjects:
    """The companion that keeps what one agent remembers, and what its turns call it for.

    Args:
        agent: the agent's virtual object.
        options: what all services are served with.
    """

    def __init__(self, agent: str, options: dict[str, Any]) -> None:
        self._agent = agent
        self.service = companion(agent, "memory", f"what {agent} remembers of its users", options)
        self._serve_turns()
        self._serve_callers()

    async def last(self, context: restate.ObjectContext, user_id: str, session: str) -> Mark:
        """The latest event of a session that is remembered."""
        return await context.object_call(self._last, user_id, Text(text=session))

    async def add(self, context: restate.ObjectContext, user_id: str, addition: Addition) -> None:
        """Adds to a user's memory; what is there already counts once."""
        await context.object_call(self._add, user_id, addition)

    async def find(
        self, context: restate.ObjectContext, user_id: str, query: str
    ) -> list[MemoryEntry]:
        """Looks for what shares most words with a text."""
        return (await context.object_call(self._find, user_id, Text(text=query))).memories

    async def forget(self, context: restate.ObjectContext, user_id: str, memory: str) -> None:
        """Forgets one thing."""
        await context.object_call(self._forget, user_id, ForgetRequest(id=memory))

    async def clear(self, context: restate.ObjectContext, user_id: str) -> None:
        """Removes everything, for a user who won't come back."""
        await context.object_call(self._clear, user_id, None)

    def clear_later(self, context: restate.ObjectContext, user_id: str) -> None:
        """Removes it, and waits for nobody."""
        context.object_send(self._clear, user_id, None)

    def _serve_turns(self) -> None:
        @self.service.handler(kind="shared", input_serde=_TEXTS, output_serde=_MARKS, **HIDDEN)
        async def last(ctx: restate.ObjectSharedContext, session: Text) -> Mark:
            """Returns the latest event of a session that is remembered."""
            return await ctx.get(f"{_LAST}{session.text}", serde=_MARKS) or Mark()

        @self.service.handler(input_serde=_ADDITIONS, **HIDDEN)
        async def add(ctx: restate.ObjectContext, addition: Addition) -> None:
            """Adds to the memory."""
            await _add(ctx, addition)

        @self.service.handler(
            kind="shared", input_serde=_TEXTS, output_serde=_FOUND, ingress_private=True
        )
        async def find(ctx: restate.ObjectSharedContext, query: Text) -> Found:
            """Looks for what shares most words with a text."""
            return Found(memories=await _search(cast("Reader", ctx), sent_state(), query.text))

        @self.service.handler(**HIDDEN)
        async def clear(ctx: restate.ObjectContext) -> None:
            """Removes everything."""
            ctx.clear_all()

        self._last, self._add, self._find, self._clear = last, add, find, clear

    def _serve_callers(self) -> None:
        @self.service.handler(kind="shared", input_serde=RequestSerde(MemoryQuery))
        async def search(ctx: restate.ObjectSharedContext, request: MemoryQuery) -> MemoryList:
            """Looks for what shares most words with a text, as the agent does."""
            query = readable(request).query
            found = await _search(cast("Reader", ctx), sent_state(), query)
            return MemoryList(agent=self._agent, memories=[_item(memory) for memory in found])

        @self.service.handler(input_serde=RequestSerde(ForgetRequest), state_preload=False)
        async def forget(ctx: restate.ObjectContext, request: ForgetRequest) -> None:
            """Forgets one thing, or all."""
            which = readable(request).id
            if which is None:
                await _forget_all(ctx)
            else:
                await _forget(ctx, which)

        self._forget = forget


async def _add(ctx: restate.ObjectContext, addition: Addition) -> None:
    if addition.session:
        key = f"{_LAST}{addition.session}"
        known = await ctx.get(key, serde=_MARKS) or Mark()
        # A turn restarted from a step may come after later ones.
        if addition.last.at >= known.at:
            ctx.set(key, addition.last, serde=_MARKS)
    ledger = await ctx.get(_LEDGER, serde=_LEDGERS) or _Ledger()
    gone = set(ledger.forgotten)
    batch = _Batch(entries=[e for e in addition.entries if e.memory.id not in gone])
    if not batch.entries:
        return
    number = ledger.next
    ledger.sizes[number] = len(_BATCHES.serialize(batch))
    ctx.set(_batch_key(number), batch, serde=_BATCHES)
    for old in sorted(ledger.sizes)[:-1]:
        if sum(ledger.sizes.values()) <= MOST_BYTES:
            break
        del ledger.sizes[old]
        ctx.clear(_batch_key(old))
    ctx.set(_LEDGER, ledger.model_copy(update={"next": number + 1}), serde=_LEDGERS)


async def _forget(ctx: restate.ObjectContext, which: str) -> None:
    ledger = await ctx.get(_LEDGER, serde=_LEDGERS) or _Ledger()
    for number in sorted(ledger.sizes):
        batch = await ctx.get(_batch_key(number), serde=_BATCHES)
        if batch is None:
            continue
        kept = _Batch(entries=[e for e in batch.entries if e.memory.id != which])
        if len(kept.entries) == len(batch.entries):
            continue
        ctx.set(_batch_key(number), kept, serde=_BATCHES)
        ledger.sizes[number] = len(_BATCHES.serialize(kept))
        ledger.forgotten = sorted({*ledger.forgotten, which})
    ctx.set(_LEDGER, ledger, serde=_LEDGERS)


async def _forget_all(ctx: restate.ObjectContext) -> None:
    """Forgets all; how far sessions were added stays, or their next turns would add it again."""
    ledger = await ctx.get(_LEDGER, serde=_LEDGERS) or _Ledger()
    for number in ledger.sizes:
        ctx.clear(_batch_key(number))
    ctx.set(_LEDGER, ledger.model_copy(update={"sizes": {}}), serde=_LEDGERS)


async def _search(reader: Reader, sent: SentState | None, query: str) -> list[MemoryEntry]:
    """Searches as ADK's own service in memory does, by what that finds."""
    known = {entry.memory.id: entry for entry in await _entries(reader, sent)}
    service = InMemoryMemoryService()
    events = [
        Event(
            id=str(which),
            author=entry.memory.author or "",
            timestamp=entry.at,
            content=entry.memory.content,
        )
        for which, entry in known.items()
    ]
    await service.add_events_to_memory(app_name="app", user_id="user", events=events)
    found = await service.search_memory(app_name="app", user_id="user", query=query)
    return [known[memory.id].memory for memory in found.memories]


async def _entries(reader: Reader, sent: SentState | None) -> list[Entry]:
    keys = sorted(await reader.state_keys() if sent is None else sent.entries)
    found: list[Entry] = []
    for key in keys:
        if not key.startswith(_BATCH):
            continue
        if sent is None:
            batch = await reader.get(key, serde=_BATCHES)
        else:
            batch = _BATCHES.deserialize(sent.entries[key])
        found += batch.entries if batch is not None else []
    return found


def _batch_key(number: int) -> str:
    return f"{_BATCH}{number:08d}"


def _item(memory: MemoryEntry) -> MemoryItem:
    return MemoryItem(
        id=memory.id or "",
        text=text_of(memory.content),
        author=memory.author or "",
        at=memory.timestamp or "",
    )

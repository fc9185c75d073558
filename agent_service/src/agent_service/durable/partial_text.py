"""The partial text of one session's streaming turn, in the state of a virtual object.

=============== ==========================================================================
``head``        ``Head``: whose text it is, who waits for more, and the newest chunks
``page/000001`` ``Page``: chunks that no longer fit into the head
=============== ==========================================================================

Chunks are counted from 0 in each turn, and readers name what they want by that number. A chunk that
became void keeps its place, without its text.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from pydantic import BaseModel

from agent_service.api import StreamChunk, StreamPage
from agent_service.durable.stores import ModelSerde, Store

HEAD_KEY: Final = "head"
PAGE_PREFIX: Final = "page/"

# A publication writes the head anew, so it must stay small.
PAGE_CHARACTERS: Final = 4_000
MOST_PAGES: Final = 64
MOST_MESSAGES: Final = 32
MOST_WAITERS: Final = 64
MOST_PAST: Final = 8


class Publication(BaseModel):
    """More text of one model call.

    Attributes:
        turn: the turn's invocation id.
        number: the turn's in its session.
        message: which of the turn's model calls, from 1.
        author: the agent whose model writes.
        attempt: names one attempt of the model call.
        start: characters of the message before ``text``; 0 begins a new attempt.
        text: the new characters.
    """

    turn: str
    number: int
    message: int
    author: str
    attempt: str
    start: int
    text: str


class Published(BaseModel):
    """What the stream has of the message now.

    Attributes:
        known: how many characters.
        stale: another attempt, or another turn, has taken its place.
    """

    known: int = 0
    stale: bool = False


class Waiter(BaseModel):
    """A reader that waits for more.

    Attributes:
        id: the awakeable that the page goes to.
        turn: the turn it reads, or empty.
        offset: the first chunk that would be new to it.
        at: since when, in seconds since 1970.
        until: how long.
    """

    id: str
    turn: str
    offset: int
    at: float
    until: float


class Ending(BaseModel):
    """Nothing more comes of a turn, and why if nothing came at all."""

    turn: str
    number: int
    reason: str = ""


class Message(BaseModel):
    """A message whose text may still become void.

    Attributes:
        number: the message's.
        attempt: the one that writes it.
        length: characters so far.
        page: the page that it begins in.
    """

    number: int
    attempt: str
    length: int = 0
    page: int = 0


class Page(BaseModel):
    """Chunks in a row."""

    chunks: list[StreamChunk]


class Head(BaseModel):
    """What each publication reads and writes.

    Attributes:
        turn: the invocation id of the turn whose text this is.
        number: the turn's in its session.
        ended: nothing more comes of it.
        reason: why nothing came of it.
        past: turns that streamed before it.
        messages: the latest.
        waiters: those who wait for more.
        page: the number of the first page that is kept.
        pages: the first chunk of each page.
        start: the first of ``chunks``.
        chunks: the newest.
    """

    turn: str = ""
    number: int = 0
    ended: bool = False
    reason: str = ""
    past: list[str] = []
    messages: list[Message] = []
    waiters: list[Waiter] = []
    page: int = 0
    pages: list[int] = []
    start: int = 0
    chunks: list[StreamChunk] = []

    @property
    def next(self) -> int:
        """The number of the next chunk."""
        return self.start + len(self.chunks)


HEAD = ModelSerde(Head)
PAGE = ModelSerde(Page)


def _page_key(number: int) -> str:
    return f"{PAGE_PREFIX}{number:06d}"


class PartialText:
    """Reads and writes it; what was changed is written by ``save``."""

    def __init__(self, store: Store, head: Head) -> None:
        self._store = store
        self.head = head

    @classmethod
    async def load(cls, store: Store) -> PartialText:
        """Reads its head."""
        return cls(store, await store.get(HEAD_KEY, serde=HEAD) or Head())

    def save(self) -> None:
        """Writes its head."""
        self._store.set(HEAD_KEY, self.head, serde=HEAD)

    async def take(self, more: Publication) -> Published:
        """Adds text, as far as it is new; text of a new attempt voids that of the one before."""
        head = self.head
        if more.turn != head.turn:
            if more.start or more.turn in head.past:
                return Published(stale=True)
            self._begin(more.turn, more.number)
        elif head.ended:
            return Published(stale=True)
        message = next((one for one in head.messages if one.number == more.message), None)
        if message is None or message.attempt != more.attempt:
            if more.start:
                return Published(stale=True)
            if message is not None:
                await self._void(message)
            message = self._new_message(more)
        if more.start > message.length:
            return Published(known=message.length)
        fresh = more.text[message.length - more.start :]
        if fresh:
            self._add(StreamChunk(message=more.message, author=more.author, text=fresh))
            message.length += len(fresh)
        return Published(known=message.length)

    def end(self, ending: Ending) -> None:
        """Takes down that a turn has ended."""
        if ending.number != self.head.number:
            self._begin(ending.turn, ending.number)
        self.head.ended, self.head.reason = True, ending.reason

    def drop(self) -> None:
        """Forgets the text, and knows still whose it was and that it has ended."""
        head = self.head
        for number in range(head.page, head.page + len(head.pages)):
            self._store.clear(_page_key(number))
        head.start, head.chunks = head.next, []
        head.page, head.pages, head.messages = 0, [], []

    def forget(self) -> bool:
        """Forgets the text and who waits; returns whether its turns have still to be forgotten.

        Those who ask for them shall hear for a while that they have ended.
        """
        self.drop()
        turn, past = self.head.turn, self.head.past
        # No turn has this number: those of a session that begins anew are counted from 1.
        self.head = Head(turn=turn, past=past, ended=True) if turn else Head()
        return bool(turn)

    def remove(self) -> None:
        """Removes everything."""
        self.drop()
        self._store.clear(HEAD_KEY)

    def wait(self, waiter: Waiter) -> None:
        """Adds a reader that waits; those whose time is over are forgotten."""
        waiting = [one for one in self.head.waiters if one.until > waiter.at]
        self.head.waiters = [*waiting, waiter][-MOST_WAITERS:]

    def leave(self, waiter: Waiter) -> None:
        """Forgets a reader, and writes that down; all, if there is nothing else."""
        self.head.waiters = [one for one in self.head.waiters if one.id != waiter.id]
        if self.head == Head():
            self._store.clear(HEAD_KEY)
        else:
            self.save()

    async def woken(self) -> list[tuple[str, StreamPage]]:
        """Takes out the waiting readers for whom there is something, with their pages."""
        found: list[tuple[str, StreamPage]] = []
        waiting: list[Waiter] = []
        for waiter in self.head.waiters:
            page = await self.page(waiter.turn, waiter.offset)
            if has_news(page):
                found.append((waiter.id, page))
            else:
                waiting.append(waiter)
        self.head.waiters = waiting
        return found

    async def page(self, turn: str, offset: int) -> StreamPage:
        """What a reader of a turn (or, without one, of the latest) gets."""
        head = self.head
        if turn and turn != head.turn:
            return StreamPage(turn=turn, next=offset, ended=turn in head.past)
        return StreamPage(
            turn=head.turn,
            chunks=_joined(await self._since(offset)),
            next=max(head.next, offset),
            ended=head.ended,
            reason=head.reason,
        )

    def _begin(self, turn: str, number: int) -> None:
        self.drop()
        head = self.head
        past = [*head.past, head.turn] if head.turn else head.past
        self.head = Head(turn=turn, number=number, past=past[-MOST_PAST:], waiters=head.waiters)

    def _new_message(self, more: Publication) -> Message:
        head = self.head
        message = Message(
            number=more.message, attempt=more.attempt, page=head.page + len(head.pages)
        )
        others = [one for one in head.messages if one.number != more.message]
        head.messages = [*others, message][-MOST_MESSAGES:]
        return message

    def _add(self, chunk: StreamChunk) -> None:
        head = self.head
        if sum(len(one.text) for one in head.chunks) >= PAGE_CHARACTERS:
            self._turn_over()
        head.chunks.append(chunk)

    def _turn_over(self) -> None:
        head = self.head
        self._store.set(
            _page_key(head.page + len(head.pages)), Page(chunks=head.chunks), serde=PAGE
        )
        head.pages.append(head.start)
        head.start, head.chunks = head.next, []
        if len(head.pages) > MOST_PAGES:
            self._store.clear(_page_key(head.page))
            head.page += 1
            del head.pages[0]

    async def _void(self, message: Message) -> None:
        head = self.head
        if not message.length:
            return
        for number in range(max(message.page, head.page), head.page + len(head.pages)):
            page = await self._store.get(_page_key(number), serde=PAGE)
            if page is not None:
                without = Page(chunks=_without(page.chunks, message.number))
                self._store.set(_page_key(number), without, serde=PAGE)
        head.chunks = _without(head.chunks, message.number)
        self._add(StreamChunk(message=message.number, reset=True))

    async def _since(self, offset: int) -> list[StreamChunk]:
        head = self.head
        found: list[StreamChunk] = []
        for index, (start, end) in enumerate(pairwise([*head.pages, head.start])):
            if end <= offset:
                continue
            page = await self._store.get(_page_key(head.page + index), serde=PAGE)
            if page is not None:
                found += page.chunks[max(0, offset - start) :]
        return found + head.chunks[max(0, offset - head.start) :]


def has_news(page: StreamPage) -> bool:
    """Whether there is something in it for a reader."""
    return bool(page.chunks) or page.ended


def _without(chunks: list[StreamChunk], message: int) -> list[StreamChunk]:
    void = StreamChunk(message=message)
    return [void if one.message == message else one for one in chunks]


def _joined(chunks: list[StreamChunk]) -> list[StreamChunk]:
    """Without void ones, and with those of one message in one."""
    found: list[StreamChunk] = []
    for chunk in chunks:
        if not chunk.text and not chunk.reset:
            continue
        if found and found[-1].message == chunk.message and not chunk.reset:
            found[-1] = found[-1].model_copy(
                update={"text": found[-1].text + chunk.text, "author": chunk.author}
            )
        else:
            found.append(chunk)
    return found

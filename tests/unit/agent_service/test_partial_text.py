"""What readers get of a turn's text, whatever becomes of those who write it."""

from __future__ import annotations

from agent_service.api import StreamChunk
from agent_service.durable.partial_text import (
    MOST_PAGES,
    MOST_WAITERS,
    PAGE_CHARACTERS,
    Ending,
    PartialText,
    Publication,
    Published,
    Waiter,
)
from tests.unit.agent_service.fakes import FakeStore


def more(
    text: str, start: int = 0, attempt: str = "a", message: int = 1, turn: str = "t1"
) -> Publication:
    number = int(turn.removeprefix("t"))
    return Publication(
        turn=turn, number=number, message=message, author="A", attempt=attempt, start=start,
        text=text,
    )  # fmt: skip


def waiter(name: str, turn: str = "t1", offset: int = 0, at: float = 0.0) -> Waiter:
    return Waiter(id=name, turn=turn, offset=offset, at=at, until=at + 15)


class Stream:
    """Loads and saves for each call, as handlers do."""

    def __init__(self) -> None:
        self.store = FakeStore()

    async def take(self, publication: Publication) -> Published:
        text = await PartialText.load(self.store)
        found = await text.take(publication)
        text.save()
        return found

    async def read(self, turn: str = "t1", offset: int = 0) -> tuple[list[str], int, bool]:
        page = await (await PartialText.load(self.store)).page(turn, offset)
        return (
            [f"{c.message}{'!' if c.reset else ''}:{c.text}" for c in page.chunks],
            page.next,
            page.ended,
        )

    async def end(self, number: int = 1, reason: str = "") -> None:
        text = await PartialText.load(self.store)
        text.end(Ending(turn=f"t{number}", number=number, reason=reason))
        text.save()


async def test_text_comes_once_however_often_it_is_published() -> None:
    stream = Stream()
    assert await stream.take(more("one ")) == Published(known=4)
    assert await stream.take(more("one ")) == Published(known=4)
    # An answer was lost, and there is more text by now.
    assert await stream.take(more("one two", 0)) == Published(known=7)
    assert await stream.take(more(" three", 7)) == Published(known=13)
    assert await stream.read() == (["1:one two three"], 3, False)
    assert await stream.read(offset=2) == (["1: three"], 3, False)
    assert await stream.read(offset=3) == ([], 3, False)


async def test_what_is_missing_is_asked_for() -> None:
    stream = Stream()
    await stream.take(more("one "))
    assert await stream.take(more("three", 8)) == Published(known=4)
    assert await stream.take(more("two three", 4)) == Published(known=13)
    assert await stream.read() == (["1:one two three"], 2, False)


async def test_an_attempt_voids_the_text_of_the_one_before_and_no_other() -> None:
    stream = Stream()
    await stream.take(more("Let me see.", message=1))
    await stream.take(more("", attempt="b", message=2))
    await stream.take(more("It is", attempt="b", message=2))
    assert await stream.read() == (["1:Let me see.", "2:It is"], 2, False)
    await stream.take(more("", attempt="c", message=2))
    assert await stream.read(offset=2) == (["2!:"], 3, False)
    await stream.take(more("It was", attempt="c", message=2))
    assert await stream.read() == (["1:Let me see.", "2!:It was"], 4, False)
    # The one before may still be at work, in a process that nobody waits for.
    assert await stream.take(more(" not", 5, attempt="b", message=2)) == Published(stale=True)
    assert await stream.read(offset=3) == (["2:It was"], 4, False)


async def test_an_attempt_voids_text_in_pages_too() -> None:
    stream = Stream()
    part = "x" * (PAGE_CHARACTERS // 2)
    for number in range(7):
        await stream.take(more(part, number * len(part)))
        await stream.take(more(f"{number}", number, message=2))
    head = (await PartialText.load(stream.store)).head
    assert len(head.pages) > 2
    chunks, _, _ = await stream.read()
    assert "".join(c[2:] for c in chunks if c.startswith("1")) == part * 7
    await stream.take(more("new", attempt="b"))
    chunks, _, _ = await stream.read()
    assert chunks == ["2:0123456", "1!:new"]


async def test_it_is_bounded() -> None:
    stream = Stream()
    part = "x" * PAGE_CHARACTERS
    for number in range(MOST_PAGES + 10):
        await stream.take(more(part, number * len(part)))
    assert len(stream.store.state) <= MOST_PAGES + 1
    chunks, following, _ = await stream.read()
    assert following == MOST_PAGES + 10
    assert (
        PAGE_CHARACTERS * MOST_PAGES <= len("".join(chunks)) <= PAGE_CHARACTERS * (MOST_PAGES + 2)
    )
    head = (await PartialText.load(stream.store)).head
    for number in range(MOST_WAITERS + 10):
        text = await PartialText.load(stream.store)
        text.wait(waiter(str(number)))
        text.save()
    assert len((await PartialText.load(stream.store)).head.waiters) == MOST_WAITERS
    assert len(head.model_dump_json()) < 2 * PAGE_CHARACTERS


async def test_a_turn_takes_the_place_of_the_one_before() -> None:
    stream = Stream()
    await stream.take(more("one"))
    await stream.end()
    assert await stream.read() == (["1:one"], 1, True)
    assert await stream.take(more(" late", 3)) == Published(stale=True)
    # It is not there yet, so it may come.
    assert await stream.read("t2") == ([], 0, False)
    await stream.take(more("two", turn="t2"))
    assert await stream.read("t2") == (["1:two"], 1, False)
    assert await stream.read("") == (["1:two"], 1, False)
    assert await stream.read("t1", 1) == ([], 1, True)
    assert await stream.take(more("back", turn="t1")) == Published(stale=True)


async def test_what_ended_can_be_dropped() -> None:
    stream = Stream()
    for number in range(3):
        await stream.take(more("x" * PAGE_CHARACTERS, number * PAGE_CHARACTERS))
    await stream.end()
    text = await PartialText.load(stream.store)
    text.drop()
    text.save()
    assert list(stream.store.state) == ["head"]
    assert await stream.read() == ([], 3, True)
    assert text.forget()
    text.save()
    assert await stream.read("t1") == ([], 0, True)
    assert (await stream.take(more("three"))).stale
    # A session of the same key begins anew.
    await stream.take(more("one", turn="t5"))
    assert await stream.read("t5") == (["1:one"], 1, False)
    text = await PartialText.load(stream.store)
    text.remove()
    assert stream.store.state == {}
    assert not (await PartialText.load(stream.store)).forget()


async def test_a_turn_without_text_ends_too() -> None:
    stream = Stream()
    await stream.take(more("one"))
    await stream.end()
    await stream.end(2, "no ingress")
    page = await (await PartialText.load(stream.store)).page("t2", 0)
    assert (page.chunks, page.ended, page.reason) == ([], True, "no ingress")
    assert await stream.read("t1") == ([], 0, True)


async def test_readers_are_woken_by_what_they_wait_for() -> None:
    stream = Stream()
    await stream.take(more("one"))
    text = await PartialText.load(stream.store)
    for one in (waiter("new"), waiter("old", offset=1), waiter("next", "t2"), waiter("any", "", 1)):
        text.wait(one)
    assert [name for name, _ in await text.woken()] == ["new"]
    await text.take(more("two", 3))
    woken = dict(await text.woken())
    assert set(woken) == {"old", "any"}
    assert woken["old"].chunks == [StreamChunk(message=1, author="A", text="two")]
    await text.take(more("next", turn="t2"))
    assert [name for name, _ in await text.woken()] == ["next"]
    assert text.head.waiters == []


async def test_readers_that_went_away_are_forgotten() -> None:
    text = await PartialText.load(FakeStore())
    text.wait(waiter("first", at=0))
    text.wait(waiter("second", at=10))
    text.wait(waiter("third", at=20))
    assert [one.id for one in text.head.waiters] == ["second", "third"]

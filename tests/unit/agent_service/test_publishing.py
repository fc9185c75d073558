"""Publishing a model call's text: batches, losses, and an ingress that isn't there."""

from __future__ import annotations

import asyncio
import time

import pytest
from google.adk.models.llm_response import LlmResponse
from google.genai import types

from agent_service.durable.partial_text import PartialText, Publication, Published
from agent_service.durable.publishing import Ingress, TurnStream, publishing
from tests.unit.agent_service.fakes import FakeStore


class Companion(Ingress):
    """Takes what is published, or loses it, or its own answer to it."""

    def __init__(self, *losses: str) -> None:
        super().__init__("http://nowhere.invalid")
        self.store = FakeStore()
        self.asked = 0
        self._losses = list(losses)

    async def publish(self, service: str, key: str, more: Publication) -> Published | None:
        assert (service, key) == ("A.streams", "k")
        self.asked += 1
        await asyncio.sleep(0.001)
        loss = self._losses.pop(0) if self._losses else ""
        if loss == "request":
            return None
        text = await PartialText.load(self.store)
        found = await text.take(more)
        text.save()
        return None if loss == "answer" else found

    async def text(self) -> str:
        page = await (await PartialText.load(self.store)).page("t", 0)
        last = max((n for n, c in enumerate(page.chunks) if c.reset), default=0)
        return "".join(chunk.text for chunk in page.chunks[last:])


def says(text: str, *, partial: bool = True, thought: bool = False) -> LlmResponse:
    part = types.Part(text=text, thought=thought)
    return LlmResponse(content=types.Content(role="model", parts=[part]), partial=partial)


def stream_to(ingress: Ingress) -> TurnStream:
    return TurnStream(ingress, "A.streams", "k", "t", 1, interval=0.01)


async def tell(ingress: Ingress, *said: LlmResponse, pause: float = 0.0) -> None:
    async with publishing(stream_to(ingress), 1, "A") as text:
        assert text is not None
        for one in said:
            text.take(one)
            await asyncio.sleep(pause)


WORDS = [f"word{number} " for number in range(100)]
WHOLE = "".join(WORDS)


@pytest.mark.parametrize("pause", [0.0, 0.001])
async def test_many_words_are_few_publications(pause: float) -> None:
    companion = Companion()
    await tell(companion, *map(says, WORDS), says(WHOLE, partial=False), pause=pause)
    assert await companion.text() == WHOLE
    assert companion.asked < len(WORDS) / 4


@pytest.mark.parametrize("losses", [("request",), ("answer",), ("", "answer", "request", "answer")])
async def test_what_is_lost_is_published_again(losses: tuple[str, ...]) -> None:
    companion = Companion(*losses)
    await tell(companion, *map(says, WORDS), says(WHOLE, partial=False), pause=0.005)
    assert await companion.text() == WHOLE


async def test_a_model_without_pieces_is_published_whole_and_thoughts_are_not() -> None:
    companion = Companion()
    await tell(companion, says("hm", thought=True), says("all", partial=False))
    assert await companion.text() == "all"


async def test_pieces_that_the_whole_contradicts_are_void() -> None:
    companion = Companion()
    await tell(companion, says("It is"), says("I don't know", partial=False), pause=0.05)
    assert await companion.text() == "I don't know"


async def test_an_ingress_that_is_gone_holds_nothing_up() -> None:
    ingress = Ingress("http://127.0.0.1:9")
    began = time.monotonic()
    for _ in range(20):
        await tell(ingress, says("one", partial=False))
    assert not ingress.healthy
    assert time.monotonic() - began < 10


async def test_an_error_of_the_model_comes_through() -> None:
    companion = Companion()
    with pytest.raises(ValueError, match="model"):
        async with publishing(stream_to(companion), 1, "A"):
            raise ValueError("model")


async def test_nothing_is_published_where_nobody_asked() -> None:
    async with publishing(None, 0, "") as text:
        assert text is None


async def test_what_is_said_is_not_logged_where_it_can_t_be_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Half of a pair of surrogates, which no encoding takes.
    more = Publication(
        turn="t", number=1, message=1, author="A", attempt="a", start=0, text="secret \ud83d"
    )
    assert await Ingress("http://nowhere.invalid").publish("A.streams", "k", more) is None
    fields = [getattr(record, "fields", {}) for record in caplog.records]
    assert [one["error"] for one in fields] == ["UnicodeEncodeError"]

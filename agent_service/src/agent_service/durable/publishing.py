"""Publishes the partial text of a model call while the call runs.

It happens inside of the journaled step, which can write nothing to the journal, so the text goes
over HTTP to Restate's ingress, and from there to ``{Agent}.streams``. Whatever becomes of it, the
turn goes on: the journal has the model's whole answer in any case.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from uuid import uuid4

from google.adk.models.llm_response import LlmResponse

from agent_service.durable.partial_text import Publication, Published
from agent_service.durable.session_store import text_of

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

# Publications are small and nothing waits for them but the end of the step, so rather give one up.
CONNECT_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 2.0
# How long the end of a model call waits for its last text to be published.
LAST_SECONDS: Final = 2.0
LONGEST_PAUSE: Final = 5.0
# The pause between publications grows to so many times the interval.
MOST_STRETCH: Final = 3.0
MOST_CONNECTIONS: Final = 1_000


class Ingress:
    """Restate's ingress, as this process reaches it.

    Attributes:
        healthy: whether the last publication arrived.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._http: httpx.AsyncClient | None = None
        self.healthy = True

    async def publish(self, service: str, key: str, more: Publication) -> Published | None:
        """Publishes text; ``None``: it didn't arrive, or nobody knows whether it did."""
        import httpx

        url = f"{self._url}/{service}/{quote(key, safe='')}/publish"
        try:
            answer = await self._client().post(url, json=more.model_dump())
            answer.raise_for_status()
            published = Published.model_validate_json(answer.content)
        except (httpx.HTTPError, ValueError) as error:
            self._note(service, error)
            return None
        self._note(service, None)
        return published

    def _client(self) -> httpx.AsyncClient:
        import httpx

        if self._http is None:
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
                limits=httpx.Limits(max_connections=MOST_CONNECTIONS),
            )
        return self._http

    def _note(self, service: str, error: Exception | None) -> None:
        """Logs only when it changes, since there are many publications."""
        healthy = error is None
        if healthy == self.healthy:
            return
        self.healthy = healthy
        fields = {"service": service, "ingress": self._url}
        if error is None:
            logger.info("partial text is published again", extra={"fields": fields})
        else:
            fields["error"] = _named(error)
            logger.warning("partial text can't be published", extra={"fields": fields})


class TurnStream:
    """Where one attempt of a turn publishes the text of its model calls.

    Args:
        ingress: where to send it.
        service: the virtual object that keeps it.
        key: the session's key.
        turn: the turn's invocation id.
        number: the turn's in its session.
        interval: seconds between a message's first publications; it grows from there.
    """

    def __init__(
        self, ingress: Ingress, service: str, key: str, turn: str, number: int, interval: float
    ) -> None:
        self.ingress = ingress
        self.interval = interval
        self._service = service
        self._key = key
        self._turn = turn
        self._number = number
        self._messages = 0

    def next_message(self) -> int:
        """Counts the turn's model calls, in the order in which a replay repeats them."""
        self._messages += 1
        return self._messages

    async def publish(self, message: int, **more: Any) -> Published | None:
        """Publishes text of one message."""
        publication = Publication(turn=self._turn, number=self._number, message=message, **more)
        return await self.ingress.publish(self._service, self._key, publication)


class PartialMessage:
    """The text of one model call so far, and how much of it has been published.

    What one publication didn't bring is in the next one: each says where its text begins, and the
    answer how much is known.
    """

    def __init__(self, stream: TurnStream, message: int, author: str) -> None:
        self._stream = stream
        self._message = message
        self._author = author
        self._settled = self._text = ""
        self._attempt = uuid4().hex
        self._known = self._publications = 0
        self._opened = self._stale = False
        self._over = asyncio.Event()
        self._news = asyncio.Event()

    def take(self, response: LlmResponse) -> None:
        """Adds what the model said."""
        said = text_of(response.content)
        if response.partial:
            self._tell(self._text + said)
        else:
            # The whole of what came in pieces; some models don't make pieces at all.
            self._settled += said
            self._tell(self._settled)

    def close(self) -> None:
        """Says that the model has ended."""
        self._over.set()
        self._news.set()

    async def run(self) -> None:
        """Publishes until the model has ended and all of its text is known, or it is of no use."""
        pause = 0.0
        while not self._stale:
            arrived = await self._publish()
            if self._over.is_set() and (self._complete() or not arrived):
                return
            pause = self._usual_pause() if arrived else min(2 * pause + 0.1, LONGEST_PAUSE)
            await self._sleep(pause)
            if self._complete() and not self._over.is_set():
                self._news.clear()
                await self._news.wait()

    def _usual_pause(self) -> float:
        """Short at first, when people look at an empty page; each publication costs CPU time."""
        self._publications += 1
        return self._stream.interval * min(1 + self._publications / 10, MOST_STRETCH)

    def _tell(self, text: str) -> None:
        if not text.startswith(self._text):
            # It said something else than its pieces did, so they are void.
            self._attempt, self._known, self._opened = uuid4().hex, 0, False
        self._text = text
        self._news.set()

    def _complete(self) -> bool:
        return self._opened and self._known == len(self._text)

    async def _publish(self) -> bool:
        attempt, start = self._attempt, self._known
        text = self._text[start:]
        if self._opened and not text:
            return True
        published = await self._stream.publish(
            self._message, author=self._author, attempt=attempt, start=start, text=text
        )
        if published is None or attempt != self._attempt:
            return published is not None
        self._stale = published.stale
        self._opened, self._known = True, published.known
        return True

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._over.wait(), seconds)
        except TimeoutError:
            return


@asynccontextmanager
async def publishing(
    stream: TurnStream | None, message: int, author: str
) -> AsyncIterator[PartialMessage | None]:
    """Publishes, beside what runs inside, the text that is taken there.

    Args:
        stream: where to; ``None``: nowhere.
        message: which of the turn's model calls it is.
        author: the agent whose model it is.
    """
    if stream is None:
        yield None
        return
    text = PartialMessage(stream, message, author)
    task = asyncio.create_task(text.run(), name=f"publish message {message}")
    try:
        yield text
        text.close()
        # What isn't there can't be waited for: an ingress that is gone must not slow turns down.
        if stream.ingress.healthy:
            await asyncio.wait([task], timeout=LAST_SECONDS)
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("partial text is lost", extra={"fields": {"error": _named(error)}})


def _named(error: BaseException) -> str:
    """An error without what was said, which others than those of the connection may hold."""
    import httpx

    connection = isinstance(error, httpx.HTTPError)
    return repr(error)[:300] if connection else type(error).__name__

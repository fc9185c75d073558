"""``{Agent}.streams``: the partial text of turns, one object for each session.

The process that calls the model publishes it over HTTP to Restate's ingress, from inside of the
journaled step (`publishing.py`); readers ask for it from where they are (docs/decisions/0045).
"""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final, cast

import restate
from pydantic import ValidationError
from restate import TerminalError
from restate.retry_policy import InvocationRetryPolicy
from restate.serde import BytesSerde

from agent_service.api import StreamPage, StreamQuery
from agent_service.durable.companions import HIDDEN, companion
from agent_service.durable.partial_text import (
    Ending,
    PartialText,
    Publication,
    Published,
    Waiter,
    has_news,
)
from agent_service.durable.requests import RequestSerde, readable
from agent_service.durable.stores import ModelSerde, Store

# The text stays this long after a turn, for readers that are late.
KEPT: Final = timedelta(seconds=60)
# A publication is of no use if it is late, and its process sends it again.
SHORT_LIVED: Final = InvocationRetryPolicy(
    initial_interval=timedelta(milliseconds=50),
    exponentiation_factor=2.0,
    max_interval=timedelta(seconds=1),
    max_attempts=6,
    on_max_attempts="kill",
)
NO_INGRESS: Final = (
    "the agent's process can't reach Restate's ingress: set RESTATE_INGRESS_URL there"
    " (spec.restate.ingressURL of the AgentDeployment)"
)

_ENDINGS = ModelSerde(Ending)
_WAITERS = ModelSerde(Waiter)
_PUBLISHED = ModelSerde(Published)


class Streams:
    """The companion of an agent's virtual object, and what its turns call it for.

    Args:
        agent: the virtual object's name.
        options: what all services are served with.
    """

    def __init__(self, agent: str, options: dict[str, Any]) -> None:
        self.service = companion(agent, "streams", f"Partial text of {agent}'s turns", options)
        self._serve_turns()
        self._serve_removal()
        self._serve_readers()

    def end(self, context: restate.ObjectContext, key: str, ending: Ending) -> None:
        """Says that nothing more comes of a turn; waits for nobody."""
        context.object_send(self._end, key, ending)

    def forget_later(self, context: restate.ObjectContext, key: str) -> None:
        """Removes what is there of a session; waits for nobody."""
        context.object_send(self._forget, key, None)

    async def forget(self, context: restate.ObjectContext, key: str) -> None:
        """Removes what is there of a session."""
        await context.object_call(self._forget, key, None)

    def _serve_turns(self) -> None:
        @self.service.handler(
            input_serde=RequestSerde(Publication),
            output_serde=_PUBLISHED,
            state_preload=False,
            invocation_retry_policy=SHORT_LIVED,
        )
        async def publish(ctx: restate.ObjectContext, more: Publication) -> Published:
            """Takes more text of a model call, from the process that makes it."""
            text = await PartialText.load(cast("Store", ctx))
            published = await text.take(readable(more))
            if not published.stale:
                await _wake(ctx, text)
            return published

        @self.service.handler(input_serde=_ENDINGS, **HIDDEN)
        async def end(ctx: restate.ObjectContext, ending: Ending) -> None:
            """Takes down that a turn has ended."""
            text = await PartialText.load(cast("Store", ctx))
            text.end(ending)
            if text.head.next:
                ctx.object_send(tidy, ctx.key(), ending, send_delay=KEPT)
            await _wake(ctx, text)

        @self.service.handler(input_serde=_ENDINGS, **HIDDEN)
        async def tidy(ctx: restate.ObjectContext, ending: Ending) -> None:
            """Drops the text of a turn that ended a while ago."""
            text = await PartialText.load(cast("Store", ctx))
            if text.head.ended and text.head.number == ending.number:
                text.drop()
                text.save()

        self._end = end

    def _serve_removal(self) -> None:
        @self.service.handler(**HIDDEN)
        async def forget(ctx: restate.ObjectContext) -> None:
            """Removes the text; whoever waits for more gets nothing more."""
            text = await PartialText.load(cast("Store", ctx))
            for waiter in text.head.waiters:
                _resolve(ctx, waiter.id, StreamPage(turn=waiter.turn, ended=True))
            if not text.forget():
                text.remove()
                return
            text.save()
            # Few readers wait just now: most are on their way with the latest text.
            turn = Ending(turn=text.head.turn, number=text.head.number)
            ctx.object_send(remove, ctx.key(), turn, send_delay=KEPT)

        @self.service.handler(input_serde=_ENDINGS, **HIDDEN)
        async def remove(ctx: restate.ObjectContext, ending: Ending) -> None:
            """Removes what is left of a session that was deleted a while ago."""
            text = await PartialText.load(cast("Store", ctx))
            if text.head.turn == ending.turn and text.head.number == ending.number:
                text.remove()

        self._forget = forget

    def _serve_readers(self) -> None:
        @self.service.handler(input_serde=_WAITERS, **HIDDEN)
        async def wait(ctx: restate.ObjectContext, waiter: Waiter) -> None:
            """Takes down that a reader waits, unless there is something for it already."""
            text = await PartialText.load(cast("Store", ctx))
            text.wait(waiter)
            await _wake(ctx, text)

        @self.service.handler(input_serde=_WAITERS, **HIDDEN)
        async def leave(ctx: restate.ObjectContext, waiter: Waiter) -> None:
            """Forgets a reader who waited in vain where nothing has streamed."""
            text = await PartialText.load(cast("Store", ctx))
            text.leave(waiter)

        @self.service.handler(
            kind="shared", input_serde=RequestSerde(StreamQuery), state_preload=False
        )
        async def read(ctx: restate.ObjectSharedContext, query: StreamQuery) -> StreamPage:
            """Returns what is new of a turn's partial text, and waits if nothing is."""
            asked = readable(query)
            if asked.offset and not asked.turn:
                raise TerminalError("an offset needs a turn", HTTPStatus.BAD_REQUEST)
            text = await PartialText.load(cast("Store", ctx))
            page = await text.page(asked.turn, asked.offset)
            if has_news(page) or not asked.wait:
                return page
            at = await ctx.time()
            name, woken = ctx.awakeable(serde=BytesSerde())
            waiter = Waiter(
                id=name, turn=asked.turn, offset=asked.offset, at=at, until=at + asked.wait
            )
            ctx.object_send(wait, ctx.key(), waiter)
            late = ctx.sleep(timedelta(seconds=asked.wait))
            match await restate.select(woken=woken, late=late):
                case ["woken", bytes() as found]:
                    return _read(found) or page
                case _:
                    if not text.head.turn:
                        # Anybody may read anywhere, and nothing else would tidy up there.
                        ctx.object_send(leave, ctx.key(), waiter)
                    return page


async def _wake(ctx: restate.ObjectContext, text: PartialText) -> None:
    for name, page in await text.woken():
        _resolve(ctx, name, page)
    text.save()


def _resolve(ctx: restate.ObjectContext, name: str, page: StreamPage) -> None:
    ctx.resolve_awakeable(name, page.model_dump_json().encode(), serde=BytesSerde())


def _read(page: bytes) -> StreamPage | None:
    # Anybody may resolve an awakeable, with anything.
    try:
        return StreamPage.model_validate_json(page)
    except ValidationError:
        return None

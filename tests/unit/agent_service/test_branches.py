"""Branches of a turn: one runs at a time, and the journal decides who goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from restate import TerminalError
from restate.vm import (
    AllCompletedUnresolvedFuture,
    FirstCompletedUnresolvedFuture,
    SingleUnresolvedFuture,
    UnresolvedFuture,
)

from agent_service.durable.branches import WAKE, Branches, branching

PATIENCE = 5.0


class Gone(BaseException):
    """As the SDK ends an attempt."""


class FakeContext:
    """Stands for the SDK's: waits end in the order of ``journal``, an item at a time."""

    def __init__(self, journal: list[int | BaseException]) -> None:
        self.vm = self
        self.receive: Any = self
        self.journal = journal
        self.done: set[int] = set()
        self.closed = False
        self.looked: list[list[int]] = []

    def is_completed(self, handle: int) -> bool:
        return handle in self.done

    def notify_input_closed(self) -> None:
        self.closed = True

    async def __call__(self) -> None:
        """What comes in: nothing does."""

    async def enqueue_restate_event(self, event: object) -> None:
        assert event == WAKE
        self.woken.set()

    async def create_poll_or_cancel_coroutine(self, unresolved_future: UnresolvedFuture) -> None:
        self.woken = asyncio.Event()
        while True:
            waited = handles(unresolved_future)
            self.looked.append(waited)
            while self.journal and not over(unresolved_future, self.done):
                item = self.journal.pop(0)
                if isinstance(item, BaseException):
                    # An attempt ends while it waits for what comes in.
                    await self.receive()
                    raise item
                self.done.add(item)
                # Results take their time to come: whoever could run meanwhile would.
                await asyncio.sleep(0.001)
            if over(unresolved_future, self.done):
                return
            await self.woken.wait()
            self.woken.clear()


def handles(unresolved: UnresolvedFuture) -> list[int]:
    if isinstance(unresolved, SingleUnresolvedFuture):
        return [unresolved.handle]
    return [handle for child in unresolved.children for handle in handles(child)]


def over(unresolved: UnresolvedFuture, done: set[int]) -> bool:
    match unresolved:
        case SingleUnresolvedFuture(handle=handle):
            return handle in done
        case AllCompletedUnresolvedFuture(children=children):
            return all(over(child, done) for child in children)
    return any(over(child, done) for child in unresolved.children)


async def running(
    journal: list[int | BaseException],
    work: Callable[[Branches, FakeContext], Awaitable[None]],
) -> FakeContext:
    context = FakeContext(journal)
    async with asyncio.timeout(PATIENCE), branching(context) as branches:
        await work(branches, context)
    return context


async def wait(context: FakeContext, *handles: int) -> None:
    """As an await of a durable future; of several, until all are there."""
    single = [SingleUnresolvedFuture(handle) for handle in handles]
    one = single[0] if len(single) == 1 else AllCompletedUnresolvedFuture(list(single))
    await context.create_poll_or_cancel_coroutine(one)


async def test_the_journal_decides_who_goes_on() -> None:
    done: list[str] = []

    async def work(branches: Branches, context: FakeContext) -> None:
        async def branch(name: str, *handles: int) -> None:
            await branches.enter()
            done.append(f"+{name}")
            for handle in handles:
                await wait(context, handle)
                done.append(f"{name}{handle}")

        await asyncio.gather(branch("a", 1, 4), branch("b", 2), branch("c", 3, 5))
        await wait(context, 6)
        done.append("end")

    await running([3, 1, 5, 2, 4, 6], work)
    assert done == ["+a", "+b", "+c", "c3", "a1", "c5", "b2", "a4", "end"]


async def test_one_runs_at_a_time() -> None:
    inside: list[str] = []

    async def work(branches: Branches, context: FakeContext) -> None:
        async def branch(name: str, handle: int) -> None:
            await branches.enter()
            inside.append(f"+{name}")
            await asyncio.sleep(0.01)  # work of its own, not Restate's
            inside.append(f"-{name}")
            await wait(context, handle)
            inside.append(f"+{name}")
            await asyncio.sleep(0.01)
            inside.append(f"-{name}")

        await asyncio.gather(branch("a", 1), branch("b", 2))

    await running([1, 2], work)
    assert inside == ["+a", "-a", "+b", "-b"] * 2


async def test_branches_inside_a_branch() -> None:
    done: list[str] = []

    async def work(branches: Branches, context: FakeContext) -> None:
        async def leaf(name: str, handle: int) -> None:
            await branches.enter()
            await wait(context, handle)
            done.append(name)

        async def stem(name: str, *handles: int) -> None:
            await branches.enter()
            await asyncio.gather(*(leaf(f"{name}{handle}", handle) for handle in handles))
            done.append(name)
            await wait(context, 9)

        await asyncio.gather(stem("a", 1, 4), stem("b", 2))

    await running([4, 2, 1, 9], work)
    assert done == ["a4", "b2", "b", "a1", "a"]


async def test_a_branch_that_hands_events_to_its_parent_holds_nobody_up() -> None:
    seen: list[str] = []

    async def work(branches: Branches, context: FakeContext) -> None:
        queue: asyncio.Queue[tuple[str, asyncio.Event]] = asyncio.Queue()

        async def child(name: str, *handles: int) -> None:
            await branches.enter()
            for handle in handles:
                await wait(context, handle)
                taken = asyncio.Event()
                await queue.put((f"{name}{handle}", taken))
                await taken.wait()

        children = [asyncio.create_task(child("a", 1, 3)), asyncio.create_task(child("b", 2))]
        for journaled in (10, 11, 12):
            name, taken = await queue.get()
            # The parent writes to the journal while its child waits for it.
            await wait(context, journaled)
            seen.append(name)
            taken.set()
        await asyncio.gather(*children)

    await running([1, 10, 2, 11, 3, 12], work)
    assert seen == ["a1", "b2", "a3"]


async def test_a_failed_branch_takes_its_siblings_along() -> None:
    async def work(branches: Branches, context: FakeContext) -> None:
        async def branch(handle: int) -> None:
            await branches.enter()
            await wait(context, handle)
            raise ValueError("broken tool")

        tasks = [asyncio.create_task(branch(1)), asyncio.create_task(branch(2))]
        with pytest.raises(ValueError, match="broken tool"):
            await asyncio.gather(*tasks)
        # As ADK does; nobody waits for 2 any more, and it never comes.
        tasks[1].cancel()
        await wait(context, 3)

    await running([1, 3], work)


async def test_a_cancellation_reaches_all_one_after_the_other() -> None:
    done: list[str] = []

    async def work(branches: Branches, context: FakeContext) -> None:
        async def branch(name: str, handle: int, last: int) -> None:
            await branches.enter()
            try:
                await wait(context, handle)
            except TerminalError:
                done.append(f"{name} tidies up")
                await wait(context, last)
                done.append(f"{name} is tidy")

        await asyncio.gather(branch("a", 1, 11), branch("b", 2, 12))

    await running([TerminalError("cancelled", 409), 12, 11], work)
    assert done == ["a tidies up", "b tidies up", "b is tidy", "a is tidy"]


async def test_the_end_of_an_attempt_ends_all_branches() -> None:
    ended: list[int] = []

    async def work(branches: Branches, context: FakeContext) -> None:
        async def branch(handle: int) -> None:
            await branches.enter()
            try:
                await wait(context, handle)
            except Gone:
                ended.append(handle)
                # Whoever catches everything can't go on either.
                with pytest.raises(Gone):
                    await wait(context, 3)

        await asyncio.gather(branch(1), branch(2))

    await running([Gone()], work)
    assert sorted(ended) == [1, 2]


@pytest.mark.parametrize(("patient", "closed"), [((1, 2), True), ((1,), False)])
async def test_the_input_is_closed_once_all_is_awaited_for_long(
    patient: tuple[int, ...], closed: bool
) -> None:
    async def work(branches: Branches, context: FakeContext) -> None:
        for handle in patient:
            branches.be_patient(handle)

        async def branch(handle: int) -> None:
            await branches.enter()
            await wait(context, handle)

        with pytest.raises(Gone):
            await asyncio.gather(branch(1), branch(2))
        assert context.closed is closed

    await running([Gone()], work)


async def test_several_results_at_once_and_the_first_of_several() -> None:
    done: list[str] = []

    async def work(branches: Branches, context: FakeContext) -> None:
        async def all_of() -> None:
            await branches.enter()
            await wait(context, 1, 2)
            done.append("all")

        async def any_of() -> None:
            await branches.enter()
            either: Any = [SingleUnresolvedFuture(3), SingleUnresolvedFuture(4)]
            await context.create_poll_or_cancel_coroutine(FirstCompletedUnresolvedFuture(either))
            done.append("any")

        await asyncio.gather(all_of(), any_of())

    await running([1, 4, 2], work)
    assert done == ["any", "all"]


async def test_the_sdks_own_way_is_back_after_the_turn() -> None:
    context = FakeContext([])
    async with branching(context):
        pass
    context.journal.append(1)
    await wait(context, 1)
    assert context.looked == [[1]]


async def test_an_attempt_that_the_server_ended_waits_for_nothing_more() -> None:
    """As at the end of the time that SIGTERM leaves to a turn: Restate may be gone by then."""
    asked = asyncio.Event()
    ends: list[str] = []

    async def work(branches: Branches, context: FakeContext) -> None:
        async def agent() -> None:
            await branches.enter()
            try:
                asked.set()
                await wait(context, 1)
            finally:
                # ADK's agents call their last callback here.
                try:
                    await wait(context, 2)
                except asyncio.CancelledError:
                    ends.append("callback")

        task = asyncio.create_task(agent())
        try:
            await task
        finally:
            await asyncio.wait([task])
            ends.append("turn")

    attempt = asyncio.create_task(running([], work))
    await asked.wait()
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(PATIENCE):
            await attempt
    assert ends == ["callback", "turn"]

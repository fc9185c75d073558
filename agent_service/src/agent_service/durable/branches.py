"""Work that runs beside other work in one turn, in an order that a replay repeats.

ADK runs tool calls, the agents of a ``ParallelAgent`` and a workflow's nodes as tasks of their own.
Each writes to the journal, and a replay has to meet the entries in the order in which they were
written, but which of several waits ends first differs from attempt to attempt.

So one *branch* runs at a time, and only what the branches wait for (model calls, steps, timers,
approvals) overlaps. A branch gives way where it awaits something of Restate; the next to go on is
the one whose result comes first *in the journal*. All waits of a turn become one, by taking the
place of the SDK's ``create_poll_or_cancel_coroutine`` (restate-sdk 1.3), which every await of a
durable future goes through. While it runs, it looks at the list of waits anew at each event.

A cancellation reaches all that wait, one branch after the other (`cancelling.py`).

A branch and those it was started by never run at the same time by ADK's own structure: one waits
for the other. They count as one here, however they hand events to and fro.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from restate import TerminalError
from restate.vm import (
    AllCompletedUnresolvedFuture,
    FirstCompletedUnresolvedFuture,
    SingleUnresolvedFuture,
    UnresolvedFuture,
)

from agent_service.durable.cancelling import (
    TurnCancelled,
    cancellation,
    see_who_waits,
    tidying_up,
)
from agent_service.telemetry.attempts import steps_run_here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

# After a branch has caught even that so often, it is slowed down: it may do so in a loop.
MOST_CATCHES: Final = 3
# Passes of the event loop in which a branch and those it started settle what goes on.
SETTLING: Final = 50


# Makes the SDK's poll look again; it is what it sends itself when a step has ended.
WAKE: Final = {"type": "restate.run_completed", "data": None}


# By identity: two branches are never the same.
@dataclass(eq=False)
class Branch:
    """One strand of a turn: the task it runs in, and the branch that started it."""

    task: asyncio.Task[Any] | None
    parent: Branch | None = None
    children: set[Branch] = field(default_factory=set)

    def lineage(self) -> Iterator[Branch]:
        """Itself, and those it was started by."""
        branch: Branch | None = self
        while branch is not None:
            yield branch
            branch = branch.parent

    def related(self, other: Branch) -> bool:
        """Whether one of the two was started by the other."""
        return self in other.lineage() or other in self.lineage()


@dataclass(eq=False)
class _Wait:
    """A branch that waits: for a result, or (``until`` is absent) only for its turn."""

    branch: Branch
    over: asyncio.Future[None]
    until: UnresolvedFuture | None = None

    def end(self, error: BaseException | None) -> bool:
        """Lets it go on; whether anybody still waited."""
        if self.over.done():
            return False
        if error is None:
            self.over.set_result(None)
        else:
            self.over.set_exception(error)
        return True


class _Received:
    """What comes in on an attempt, in place of the SDK's channel."""

    def __init__(self, plain: Any, sleep: Callable[[], bool]) -> None:
        self._plain = plain
        self._sleep = sleep

    async def __call__(self) -> Any:
        """Returns the next event, or one that makes the SDK see that the turn is to sleep."""
        return WAKE if self._sleep() else await self._plain()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


_branch: ContextVar[Branch | None] = ContextVar("agent_service_branch", default=None)


@asynccontextmanager
async def branching(context: Any) -> AsyncIterator[Branches]:
    """Runs what is inside as the first branch of a turn; ``context`` is the SDK's."""
    see_who_waits()
    branches = Branches(context)
    poll, receive = context.create_poll_or_cancel_coroutine, context.receive
    context.create_poll_or_cancel_coroutine = branches.wait
    context.receive = _Received(receive, branches.sleep)
    token = _branch.set(branches.root)
    driver = asyncio.create_task(branches.drive(poll), name="branches")
    try:
        yield branches
    finally:
        _branch.reset(token)
        context.create_poll_or_cancel_coroutine, context.receive = poll, receive
        driver.cancel()
        await asyncio.wait([driver])


class Branches:
    """The branches of one attempt."""

    def __init__(self, context: Any) -> None:
        self._vm = context.vm
        self._receive = context.receive
        self.root = Branch(asyncio.current_task())
        self._running: Branch | None = self.root
        self._ready: deque[tuple[_Wait, BaseException | None]] = deque()
        self._waits: list[_Wait] = []
        self._polled: list[UnresolvedFuture] | None = None
        self._patient: set[int] = set()
        self._changed = asyncio.Event()
        self._asleep = False
        self._broken: BaseException | None = None
        self._cancelled = False
        self._caught = 0

    async def enter(self) -> None:
        """To be called first by a task that may run beside others; it goes on when it may."""
        task, parent = asyncio.current_task(), _branch.get() or self.root
        if task is None or task is parent.task:
            return
        branch = Branch(task, parent)
        parent.children.add(branch)
        task.add_done_callback(lambda _: self._finish(branch))
        _branch.set(branch)
        self._give_way(branch)
        if self._running is None and self._polled is not None:
            # Everybody else waits for Restate, so there is nobody to wait for.
            self._running = branch
            return
        wait = _Wait(branch, asyncio.get_running_loop().create_future())
        self._ready.append((wait, None))
        await wait.over

    async def wait(self, unresolved_future: UnresolvedFuture) -> None:
        """Stands in for the SDK's poll: gives way until the result is there."""
        if self._broken is not None:
            await self._slow_down()
            raise self._broken
        if self._given_up():
            raise asyncio.CancelledError
        if self._cancelled and not tidying_up():
            await self._slow_down()
            raise TurnCancelled from cancellation()
        branch = _branch.get() or self.root
        over = asyncio.get_running_loop().create_future()
        wait = _Wait(branch, over, unresolved_future)
        self._waits.append(wait)
        self._give_way(branch)
        if self._polled is not None:
            self._polled.append(unresolved_future)
            await self._receive.enqueue_restate_event(WAKE)
        try:
            await over
        finally:
            self._forget(wait)

    @property
    def cancelled(self) -> bool:
        """Whether the turn was cancelled."""
        return self._cancelled

    def _given_up(self) -> bool:
        """Whether the server has ended the attempt, so that nobody is there to be waited for.

        Code may yet wait: ADK calls an agent's last callback when its task is cancelled.
        """
        return self.root.task is not None and self.root.task.cancelling() > 0

    def check_cancelled(self) -> None:
        """To be called where a turn has gone well.

        Raises:
            TurnCancelled: it was cancelled, and that was caught.
        """
        if self._cancelled:
            raise TurnCancelled from cancellation()

    async def _slow_down(self) -> None:
        """Keeps code that catches everything in a loop from taking the process for itself."""
        self._caught += 1
        if self._caught > MOST_CATCHES:
            await asyncio.sleep(1)

    def be_patient(self, handle: int) -> None:
        """Says that a result may be long in coming, so that nothing should be held up for it.

        Once nothing but such results is waited for, the turn suspends.
        """
        self._patient.add(handle)

    def sleep(self) -> bool:
        """Suspends the turn if there is nothing but patience; to be asked before a real wait.

        Not earlier: what is waited for may be in the journal, and once the input is closed, an
        attempt gets no further than its next step.
        """
        if self._asleep or not self._polled:
            return False
        self._asleep = all(self._is_patient(one) for one in self._polled)
        if self._asleep:
            self._vm.notify_input_closed()
        return self._asleep

    def _give_way(self, branch: Branch) -> None:
        if self._running is not None and branch.related(self._running):
            self._running = None
        self._changed.set()

    def _forget(self, wait: _Wait) -> None:
        """Somebody doesn't wait any more: its task was cancelled."""
        if wait not in self._waits:
            return
        self._waits.remove(wait)
        # What is polled must not be nothing; a result that nobody wants does no harm.
        if self._polled is not None and len(self._polled) > 1 and wait.until in self._polled:
            self._polled.remove(wait.until)

    def _finish(self, branch: Branch) -> None:
        parent = branch.parent
        if parent is None:
            return
        parent.children.discard(branch)
        if self._running is not None and self._running in branch.lineage():
            waiting = any(wait.branch is parent for wait in self._waits)
            self._running = None if parent.children or waiting else parent
        self._changed.set()

    async def drive(self, poll: Any) -> None:
        """Lets one branch after the other go on, until cancelled or the attempt is over."""
        steps_run_here()
        while self._broken is None:
            if self._running is not None or not (self._ready or self._waits):
                self._changed.clear()
                await self._changed.wait()
            elif self._ready:
                await self._let_go(*self._ready.popleft())
            else:
                await self._poll(poll)

    async def _poll(self, poll: Any) -> None:
        self._polled = [wait.until for wait in self._waits if wait.until is not None]
        try:
            await poll(FirstCompletedUnresolvedFuture(self._polled))
        except TerminalError as error:
            # A cancellation: each branch may tidy up, one after the other.
            self._cancelled = True
            self._take(list(self._waits), error)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - the SDK's own ways out of an attempt
            self._broken = error
            for wait in self._waits:
                wait.end(error)
        else:
            self._take([w for w in self._waits if w.until and self._is_over(w.until)], None)
        finally:
            self._polled = None

    def _take(self, waits: list[_Wait], error: BaseException | None) -> None:
        for wait in waits:
            self._waits.remove(wait)
            self._ready.append((wait, error))

    async def _let_go(self, wait: _Wait, error: BaseException | None) -> None:
        if not wait.end(error):
            return
        beside = wait.branch.children or any(w.branch is wait.branch for w in self._waits)
        if not beside:
            self._running = wait.branch
            return
        # Who goes on now, it or what it started, is between them.
        for _ in range(SETTLING):
            await asyncio.sleep(0)

    def _is_over(self, unresolved: UnresolvedFuture) -> bool:
        match unresolved:
            case SingleUnresolvedFuture(handle=handle):
                return bool(self._vm.is_completed(handle))
            case AllCompletedUnresolvedFuture(children=children):
                return all(self._is_over(child) for child in children)
        return any(self._is_over(child) for child in unresolved.children)

    def _is_patient(self, unresolved: UnresolvedFuture) -> bool:
        if isinstance(unresolved, SingleUnresolvedFuture):
            return unresolved.handle in self._patient
        return all(self._is_patient(child) for child in unresolved.children)

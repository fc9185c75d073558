"""Carry out moves: hand what holds an old revision to the active one, and see what becomes of it.

Each pass takes every invocation one step further and writes the record before it acts, so that a
crash at any point leaves nothing forgotten, half moved or run twice.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from agent_operator import metrics
from agent_operator.reconcile.actions import MoveInvocations
from agent_operator.reconcile.errors import NotNowError
from agent_operator.reconcile.events import Event
from agent_operator.reconcile.move_record import STAYS_KEPT, Moves
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.restate.invocations import Invocation, Invocations, RestartRefusedError
from agent_operator.restate.view import RestateView

log = logging.getLogger(__name__)

# In the operator's hands at a time: what the active revision is asked to take at once.
AT_ONCE: Final = 50

Write = Callable[[Moves], Awaitable[None]]
Tell = Callable[[Moves], Awaitable[None]]


@dataclass
class Mover:
    """One pass over a revision's moves. ``write`` keeps the record, ``tell`` says how it ended."""

    action: MoveInvocations
    snapshot: Snapshot
    restate: Invocations
    write: Write
    tell: Tell

    def __post_init__(self) -> None:
        self.record = self.action.record
        self._written = self.action.revision.moves

    async def run(self) -> None:
        """Take every invocation one step further.

        Raises:
            NotNowError: some are not there yet.
            RestateUnavailableError: Restate can't be asked; nothing is lost.
        """
        await self._settle()
        await self._restart()
        left = await self._begin() if self.action.begin else 0
        waiting = left + len(self.record.moving) + len(self.record.restarting)
        if not waiting and self.action.begin:
            self.record = self.record.finished()
        await self._save()
        if waiting:
            raise NotNowError(f"{waiting} invocations of {self._name} are on their way")
        if self.record.in_words():
            await self.tell(self.record)

    @property
    def _name(self) -> str:
        return self.action.revision.name

    async def _save(self) -> None:
        if self.record != self._written:
            await self.write(self.record)
            self._written = self.record

    async def _settle(self) -> None:
        """See what became of what is in our hands, and act on it."""
        found = await self.restate.by_id(self.record.moving)
        for invocation_id in self.record.moving:
            invocation = found.get(invocation_id)
            if invocation is None:
                self.record = self.record.without(invocation_id)
            elif invocation.ended:
                self._ended(invocation)
            elif invocation.pinned == self.record.to:
                await self._judge(invocation)
            else:
                await self._hand_over(invocation)

    def _ended(self, invocation: Invocation) -> None:
        if invocation.pinned == self.record.to:
            self._moved(invocation)
        else:
            self.record = self.record.without(invocation.id)

    async def _judge(self, invocation: Invocation) -> None:
        """It was tried at the new deployment: does it go on there?"""
        if invocation.mismatched:
            await self._take_back(invocation)
        elif invocation.unanswered and invocation.status == "paused":
            await self.restate.resume(invocation.id, self.record.to)
        elif invocation.status in {"running", "ready"} or invocation.unanswered:
            return  # it is not said yet
        else:
            self._moved(invocation)

    async def _take_back(self, invocation: Invocation) -> None:
        if self.action.begin and self.record.restart and invocation.restartable:
            self.record = self.record.with_restarting(invocation.id)
            return
        if not invocation.at_rest:
            await self.restate.pause(invocation.id)
            return
        if await self.restate.resume(invocation.id, self.action.deployment_id) is not None:
            self._stays(invocation, f"{self.record.to} can't go on with it ({invocation.code})")

    async def _hand_over(self, invocation: Invocation) -> None:
        """It is still at the old deployment."""
        if not self.action.begin:
            await self._let_be(invocation)
        elif invocation.at_rest:
            if await self.restate.resume(invocation.id, self.record.to) is False:
                self._stays(invocation, f"Restate does not let {self.record.to} go on with it")
        elif invocation.at_work:
            await self.restate.pause(invocation.id)
        else:
            self._stays(invocation, "it has not begun")

    async def _let_be(self, invocation: Invocation) -> None:
        """It is not to be moved any more, but a pause may have been asked for."""
        if invocation.status == "running":
            return
        if invocation.status == "paused":
            await self.restate.resume(invocation.id, self.action.deployment_id)
        self.record = self.record.without(invocation.id)

    async def _begin(self) -> int:
        """Take more into our hands; answers how many have to wait."""
        left = await self.restate.starting_on(self.action.deployment_id)
        fresh: list[Invocation] = []
        known = {*self.record.moving, *self.record.restarting, *self.record.stays}
        for invocation in await self.restate.pinned_to(self.action.deployment_id):
            if invocation.id in known or len(self.record.stays) >= STAYS_KEPT:
                continue
            if not self._served(invocation):
                self._stays(invocation, f"{self.record.to} lacks its handler")
            elif len(self.record.moving) + len(fresh) < AT_ONCE:
                fresh.append(invocation)
            else:
                left += 1
        self.record = replace(
            self.record, moving=(*self.record.moving, *(found.id for found in fresh))
        )
        # Written down before it is done: whoever comes next must know where to look for them.
        await self._save()
        for invocation in fresh:
            await self._hand_over(invocation)
        return left

    async def _restart(self) -> None:
        """Kill what can't go on, and begin it again."""
        if not self.record.restarting:
            return
        await self._save()  # as above: a kill without a restart would lose it
        found = await self.restate.by_id(self.record.restarting)
        again = await self.restate.restarts_of(self.record.restarting)
        for invocation_id in self.record.restarting:
            if new := again.get(invocation_id):
                self._restarted(invocation_id, new)
                continue
            invocation = found.get(invocation_id)
            if invocation is None:
                self._lost(invocation_id, "Restate knows it no more")
            elif invocation.ended and not invocation.killed:
                self.record = self.record.without(invocation_id)  # it came to an end by itself
            elif invocation.ended:
                await self._begin_again(invocation_id)
            else:
                await self.restate.kill(invocation_id)

    async def _begin_again(self, invocation_id: str) -> None:
        try:
            self._restarted(invocation_id, await self.restate.restart(invocation_id))
        except RestartRefusedError as error:
            # What is not let go of holds its revision, and the object's deletion, for ever.
            self._lost(invocation_id, str(error))

    def _moved(self, invocation: Invocation) -> None:
        self._count("moved")
        self.record = self.record.with_moved(invocation.id)
        log.info("%s: moved %s to %s", self._name, invocation.id, self.record.to)

    def _restarted(self, invocation_id: str, new: str) -> None:
        self._count("restarted")
        self.record = self.record.with_restarted(invocation_id, new)
        log.warning("%s: killed %s and restarted it as %s", self._name, invocation_id, new)

    def _lost(self, invocation_id: str, why: str) -> None:
        self._count("lost")
        self.record = self.record.with_lost(invocation_id)
        log.error(
            "%s: %s was killed to be restarted, and can't be: %s", self._name, invocation_id, why
        )

    def _stays(self, invocation: Invocation, why: str) -> None:
        self._count("stayed")
        self.record = self.record.with_stayed(invocation.id)
        log.warning("%s: %s stays: %s", self._name, invocation.id, why)

    def _served(self, invocation: Invocation) -> bool:
        view = self.snapshot.restates[self.action.revision.restate]
        if not isinstance(view, RestateView):
            raise NotNowError("Restate can't be asked who serves what")
        return any(
            service.name == invocation.service and invocation.handler in service.handlers
            for service in view.routed_to(self.record.to)
        )

    @staticmethod
    def _count(outcome: str) -> None:
        metrics.MOVES.labels(outcome).inc()


def event(name: str, record: Moves) -> Event:
    """How the moves of a revision ended."""
    others = record.restarted.count or record.stayed.count or record.lost.count
    moved = record.moved.count or record.restarted.count
    reason = "InvocationsMoved" if moved else "InvocationsStay"
    return Event(
        "Normal" if record.moved.count and not others else "Warning",
        "InvocationsLost" if record.lost.count else reason,
        f"invocations that held {name} after its deadline: {record.in_words()}",
    )

"""One AgentDeployment at a time: observe, plan, apply, status; and what to remember of failures."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from agent_operator import logs, metrics
from agent_operator.api import AgentDeploymentStatus
from agent_operator.kube.client import Body, Kube
from agent_operator.kube.errors import KubeError
from agent_operator.kube.store import Key, Store
from agent_operator.reconcile import orphans, setbacks
from agent_operator.reconcile.actions import (
    Action,
    CheckRevision,
    CreateRevision,
    PointService,
    RegisterRevision,
    RemoveFinalizer,
    ResumeInvocations,
    SetAutoscaler,
    SetBudget,
    StartGate,
    revision_of,
    subject,
)
from agent_operator.reconcile.apply import Applier
from agent_operator.reconcile.contents import Contents
from agent_operator.reconcile.errors import NameTakenError, NotNowError
from agent_operator.reconcile.observe import observe
from agent_operator.reconcile.plan import Plan, plan
from agent_operator.reconcile.show import Shower
from agent_operator.reconcile.snapshot import FailingAction, Setback, Snapshot
from agent_operator.restate.observer import RestateObserver
from agent_operator.settings import Settings

log = logging.getLogger(__name__)

# A plan's actions lead to a new picture, hence to a new plan; more rounds than this in one go
# would mean that plans don't converge.
MAX_ROUNDS: Final = 8
RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0)
# Right after its pods are Ready, a revision may not be reached yet: people wait for the turn.
RESUME_SECONDS: Final = (*[RETRY_SECONDS[0]] * 15, *RETRY_SECONDS)
# Soon, to show it, and then as if it had been renamed meanwhile.
NAME_TAKEN_SECONDS: Final = (RETRY_SECONDS[0], 600.0)
SHORTEST_WAIT: Final = timedelta(milliseconds=50)

# What a candidate needs to get on: why they don't work is shown.
STEPS: Final = (CreateRevision, CheckRevision, StartGate, RegisterRevision)
# Why any other one doesn't work is shown when it does so again and again: after some two seconds.
TOLD_AFTER: Final = 4
# What may be refused for ever, and holds nothing else up.
BESIDE: Final = (PointService, SetAutoscaler, SetBudget)


@dataclass
class _HeldUp:
    """An action that did not work: how often, and when it is tried again (monotonic seconds).

    ``failures`` of these attempts, in a row, were such that people should know.
    """

    attempts: int
    until: float
    failing: FailingAction | None = None
    failures: int = 0


@dataclass
class _Memory:
    """What is remembered of one object. Losing it means that something is tried again sooner."""

    held_up: dict[tuple[str, str], _HeldUp] = field(default_factory=dict)
    setback: Setback | None = None
    wanted: str = ""
    name_taken: bool = False

    def told(self) -> tuple[FailingAction, ...]:
        """The actions that keep failing."""
        held_up = self.held_up.values()
        return tuple(h.failing for h in held_up if h.failing and h.failures >= TOLD_AFTER)


@dataclass
class Reconciler:
    """Brings AgentDeployments to what their specs ask for."""

    kube: Kube
    store: Store
    restate: RestateObserver
    settings: Settings
    _memories: dict[Key, _Memory] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._applier = Applier(self.kube, self.store, self.restate, self.settings)
        self._shower = Shower(self.kube, self.store)
        self._contents = Contents(self.kube)

    async def reconcile(self, key: Key) -> timedelta | None:
        """Look at one AgentDeployment and do what is due.

        Returns:
            How long until it should be looked at again at the latest; ``None`` once it is gone.
        """
        memory = self._memories.setdefault(key, _Memory())
        with metrics.RECONCILE_SECONDS.time():
            for _ in range(MAX_ROUNDS):
                seen = await self._look(key, memory)
                if seen is None:
                    del self._memories[key]
                    await orphans.remove(key, self.store, self.kube)
                    return None if self.store.get(key) is None else timedelta(0)
                snapshot, due = seen
                if not due.actions or not await self._carry_out(due, snapshot, memory):
                    shown_in = await self._show(key, snapshot, due.status)
                    break
            else:
                shown_in = timedelta(0)  # there is more to do, which others' looks come before
        return self._next(due, memory, shown_in)

    async def _look(self, key: Key, memory: _Memory) -> tuple[Snapshot, Plan] | None:
        snapshot = await observe(
            key, self.store, self.restate, self.settings, memory.setback, self._contents
        )
        if snapshot is None:
            return None
        if memory.wanted != snapshot.wanted.name:
            # What went wrong with another revision says nothing of this one.
            memory.wanted, memory.setback = snapshot.wanted.name, None
        if memory.name_taken and snapshot.front:
            snapshot = replace(snapshot, front=replace(snapshot.front, taken=True))
        snapshot = replace(snapshot, failing=memory.told())
        return snapshot, plan(snapshot, datetime.now(UTC))

    async def _carry_out(self, due: Plan, snapshot: Snapshot, memory: _Memory) -> bool:
        """Whether anything was done and nothing failed, so that a new look makes sense at once."""
        done, failed = 0, False
        for action in due.actions:
            held_up = memory.held_up.get(subject(action))
            if held_up and time.monotonic() < held_up.until:
                failed = failed or not isinstance(action, BESIDE)
                continue
            if failed and isinstance(action, RemoveFinalizer):
                continue
            try:
                with logs.about_revision(revision_of(action)):
                    await self._applier.apply(action, snapshot)
            except Exception as error:  # noqa: BLE001 - one that is bad holds up no other
                self._set_back(action, memory, error)
                failed = True
            else:
                memory.held_up.pop(subject(action), None)
                if isinstance(action, STEPS):
                    memory.setback = None
                elif isinstance(action, PointService):
                    memory.name_taken = False
                done += 1
        # A setback shows in the next look's status, so there must be one.
        return done > 0 and not failed

    def _set_back(self, action: Action, memory: _Memory, error: Exception) -> None:
        with logs.about_revision(revision_of(action)):
            _log(action, error)
        metrics.ACTION_FAILURES.labels(type(action).__name__).inc()
        before = memory.held_up.get(subject(action))
        attempts = before.attempts + 1 if before else 1
        pauses = _pauses(action, error)
        memory.name_taken = memory.name_taken or isinstance(error, NameTakenError)
        held_up = _HeldUp(attempts, time.monotonic() + pauses[min(attempts, len(pauses)) - 1])
        memory.held_up[subject(action)] = held_up
        if isinstance(action, STEPS):
            memory.setback = setbacks.of(action, error)
            if memory.setback.final:
                held_up.until = math.inf
        elif failing := setbacks.failing(action, error):
            held_up.failing = failing
            held_up.failures = before.failures + 1 if before else 1

    async def _show(
        self, key: Key, snapshot: Snapshot, status: AgentDeploymentStatus
    ) -> timedelta | None:
        before = self._status(key)
        try:
            shown_in = await self._shower.show(key, snapshot, status)
            # What was shown may matter to the next plan (what was active before, say).
            return shown_in if self._status(key) == before else timedelta(0)
        except KubeError as error:
            log.warning("the status was not written: %s", error)
            return timedelta(seconds=RETRY_SECONDS[3])
        finally:
            for seconds in metrics.rollouts(before, self._status(key), datetime.now(UTC)):
                metrics.ROLLOUT_SECONDS.observe(seconds)

    def _status(self, key: Key) -> Body | None:
        return (self.store.get(key) or {}).get("status")

    def _next(self, due: Plan, memory: _Memory, shown_in: timedelta | None) -> timedelta:
        now = time.monotonic()
        waits = [due.look_again]
        # What is planned no more is not tried again: forget when it was due.
        planned, told = {subject(action) for action in due.actions}, memory.told()
        memory.held_up = {k: v for k, v in memory.held_up.items() if k in planned}
        due_again = [held_up.until for held_up in memory.held_up.values()]
        waits += [timedelta(seconds=until - now) for until in due_again if until < math.inf]
        if shown_in is not None:
            waits.append(shown_in)
        if memory.told() != told:
            waits.append(timedelta(0))  # what is told of it is to go, too
        return max(min(waits), SHORTEST_WAIT)


def _log(action: Action, error: Exception) -> None:
    name = type(action).__name__
    if setbacks.is_unexpected(error):
        metrics.RECONCILE_ERRORS.inc()
        log.error("%s met an error that nobody expects", name, exc_info=error)
        return
    level = logging.INFO if isinstance(error, NotNowError) else logging.WARNING
    log.log(level, "%s did not work: %s", name, error)


def _pauses(action: Action, error: Exception) -> Sequence[float]:
    if isinstance(error, NameTakenError):
        return NAME_TAKEN_SECONDS
    return RESUME_SECONDS if isinstance(action, ResumeInvocations) else RETRY_SECONDS

"""One attempt of a turn, for those who watch: what is new in it, and what repeats an earlier one.

A turn that was suspended or whose process died runs its code again from the top. What it had told
before must not be told twice, and what it tells for the first time must not be lost:

- Up to the journal's last entry an attempt repeats earlier ones; after it, it is new. Restate's
  state machine knows (`is_replaying`). The SDK has a context variable of it, which a task sets for
  itself only, so that other tasks of the turn go on believing they replay: it isn't used here.
- What must be counted or exported once is kept until the journal's next entry (`Attempt.once`). An
  attempt that ends before that drops it, and the next attempt comes by the same place.
- Log lines can't wait. Those after the journal's last entry may come again; where the process is
  the same, it remembers those of a turn that went to sleep (`Attempt.tells_anew`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from restate import TerminalError
from restate.exceptions import SuspendedException
from restate.extensions import current_context
from restate.server_context import ServerInvocationContext, get_extension_data, set_extension_data
from restate.vm import VMWrapper

from agent_service.telemetry import metrics, propagation

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from agent_service.durable.scope import TurnScope

_KEY: Final = "agent_service.attempt"
# What the state machine is asked for that adds nothing to the journal.
_NO_ENTRIES: Final = frozenset({"sys_input", "sys_end", "sys_awakeable", "sys_signal"})
_ENTRIES: Final = (
    *(name for name in dir(VMWrapper) if name.startswith("sys_") and name not in _NO_ENTRIES),
    "attach_invocation",
)
_CALLS: Final = ("sys_call", "sys_send")

# Suspended turns whose last lines are remembered, oldest first, by invocation.
MOST_SLEEPERS: Final = 10_000
_sleepers: Final[dict[str, Counter[int]]] = {}

# Steps run in tasks of their own, and only if the journal has no result of them.
_in_step: ContextVar[bool] = ContextVar("agent_service_runs_steps", default=False)


class Ending(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUSPENDED = "suspended"
    INTERRUPTED = "interrupted"

    @property
    def ends_turn(self) -> bool:
        """Whether no other attempt follows."""
        return self in (Ending.COMPLETED, Ending.FAILED, Ending.CANCELLED)


@dataclass(eq=False)
class Attempt:
    """One attempt of a turn.

    Attributes:
        context: the SDK's.
        agent: the agent that takes the turn.
        revision: of this process.
        scope: what the turn's parts share, once they do.
        ending: how it ended, once it has.
        failed_tools: ids of the calls whose tool raised an error.
        origin: the invocation in which the turn's journal began; another one than this where the
            turn was restarted from a step.
    """

    context: ServerInvocationContext
    agent: str
    revision: str
    scope: TurnScope | None = None
    ending: Ending | None = None
    failed_tools: set[str] = field(default_factory=set)
    origin: str = ""
    _kept: list[Callable[[], None]] = field(default_factory=list)
    _told: Counter[int] = field(default_factory=Counter)
    _repeats: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._repeats = _sleepers.pop(self.invocation, Counter())

    @property
    def invocation(self) -> str:
        """Restate's id of the turn, the same in all attempts."""
        return self.context.invocation.invocation_id

    @property
    def session(self) -> str:
        """The session's key."""
        return self.context.invocation.key

    @property
    def in_step(self) -> bool:
        """Whether the body of a step runs here."""
        return _in_step.get()

    @property
    def replaying(self) -> bool:
        """Whether what runs here repeats what an earlier attempt has done."""
        return not self.in_step and self.context.vm.is_replaying()

    def once(self, action: Callable[[], None]) -> None:
        """Runs an action with the journal's next entry, in one attempt only.

        To be called before the entry that makes happen what the action tells.
        """
        if self.ending is None and not self.replaying:
            self._kept.append(action)

    def tells_anew(self, line: int) -> bool:
        """Takes down that a log line (by its hash) is written here; False if it is a repetition.

        The lines between the journal's last entry and a suspension come again after it. The
        process knows them, if it is the same one.
        """
        if self.replaying:
            return False
        if self._repeats[line] > 0:
            self._repeats[line] -= 1
            self._told[line] += 1
            return False
        self._told[line] += 1
        return True

    def settle(self) -> None:
        """Runs what was kept: the journal has one more entry."""
        self._repeats.clear()
        self._told.clear()
        kept, self._kept = self._kept, []
        for action in kept:
            action()

    def end(self, ending: Ending) -> None:
        """Takes down how it ended."""
        if ending.ends_turn:
            self.settle()
        if ending is Ending.SUSPENDED and self._told:
            _sleepers[self.invocation] = self._told
            if len(_sleepers) > MOST_SLEEPERS:
                del _sleepers[next(iter(_sleepers))]
        self.ending = ending
        self._kept.clear()


class Watcher(Protocol):
    """Follows attempts; the traces do, where they are on."""

    def follow(self, attempt: Attempt) -> AbstractContextManager[None]:
        """Is entered with the attempt, and left when `attempt.ending` is known."""


_watchers: Final[list[Watcher]] = []


def add_watcher(watcher: Watcher) -> None:
    """Lets it follow all attempts from now on."""
    _watchers.append(watcher)


def current_attempt() -> Attempt | None:
    """Returns the attempt that runs here, in its steps and threads too; None outside of turns."""
    context = current_invocation()
    found: Attempt | None = get_extension_data(context, _KEY) if context else None
    return found


def began_in(invocation: str) -> None:
    """Says in which invocation the journal of the turn that runs here began."""
    attempt = current_attempt()
    if attempt is not None:
        attempt.origin = invocation


def current_invocation() -> ServerInvocationContext | None:
    """Returns the SDK's context of the handler that runs here."""
    try:
        context = current_context()
    except LookupError:
        return None
    return context if isinstance(context, ServerInvocationContext) else None


def steps_run_here() -> None:
    """Says that this task and those it starts run the bodies of steps, which are always new."""
    _in_step.set(True)


def watched_turns(agent: str, revision: str) -> Callable[[], AbstractAsyncContextManager[None]]:
    """Makes what a handler is entered with, to be watched as a turn of an agent."""

    @asynccontextmanager
    async def watched() -> AsyncIterator[None]:
        context = current_invocation()
        if context is None:
            raise RuntimeError("turns are watched inside of Restate's handlers only")
        attempt = Attempt(context, agent, revision)
        set_extension_data(context, _KEY, attempt)
        _watch_journal(attempt)
        with ExitStack() as stack:
            for watcher in _watchers:
                stack.enter_context(watcher.follow(attempt))
            stack.callback(metrics.count_attempt, attempt)
            stack.enter_context(metrics.running(attempt))
            try:
                yield
            except BaseException as error:
                attempt.end(ending_of(error))
                raise
            attempt.end(Ending.COMPLETED)

    return watched


def ending_of(error: BaseException) -> Ending:
    """Tells how an attempt ends that ends with this error."""
    causes = list(_causes(error))
    if any(isinstance(cause, SuspendedException) for cause in causes):
        return Ending.SUSPENDED
    final = next((cause for cause in causes if isinstance(cause, TerminalError)), None)
    if final is None:
        return Ending.INTERRUPTED
    cancelled = (final.status_code, final.message) == (409, "cancelled")
    return Ending.CANCELLED if cancelled else Ending.FAILED


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    seen: set[int] = set()
    # An error that was raised again, from one that it had caused, is its own cause.
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def _watch_journal(attempt: Attempt) -> None:
    """Notices each entry that the attempt adds to the journal, and names the turn to its calls."""
    vm = attempt.context.vm

    def add(plain: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        new = not vm.is_replaying()
        result = plain(*args, **kwargs)
        if new:
            attempt.settle()
        return result

    def call(plain: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        headers = kwargs.get("headers") or []
        if not any(name.lower() == propagation.HEADER for name, _ in headers):
            origin = attempt.origin or attempt.invocation
            parent = propagation.outgoing(attempt.context, origin)
            kwargs["headers"] = [*headers, (propagation.HEADER, parent)]
        return add(plain, *args, **kwargs)

    for name in _ENTRIES:
        setattr(vm, name, partial(call if name in _CALLS else add, getattr(vm, name)))

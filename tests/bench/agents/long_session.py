"""One session of many turns: what a late turn writes, takes and leaves, next to an early one."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.bench.agents.in_memory import InMemory
from tests.bench.agents.processes import BOUNDED, OURS, SDK, SHOWN_TURNS, Contestant
from tests.bench.agents.restate import Restate
from tests.bench.agents.scripted import message
from tests.bench.figures import Figure, Samples, Wanted

EARLY = 10
# Times of a turn are those of so many before and after it.
WINDOW = 10
SESSIONS = 2
# Two model calls and a tool's step: what a turn of the weather agent does.
TEXT = message(1, 1, "step")
MEMORY = "InMemory"
DURABLE = (OURS, BOUNDED, SDK)


@dataclass
class Kept:
    """One contestant's sessions.

    Attributes:
        seconds: of each turn, by its number from 1; those of all sessions.
        journal: bytes of each turn's journal, likewise.
        state: bytes of each session's state in the end.
    """

    seconds: dict[int, list[float]] = field(default_factory=dict)
    journal: dict[int, list[int]] = field(default_factory=dict)
    state: list[int] = field(default_factory=list)

    def around(self, turn: int) -> Samples:
        """Milliseconds of the turns around one."""
        half = WINDOW // 2
        near = [n for n in self.seconds if turn - half <= n <= turn + half]
        return Samples("ms", [value * 1000 for n in near for value in self.seconds[n]])

    def journal_at(self, turn: int) -> Samples:
        """KB of a turn's journal."""
        return Samples("KB", [value / 1000 for value in self.journal[turn]])

    def total(self) -> Samples:
        """KB of the state and of all journals, of one session."""
        journals = sum(sum(values) for values in self.journal.values()) / len(self.state)
        return Samples("KB", [(state + journals) / 1000 for state in self.state])

    def state_kb(self) -> Samples:
        """KB of the state."""
        return Samples("KB", [value / 1000 for value in self.state])


@dataclass
class LongSession:
    """What was found, by contestant. ``turns``: the number of turns."""

    turns: int
    kept: dict[str, Kept]

    def figures(self) -> list[Figure]:
        ours, sdk = self.kept[OURS.name], self.kept[SDK.name]
        late, early = f"turn {self.turns}", f"turn {EARLY}"
        figures = [
            Figure(
                f"Journal of {late}", ours.journal_at(self.turns), early, ours.journal_at(EARLY),
                Wanted(ratio=2),
            ),
            Figure("- SDK's", sdk.journal_at(self.turns), early, sdk.journal_at(EARLY)),
            Figure(
                f"Session of {self.turns} turns: state and journals", ours.total(),
                "SDK's", sdk.total(), Wanted(ratio=0.2),
            ),
            Figure("- its state alone", ours.state_kb(), "SDK's", sdk.state_kb()),
        ]  # fmt: skip
        flat = Wanted(ratio=1.3)
        for name, told, wanted in (
            (BOUNDED.name, f"Time of {late}, shown {SHOWN_TURNS} turns", flat),
            (OURS.name, f"Time of {late}, shown all", Wanted()),
            (SDK.name, "- SDK's", Wanted()),
            (MEMORY, "- plain ADK's", Wanted()),
        ):
            kept = self.kept[name]
            figures.append(Figure(told, kept.around(self.turns), early, kept.around(EARLY), wanted))
        over, before = self._over_plain(self.turns), self._over_plain(EARLY)
        figures.append(Figure(f"Overhead of {late}, shown all", over, early, before, flat))
        return figures

    def _over_plain(self, turn: int) -> Samples:
        """What a turn takes longer than plain ADK's, which gets slower as well."""
        ours, plain = self.kept[OURS.name].around(turn), self.kept[MEMORY].around(turn)
        return Samples("ms", [ours.median - plain.median])


async def measure(restates: Mapping[str, Restate], turns: int) -> LongSession:
    """Runs the sessions, each alone from its first turn to its last.

    Args:
        restates: a contestant's, by its name.
        turns: of each session.
    """
    names = [contestant.name for contestant in DURABLE]
    found = LongSession(turns, {name: Kept() for name in [*names, MEMORY]})
    for _ in range(SESSIONS):
        for contestant in DURABLE:
            restate, kept = restates[contestant.name], found.kept[contestant.name]
            await _session(restate, contestant, kept, turns)
        in_memory, key = InMemory(), uuid.uuid4().hex
        for number in range(1, turns + 1):
            started = time.perf_counter()
            await in_memory.turn(key, TEXT)
            _add(found.kept[MEMORY].seconds, number, time.perf_counter() - started)
    return found


async def _session(restate: Restate, contestant: Contestant, kept: Kept, turns: int) -> None:
    key, invocations = uuid.uuid4().hex, []
    for number in range(1, turns + 1):
        started = time.perf_counter()
        invocations.append(await restate.turn(contestant, key, TEXT))
        _add(kept.seconds, number, time.perf_counter() - started)
    # Not between turns, which it would hold up.
    for number, invocation in enumerate(invocations, 1):
        _add(kept.journal, number, await restate.journal_bytes(invocation))
    kept.state.append(await restate.state_bytes(contestant, key))


def _add[T](values: dict[int, list[T]], number: int, value: T) -> None:
    values.setdefault(number, []).append(value)

"""What a durable turn takes longer than the same turn of plain ADK: for each call, and at all.

A turn is run with 1, 2, 4 and 8 calls of one kind. Through its times goes a line: its slope is the
time of one call more.
"""

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import linear_regression, median

from tests.bench.agents.in_memory import Answering, InMemory
from tests.bench.agents.processes import OURS, SDK, Contestant
from tests.bench.agents.restate import Restate
from tests.bench.agents.scripted import message
from tests.bench.figures import Figure, Samples, Wanted

CALLS = (1, 2, 4, 8)
# Turns for each point of a line, in each round.
REPEATS = 5
MEMORY = "InMemory"

type Run = Callable[[str, str], Awaitable[object]]


@dataclass(frozen=True)
class Series:
    """Turns that differ in the number of their calls.

    Attributes:
        name: what the calls are.
        text: the user's message for so many calls.
        over: the series whose slope is in this one's as well.
    """

    name: str
    text: Callable[[int], str]
    over: str = ""


MODEL, ALONE, TOGETHER, DECORATED = "model", "alone", "together", "decorated"
SERIES = (
    # With so many calls of the model there is one call of a plain tool less.
    Series(MODEL, lambda calls: message(calls - 1, 1, "plain")),
    Series(ALONE, lambda calls: message(calls, 1, "step"), over=MODEL),
    Series(TOGETHER, lambda calls: message(1, calls, "step")),
    Series(DECORATED, lambda calls: message(calls, 1, "durable"), over=MODEL),
)


@dataclass(frozen=True)
class Line:
    """Milliseconds of a turn: ``start`` with no call, and ``slope`` more for each one."""

    start: float
    slope: float


def fit(points: Mapping[int, float]) -> Line:
    """The line through a turn's milliseconds by its number of calls."""
    slope, start = linear_regression(list(points), list(points.values()))
    return Line(start, slope)


def costs(lines: Mapping[str, Line]) -> dict[str, float]:
    """Milliseconds for each call, by series, and for a turn with one model call as ``turn``."""
    found = {
        series.name: lines[series.name].slope - (lines[series.over].slope if series.over else 0)
        for series in SERIES
        if series.name in lines
    }
    return {**found, "turn": lines[MODEL].start + lines[MODEL].slope}


@dataclass
class Overhead:
    """Milliseconds that each contestant takes longer than plain ADK, by what is called.

    Attributes:
        values: by contestant and what is called.
        like_sdk: of a model call of the SDK's plugin, next to plain ADK that leaves out as much.
    """

    values: dict[tuple[str, str], Samples] = field(default_factory=dict)
    like_sdk: Samples = field(default_factory=lambda: Samples("ms"))

    def add(self, contestant: str, found: Mapping[str, float], plain: Mapping[str, float]) -> None:
        """Takes a round's costs."""
        for name, cost in found.items():
            samples = self.values.setdefault((contestant, name), Samples("ms"))
            samples.add(cost - plain.get(name, plain[ALONE]))

    def add_plain(self, found: Mapping[str, float]) -> None:
        """Takes a round's costs of plain ADK."""
        for name, cost in found.items():
            self.values.setdefault((MEMORY, name), Samples("ms")).add(cost)

    def figures(self) -> list[Figure]:
        beat = Wanted(ratio=1)
        named = {
            MODEL: ("Overhead of a model call", MODEL),
            ALONE: ("Overhead of a tool call with a step, one after the other", ALONE),
            TOGETHER: ("Overhead of a tool call with a step, several together", TOGETHER),
            DECORATED: ("Overhead of a `@durable_tool` call, one after the other", ALONE),
            "turn": ("Overhead of a turn with one model call", "turn"),
        }
        figures = []
        for name, (told, other) in named.items():
            baseline = self.like_sdk if other == MODEL else self.values[SDK.name, other]
            figures.append(
                Figure(told, self.values[OURS.name, name], "SDK's plugin", baseline, beat)
            )
        figures.insert(
            1, Figure("- SDK's, counting what it leaves out of ADK", self.values[SDK.name, MODEL])
        )
        plain = self.values[MEMORY, "turn"]
        figures.append(Figure("- plain ADK's own time for that turn", plain))
        return figures


async def _line(run: Run, series: Series, repeats: int) -> Line:
    times: dict[int, list[float]] = {calls: [] for calls in CALLS}
    for _ in range(repeats):
        for calls in CALLS:
            session = uuid.uuid4().hex
            started = time.perf_counter()
            await run(session, series.text(calls))
            times[calls].append((time.perf_counter() - started) * 1000)
    return fit({calls: median(values) for calls, values in times.items()})


async def _costs(run: Run, series: Sequence[Series], repeats: int = REPEATS) -> dict[str, float]:
    return costs({one.name: await _line(run, one, repeats) for one in series})


async def measure(restates: Mapping[str, Restate], rounds: int) -> Overhead:
    """Measures all three, in turn, in each round; a contestant's Restate is at its name."""
    in_memory, like_sdk = InMemory(), InMemory(Answering())

    def through(contestant: Contestant) -> Run:
        return lambda session, text: restates[contestant.name].turn(contestant, session, text)

    found, common = Overhead(), SERIES[:-1]
    for number in range(rounds + 1):
        plain = await _costs(in_memory.turn, common)
        ours = await _costs(through(OURS), SERIES)
        sdk = await _costs(through(SDK), common)
        short = await _line(like_sdk.turn, SERIES[0], REPEATS)
        if not number:
            continue  # All warm up.
        found.add_plain(plain)
        found.add(OURS.name, ours, plain)
        found.add(SDK.name, sdk, plain)
        found.like_sdk.add(sdk[MODEL] - short.slope)
    return found

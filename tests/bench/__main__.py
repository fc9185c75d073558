"""``python -m tests.bench``, which is ``make bench``: figures of the operator and of agents.

The operator's come from the cluster in use, the agents' from processes of this machine. They are
printed as tables; with ``--write`` they also go to docs/benchmarks.md, with the command that made
them, each table to its place.
"""

import argparse
import asyncio
import os
import sys
from dataclasses import dataclass

from hack import cluster
from hack.cluster import ClusterError
from hack.images import ImageError
from hack.restate import ROOT, RestateError
from tests.bench import operator_run, page
from tests.bench.agents import run as agents_run
from tests.bench.figures import table
from tests.bench.page import Part

KINDS = ("operator", "agents")


@dataclass(frozen=True)
class Options:
    """As given on the command line."""

    only: str
    rounds: int
    idle: int
    scale: tuple[int, ...]
    scale_idle: int
    turns: int
    waiting: int
    write: bool

    def command(self, kind: str) -> str:
        """The command that measures this kind alone, as now."""
        words = [f"make bench ONLY={kind} ROUNDS={self.rounds}"]
        if kind == "operator":
            words += [f"IDLE={self.idle}"] if self.rounds else []
            words += [f"SCALE={','.join(map(str, self.scale))}"] if self.scale else []
        else:
            words += [f"TURNS={self.turns} WAITING={self.waiting}"]
        return " ".join([*words, "WRITE=1"])


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--only", choices=KINDS, default="", help="the operator or the agents; both unless given"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=10,
        help="upgrades to measure; 0: none, and no sleepers. Of agents: rounds of turns (10)",
    )
    parser.add_argument("--idle", type=int, default=120, help="seconds to watch idleness (120)")
    parser.add_argument(
        "--scale", type=_counts, default=(), help="numbers of objects on a stub node: 200,1000"
    )
    parser.add_argument(
        "--scale-idle", type=int, default=300, help="seconds to watch those idle (300)"
    )
    parser.add_argument("--turns", type=int, default=200, help="turns of the long session (200)")
    parser.add_argument(
        "--waiting", type=int, default=1000, help="sessions that wait for an approval (1000)"
    )
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    return Options(**vars(parser.parse_args()))


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _measure(kind: str, options: Options) -> list[Part]:
    if kind == "operator":
        cluster.up()
        return asyncio.run(
            operator_run.measure(options.rounds, options.idle, options.scale, options.scale_idle)
        )
    return [asyncio.run(agents_run.measure(options.rounds, options.turns, options.waiting))]


def _run(kind: str, options: Options) -> None:
    before = page.load()
    parts = _measure(kind, options)
    after = page.load()
    for part in parts:
        print(f"\n{part.name}\n{table(part.figures)}\n")
        if options.write:
            text = page.text_of(part, options.command(kind), (before, after))
            page.write(part.name, text)
            print(f"written to {page.PAGE.relative_to(ROOT)}")
    print(f"load average: {before} before, {after} after")


def main() -> int:
    """Measure, print, and write."""
    options = _options()
    os.environ.pop("GOOGLE_API_KEY", None)  # a bench costs no one's money
    try:
        for kind in [options.only] if options.only else KINDS:
            _run(kind, options)
    except (ClusterError, ImageError, RestateError, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

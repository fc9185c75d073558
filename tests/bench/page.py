"""docs/benchmarks.md: each run writes what it measured between its own markers.

What stands outside of them is written by people and stays.
"""

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from hack.demo import shell
from tests.bench.figures import Figure, table

PAGE: Final = shell.ROOT / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Part:
    """One table of the page.

    Attributes:
        name: its markers': ``<!-- name: ... -->`` and ``<!-- /name -->``.
        figures: what was measured.
        with_what: what it was measured with, besides the machine: versions, settings.
    """

    name: str
    figures: Sequence[Figure]
    with_what: str


def machine() -> str:
    """What it ran on, and when."""
    return f"on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} CPUs ({platform.machine()})"


def load() -> str:
    """The machine's load average, of the last 1, 5 and 15 minutes."""
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def text_of(part: Part, command: str, loads: tuple[str, str]) -> str:
    """A part as it stands in the page.

    Args:
        part: what was measured.
        command: what made it.
        loads: the machine's load average before and after.
    """
    before, after = loads
    told = f"`{command}`, {machine()}, {part.with_what}."
    return f"{told} Load average: {before} before, {after} after.\n\n{table(part.figures)}"


def put(page: str, name: str, text: str) -> str:
    """The page with other text between a part's markers.

    Raises:
        RuntimeError: it has no such markers, or not one pair of them.
    """
    begin, end = f"<!-- {name}: made by `make bench`, don't edit -->", f"<!-- /{name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(page)) != 1:
        raise RuntimeError(f"{PAGE.name} must have the lines `{begin}` and `{end}` once")
    return pattern.sub(lambda _: f"{begin}\n{text}\n{end}", page)


def write(name: str, text: str) -> None:
    """Writes a part into the page; see `put`."""
    PAGE.write_text(put(PAGE.read_text(), name, text))

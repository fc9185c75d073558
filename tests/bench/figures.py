"""Measured values, and the table that they become."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Samples:
    """Values of one thing, measured again and again. ``unit`` is ``s`` or a word."""

    unit: str = "s"
    values: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """One more."""
        self.values.append(value)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def worst(self) -> float:
        return max(self.values)

    def text(self, value: float) -> str:
        if self.unit == "s":
            return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"
        return f"{value:.3g} {self.unit}".strip()


@dataclass(frozen=True)
class Wanted:
    """Upper limits, also of the ratio to the baseline; ``None`` where nothing was promised."""

    median: float | None = None
    worst: float | None = None
    ratio: float | None = None


@dataclass(frozen=True)
class Figure:
    """One line: what was measured, and next to what. A baseline is from the same run."""

    name: str
    samples: Samples
    baseline_name: str = ""
    baseline: Samples | None = None
    wanted: Wanted = Wanted()

    @property
    def ratio(self) -> str:
        """To the baseline's median."""
        if self.baseline is None:
            return ""
        found = self._ratio()
        return "-" if found is None else f"{found:.2f}"

    def _ratio(self) -> float | None:
        if self.baseline is None or not self.baseline.median:
            return None
        return self.samples.median / self.baseline.median

    @property
    def reached(self) -> bool | None:
        """Whether it is what was wanted; ``None`` where nothing was."""
        pairs = [
            (self.samples.median, self.wanted.median),
            (self.samples.worst, self.wanted.worst),
            (self._ratio(), self.wanted.ratio),
        ]
        held = [v is not None and v <= limit for v, limit in pairs if limit is not None]
        return all(held) if held else None


_HEADS = ("Figure", "n", "Median", "Worst", "Baseline (median)", "Ratio", "Wanted", "")


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table, which reads well in a terminal too."""
    rows = [_HEADS, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"
        for row in rows
    ]
    rule = f"| {' | '.join('-' * max(width, 3) for width in widths)} |"
    return "\n".join([lines[0], rule, *lines[1:]])


def _row(figure: Figure) -> tuple[str, ...]:
    samples, base = figure.samples, figure.baseline
    return (
        figure.name,
        str(len(samples.values)),
        samples.text(samples.median),
        samples.text(samples.worst),
        f"{figure.baseline_name}: {base.text(base.median)}" if base else "",
        figure.ratio,
        _wanted(figure),
        {True: "yes", False: "NO", None: ""}[figure.reached],
    )


def _wanted(figure: Figure) -> str:
    limits = (("median", figure.wanted.median), ("worst", figure.wanted.worst))
    unit = figure.samples.unit
    told = [f"{name} <= {limit:g} {unit}" for name, limit in limits if limit is not None]
    if figure.wanted.ratio is not None:
        told.append(f"ratio <= {figure.wanted.ratio:g}")
    return ", ".join(told)

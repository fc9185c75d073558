"""From scores to one verdict. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_WORDS = 300


@dataclass(frozen=True)
class Verdict:
    """Whether an agent may serve, and why not.

    Attributes:
        reason: what is wrong; empty where nothing is.
        scores: each metric's mean over all cases.
    """

    reason: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.reason

    def as_json(self) -> str:
        """As the operator reads it, short enough for a termination message."""
        said: dict[str, object] = {"passed": self.passed}
        if self.reason:
            said["reason"] = self.reason[:MOST_WORDS]
        if self.scores:
            said["scores"] = {metric: round(mean, 3) for metric, mean in self.scores.items()}
        return json.dumps(said, ensure_ascii=False)


def judge(
    problems: Mapping[str, str],
    scores: Mapping[str, Mapping[str, float | None]],
    thresholds: Mapping[str, float],
) -> Verdict:
    """Every case must have been run, and reach every metric's threshold.

    Args:
        problems: why cases could not be run, by their ids.
        scores: each metric's score of each case that was run.
        thresholds: the least score, by metric.
    """
    reasons = [f"case {case}: {why}" for case, why in problems.items()]
    means = {}
    for metric, least in thresholds.items():
        found = scores.get(metric, {})
        known = [value for value in found.values() if value is not None]
        if known:
            means[metric] = sum(known) / len(known)
        low = {case: v for case, v in found.items() if v is None or v < least}
        if low:
            first, value = next(iter(low.items()))
            said = "no score" if value is None else f"{value:.2f}"
            reasons.append(
                f"{metric} is {said} in case {first}, and must be {least:g}"
                f" ({len(low)} of {len(found)} cases)"
            )
    return Verdict("; ".join(reasons), means)

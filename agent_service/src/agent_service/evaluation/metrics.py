"""Scores of what an agent did, next to what it should have done.

Two metrics need nobody to judge. ADK's own way to them, its registry of metrics, imports the
libraries of all others (pandas and Vertex AI's among them), which an image need not have.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, override

from google.adk.evaluation.eval_case import ConversationScenario, Invocation
from google.adk.evaluation.eval_metrics import BaseCriterion, EvalMetric
from google.adk.evaluation.evaluator import EvaluationResult, Evaluator
from google.adk.evaluation.trajectory_evaluator import TrajectoryEvaluator

from agent_service.durable.session_store import text_of
from agent_service.errors import ConfigurationError

if TYPE_CHECKING:
    from google.genai import types

TRAJECTORY = "tool_trajectory_avg_score"
RESPONSE_MATCH = "response_match_score"

_WORD = re.compile(r"\w+")


class WordOverlap(Evaluator):
    """``response_match_score``: ROUGE-1's F-measure of the answers, from 0 to 1.

    Words are compared as they are, in lower case. ADK compares their stems, so that its score is
    never the lower one: what passes here passes there.
    """

    @override
    def evaluate_invocations(
        self,
        actual_invocations: list[Invocation],
        expected_invocations: list[Invocation] | None = None,
        conversation_scenario: ConversationScenario | None = None,
    ) -> EvaluationResult:
        if not actual_invocations or expected_invocations is None:
            return EvaluationResult()
        scores = [
            overlap(_text(actual.final_response), _text(expected.final_response))
            for actual, expected in zip(actual_invocations, expected_invocations, strict=True)
        ]
        return EvaluationResult(overall_score=sum(scores) / len(scores))


def overlap(answer: str, reference: str) -> float:
    """ROUGE-1's F-measure: the harmonic mean of precision and recall of the words."""
    said, wanted = (Counter(_WORD.findall(text.lower())) for text in (answer, reference))
    common = (said & wanted).total()
    return 2 * common / (said.total() + wanted.total()) if common else 0.0


def evaluator(metric: str, threshold: float) -> Evaluator:
    """The evaluator of a metric.

    Raises:
        ConfigurationError: there is none of that name, or the image lacks what it needs.
    """
    if metric == TRAJECTORY:
        return TrajectoryEvaluator(threshold=threshold)
    if metric == RESPONSE_MATCH:
        return WordOverlap()
    try:
        from google.adk.errors.not_found_error import NotFoundError
        from google.adk.evaluation.metric_evaluator_registry import (
            DEFAULT_METRIC_EVALUATOR_REGISTRY,
        )
    except ImportError as error:
        raise ConfigurationError(
            f"metric {metric} needs google-adk[eval] in the image ({error}); without it there are "
            f"{TRAJECTORY} and {RESPONSE_MATCH}"
        ) from error
    try:
        return DEFAULT_METRIC_EVALUATOR_REGISTRY.get_evaluator(
            EvalMetric(
                metric_name=metric,
                threshold=threshold,
                criterion=BaseCriterion(threshold=threshold),
            )
        )
    except NotFoundError as error:
        raise ConfigurationError(f"ADK has no metric named {metric}") from error


async def score(
    found: Evaluator, actual: Sequence[Invocation], expected: Sequence[Invocation]
) -> float | None:
    """A case's score; ``None`` where it has none."""
    result: Any = found.evaluate_invocations(list(actual), list(expected))
    if inspect.isawaitable(result):
        result = await result
    value = result.overall_score
    return None if value is None else float(value)


def _text(content: types.Content | None) -> str:
    return text_of(content)

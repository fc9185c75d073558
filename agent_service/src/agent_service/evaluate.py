"""``python -m agent_service.evaluate --set FILE --threshold METRIC=SCORE module:attribute``.

Runs an ADK evaluation set's conversations as real turns of the agent, on a Restate server that is
there for nothing else, and ends with 0 where every case reaches every threshold, with 1 where one
does not, and with 2 where it can't be told. The operator's evaluation gates run it in the
candidate's image, with the candidate's settings.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from agent_service.__main__ import load_agent
from agent_service.errors import ConfigurationError
from agent_service.logs import set_up_logging
from agent_service.settings import Settings

if TYPE_CHECKING:
    from google.adk.evaluation.eval_case import EvalCase, Invocation

    from agent_service.evaluation.verdict import Verdict

logger = logging.getLogger("agent_service.evaluate")

# Where Kubernetes looks for what a container has to say at its end.
TERMINATION_LOG = Path("/dev/termination-log")
AT_ONCE = 4


async def evaluate(
    reference: str,
    path: Path,
    thresholds: dict[str, float],
    admin: str,
    ingress: str,
    beside: Sequence[str] = (),
) -> Verdict:
    """Runs a set, and judges it.

    Args:
        reference: the agent, as module:attribute.
        path: the set.
        thresholds: the least score, by metric.
        admin: the Restate's address for administration.
        ingress: its address for callers.
        beside: agents that the agent calls, as module:attribute; nobody else serves them there.

    Raises:
        ConfigurationError: the agent, the set, a metric or the Restate can't be used.
    """
    from agent_service.evaluation import cases, metrics
    from agent_service.evaluation.serving import serving
    from agent_service.evaluation.verdict import judge

    wanted = cases.read(path)
    evaluators = {m: metrics.evaluator(m, least) for m, least in thresholds.items()}
    agent, *others = (load_agent(one) for one in (reference, *beside))
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(case: EvalCase, restate: cases.Restate) -> cases.Run:
        async with slots:
            return await cases.run(agent.name, case, restate)

    async with serving([agent, *others], Settings.from_env(), admin, ingress) as restate:
        runs = await asyncio.gather(*(one(case, restate) for case in wanted))
    scores: dict[str, dict[str, float | None]] = {metric: {} for metric in evaluators}
    for run in runs:
        if run.problem:
            continue
        for metric, found in evaluators.items():
            value = await metrics.score(found, run.did, run.case.conversation or ())
            scores[metric][run.case.eval_id] = value
    for run in runs:
        own = {metric: scores[metric].get(run.case.eval_id) for metric in scores}
        fields = {"case": run.case.eval_id, "problem": run.problem, "scores": own}
        logger.info("case", extra={"fields": {**fields, "did": [_shown(i) for i in run.did]}})
    problems = {run.case.eval_id: run.problem for run in runs if run.problem}
    return judge(problems, scores, thresholds)


def _shown(invocation: Invocation) -> dict[str, object]:
    from google.adk.evaluation.eval_case import get_all_tool_calls

    from agent_service.durable.session_store import text_of

    calls = get_all_tool_calls(invocation.intermediate_data)
    return {
        "answer": text_of(invocation.final_response),
        "tools": [{"name": call.name, "args": call.args} for call in calls],
    }


def _threshold(text: str) -> tuple[str, float]:
    metric, equals, least = text.partition("=")
    try:
        return metric, float(least)
    except ValueError:
        sign = "" if equals else " (there is no =)"
        raise argparse.ArgumentTypeError(f"{text!r} is not METRIC=SCORE{sign}") from None


def _one(agents: Sequence[str]) -> str:
    if len(agents) != 1:
        raise ConfigurationError(
            f"one agent can be evaluated, and {len(agents)} are named; name it as module:attribute "
            "(evaluation.agent of the gate)"
        )
    return agents[0]


def _tell(text: str) -> None:
    if TERMINATION_LOG.exists():
        TERMINATION_LOG.write_text(text)
    else:
        print(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    from agent_service.evaluation.verdict import Verdict

    parser = argparse.ArgumentParser(prog="python -m agent_service.evaluate", description=__doc__)
    parser.add_argument("agents", nargs="*", metavar="module:attribute")
    parser.add_argument("--set", type=Path, required=True, help="the ADK evaluation set, as JSON")
    parser.add_argument(
        "--threshold", type=_threshold, action="append", required=True, metavar="METRIC=SCORE"
    )
    parser.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="module:attribute",
        help="an agent that the agent calls",
    )
    parser.add_argument("--admin", default="http://127.0.0.1:9070", help="Restate's admin API")
    parser.add_argument("--ingress", default="http://127.0.0.1:8080", help="Restate's ingress")
    given = parser.parse_args(arguments)
    set_up_logging()
    try:
        verdict = asyncio.run(
            evaluate(
                _one(given.agents),
                given.set,
                dict(given.threshold),
                given.admin,
                given.ingress,
                given.beside,
            )
        )
    except httpx.HTTPError as error:
        logger.exception("the evaluation broke off")
        _tell(Verdict(f"its Restate could not be reached: {error!r}").as_json())
        return 2
    except ConfigurationError as error:
        _tell(Verdict(str(error)).as_json())
        print(f"agent_service.evaluate: {error}", file=sys.stderr)
        return 2
    _tell(verdict.as_json())
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main())

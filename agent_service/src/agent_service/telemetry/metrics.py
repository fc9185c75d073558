"""The agents' Prometheus metrics, each thing counted once however often a turn starts anew.

All have the labels ``agent`` (who takes the turns) and ``revision``. What names else come from
outside (models, tools) is limited: the first `MOST_NAMES` of them, then ``other``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)

if TYPE_CHECKING:
    from google.adk.models.llm_response import LlmResponse

    from agent_service.api import Decision
    from agent_service.telemetry.attempts import Attempt

logger = logging.getLogger(__name__)

MOST_NAMES: Final = 100
OTHER: Final = "other"
# A turn may wait for a person for days.
_TURN_BUCKETS: Final = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 14_400, 86_400, 604_800)
_CALL_BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300)
_WHO: Final = ("agent", "revision")

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

TURNS: Final = Counter(
    "durable_agents_turns_total",
    "Turns that ended, by outcome: completed, failed, cancelled. Killed ones are not seen here.",
    [*_WHO, "outcome"],
    registry=REGISTRY,
)
TURN_SECONDS: Final = Histogram(
    "durable_agents_turn_seconds",
    "From a turn's start to its end, what it waited for included.",
    _WHO,
    buckets=_TURN_BUCKETS,
    registry=REGISTRY,
)
ATTEMPTS: Final = Counter(
    "durable_agents_turn_attempts_total",
    "Attempts at turns, by how they ended: those of a turn, or suspended, or interrupted (by an"
    " error that is tried again, or a lost connection).",
    [*_WHO, "ending"],
    registry=REGISTRY,
)
RUNNING: Final = Gauge(
    "durable_agents_turns_running",
    "Turns that run in this process now; those that sleep run nowhere.",
    _WHO,
    registry=REGISTRY,
)
MODEL_CALLS: Final = Counter(
    "durable_agents_model_calls_total",
    "Calls made to models, by outcome: ok, rate_limited, refused, unavailable, cut_off, error.",
    [*_WHO, "model", "outcome"],
    registry=REGISTRY,
)
MODEL_SECONDS: Final = Histogram(
    "durable_agents_model_call_seconds",
    "Time of one call to a model.",
    [*_WHO, "model"],
    buckets=_CALL_BUCKETS,
    registry=REGISTRY,
)
MODEL_RUNNING: Final = Gauge(
    "durable_agents_model_calls_running",
    "Calls to models that are under way in this process.",
    [*_WHO, "model"],
    registry=REGISTRY,
)
TOKENS: Final = Counter(
    "durable_agents_tokens_total",
    "Tokens as the model's provider counts them, by kind: prompt, answer, thought, cached (of the"
    " prompt's).",
    [*_WHO, "model", "kind"],
    registry=REGISTRY,
)
TOOL_CALLS: Final = Counter(
    "durable_agents_tool_calls_total",
    "Calls of tools that ended, by outcome: ok, error. A tool that doesn't exist is named unknown.",
    [*_WHO, "tool", "outcome"],
    registry=REGISTRY,
)
APPROVALS_ASKED: Final = Counter(
    "durable_agents_approvals_asked_total", "Approvals asked for.", _WHO, registry=REGISTRY
)
APPROVALS_ANSWERED: Final = Counter(
    "durable_agents_approvals_answered_total",
    "Approvals that are waited for no more, by outcome: approved, refused, timed_out.",
    [*_WHO, "outcome"],
    registry=REGISTRY,
)


@dataclass
class Names:
    """Label values from outside, no more than so many."""

    most: int = MOST_NAMES
    _seen: set[str] = field(default_factory=set)

    def bounded(self, name: str) -> str:
        """Returns the name, or ``other`` where there are too many others already."""
        if name in self._seen:
            return name
        if len(self._seen) >= self.most:
            return OTHER
        self._seen.add(name)
        return name


_models: Final = Names()
_tools: Final = Names()


def show_agents(agents: Sequence[str], revision: str) -> None:
    """Makes counters of served agents start at 0, so that their first turn is a rise."""
    for agent in agents:
        for outcome in ("completed", "failed", "cancelled"):
            TURNS.labels(agent, revision, outcome)
        APPROVALS_ASKED.labels(agent, revision)
        RUNNING.labels(agent, revision)


def serve_metrics(port: int) -> Callable[[], None]:
    """Serves ``/metrics`` in a thread, on all interfaces; 0 serves nothing.

    Returns:
        What stops it.
    """
    if not port:
        return lambda: None
    try:
        server, _ = start_http_server(port, registry=REGISTRY)
    except OSError as error:
        # A second process on one machine must not fail for it.
        logger.warning(
            "metrics are not served: AGENT_METRICS_PORT %d can't be listened on (%s); set it to a"
            " free port, or to 0",
            port,
            error.strerror,
        )
        return lambda: None

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop


def count_attempt(attempt: Attempt) -> None:
    """Counts an attempt that has ended, and its turn if that has, too."""
    who, ending = (attempt.agent, attempt.revision), attempt.ending
    if ending is None:
        return
    ATTEMPTS.labels(*who, ending.value).inc()
    if not ending.ends_turn or attempt.scope is None:
        return
    TURNS.labels(*who, ending.value).inc()
    TURN_SECONDS.labels(*who).observe(max(time.time() - attempt.scope.clock.start, 0.0))


@contextmanager
def running(attempt: Attempt) -> Iterator[None]:
    """Counts a turn as one that runs, meanwhile."""
    gauge = RUNNING.labels(attempt.agent, attempt.revision)
    with gauge.track_inprogress():
        yield


type ModelCall = Callable[..., AsyncGenerator[LlmResponse, None]]


def counted_model(attempt: Attempt | None, model: str, plain: ModelCall) -> ModelCall:
    """Wraps a model's ``generate_content_async`` so that its calls are counted."""
    if attempt is None:
        return plain
    name = _models.bounded(model)
    labels = (attempt.agent, attempt.revision, name)

    async def counted(*args: Any, **kwargs: Any) -> AsyncGenerator[LlmResponse, None]:
        started, outcome = time.perf_counter(), "cut_off"
        try:
            with MODEL_RUNNING.labels(*labels).track_inprogress():
                async with aclosing(plain(*args, **kwargs)) as answers:
                    async for answer in answers:
                        if not answer.partial:
                            _count_tokens(labels, answer)
                        yield answer
            outcome = "ok"
        except Exception as error:
            outcome = outcome_of(error)
            raise
        finally:
            MODEL_CALLS.labels(*labels, outcome).inc()
            MODEL_SECONDS.labels(*labels).observe(time.perf_counter() - started)

    return counted


def outcome_of(error: Exception) -> str:
    """Names the kind of a failed model call."""
    from agent_service.durable.failures import provider_status

    status = provider_status(error)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limited"
    if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT) or isinstance(
        error, TimeoutError
    ):
        return "cut_off"
    if status is None:
        return "error"
    return "unavailable" if status >= 500 else "refused"


def _count_tokens(labels: tuple[str, str, str], answer: LlmResponse) -> None:
    used = answer.usage_metadata
    if used is None:
        return
    for kind, count in (
        ("prompt", used.prompt_token_count),
        ("answer", used.candidates_token_count),
        ("thought", used.thoughts_token_count),
        ("cached", used.cached_content_token_count),
    ):
        if count:
            TOKENS.labels(*labels, kind).inc(count)


def count_tool(attempt: Attempt, tool: str | None, outcome: str) -> None:
    """Counts a call of a tool that has ended; ``None`` for one that doesn't exist."""
    name = "unknown" if tool is None else _tools.bounded(tool)
    counter = TOOL_CALLS.labels(attempt.agent, attempt.revision, name, outcome)
    attempt.once(counter.inc)


def count_asked(attempt: Attempt | None) -> None:
    """Counts that a person is asked; to be called before the request is written."""
    if attempt is not None:
        attempt.once(APPROVALS_ASKED.labels(attempt.agent, attempt.revision).inc)


def count_answered(attempt: Attempt | None, decision: Decision) -> None:
    """Counts a decision; to be called before it is written."""
    if attempt is None:
        return
    outcome = "approved" if decision.approved else "refused"
    outcome = "timed_out" if decision.timed_out else outcome
    attempt.once(APPROVALS_ANSWERED.labels(attempt.agent, attempt.revision, outcome).inc)

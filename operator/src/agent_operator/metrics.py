"""The operator's Prometheus metrics.

What is there now (revisions, invocations, drains) is no counter that is kept: it is computed from
the statuses in the operator's picture when it is asked for, so it goes when its object goes.
"""

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import ValidationError

from agent_operator.api import AgentDeploymentStatus, Phase, RevisionStatus, times
from agent_operator.api.status import InvocationCounts

RECONCILE_SECONDS: Final = Histogram(
    "durable_agents_reconcile_seconds",
    "Time to look at one AgentDeployment and do what is due.",
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
RECONCILE_ERRORS: Final = Counter(
    "durable_agents_reconcile_errors_total",
    "Unexpected errors: of a look, or of one of its actions.",
)
ACTION_FAILURES: Final = Counter(
    "durable_agents_action_failures_total", "Actions that did not work, by kind.", ["action"]
)
ROLLOUT_SECONDS: Final = Histogram(
    "durable_agents_rollout_seconds",
    "From a revision's creation until it took new turns for the first time.",
    buckets=(1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600),
)
RESTATE_SECONDS: Final = Histogram(
    "durable_agents_restate_request_seconds",
    "Time of one request to a Restate admin API, by operation.",
    ["operation"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
RESTATE_ERRORS: Final = Counter(
    "durable_agents_restate_request_errors_total",
    "Requests to a Restate admin API that failed, by operation and status (or unreachable).",
    ["operation", "code"],
)
LEADER: Final = Gauge(
    "durable_agents_leader",
    "1 where this replica acts, 0 where it stands by for the one that does.",
)

MOVES: Final = Counter(
    "durable_agents_moves_total",
    "Invocations that a deadline moved to the active revision (onDeadline: MoveToActive), by"
    " outcome: moved, restarted, stayed, lost.",
    ["outcome"],
)

_NOT_YET: Final = frozenset({Phase.PENDING, Phase.CHECKING, Phase.FAILED})
_DRAINING: Final = frozenset({Phase.DRAINING, Phase.DORMANT})
_UNREACHABLE: Final = "unreachable"

Key = tuple[str, str]
Statuses = Callable[[], Iterable[tuple[Key, dict[str, Any]]]]
"""Namespace and name of each AgentDeployment, and its status as the API server has it."""


@dataclass(frozen=True)
class Sample:
    """A gauge's value: its family's name, its labels' values, and the number."""

    family: str
    labels: tuple[str, ...]
    value: float


_FAMILIES: Final = {
    "durable_agents_revisions": (
        "Revisions that exist, by phase.",
        ("namespace", "agent", "phase"),
    ),
    "durable_agents_invocations": (
        "Invocations that need a revision, by state; absent while Restate can't be asked.",
        ("namespace", "agent", "revision", "state"),
    ),
    "durable_agents_oldest_drain_seconds": (
        "Age of the oldest invocation that keeps a revision which takes no new turns.",
        ("namespace", "agent"),
    ),
}


def samples(key: Key, status: AgentDeploymentStatus, now: datetime) -> Iterator[Sample]:
    """What the gauges say of one AgentDeployment. Pure."""
    for phase, count in Tally(revision.phase for revision in status.revisions).items():
        yield Sample("durable_agents_revisions", (*key, phase.value), count)
    for revision in status.revisions:
        if revision.invocations is not None:
            yield from _invocations((*key, revision.name), revision.invocations)
    drains = [times.parse(r.oldest.since) for r in status.revisions if r.oldest and _drains(r)]
    if drains:
        age = (now - min(drains)).total_seconds()
        yield Sample("durable_agents_oldest_drain_seconds", key, max(age, 0.0))


def _invocations(labels: tuple[str, ...], counts: InvocationCounts) -> Iterator[Sample]:
    for state in InvocationCounts.model_fields:
        yield Sample("durable_agents_invocations", (*labels, state), getattr(counts, state))


def _drains(revision: RevisionStatus) -> bool:
    return revision.phase in _DRAINING


class StatusCollector(Collector):
    """Reads all statuses at each scrape."""

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges of all AgentDeployments."""
        now = datetime.now(UTC)
        families = {
            name: GaugeMetricFamily(name, text, labels=labels)
            for name, (text, labels) in _FAMILIES.items()
        }
        for key, body in self._statuses():
            try:
                status = AgentDeploymentStatus.model_validate(body)
            except ValidationError:
                continue  # another version's, until this one has written its own
            for sample in samples(key, status, now):
                families[sample.family].add_metric(sample.labels, sample.value)
        yield from families.values()


@contextmanager
def showing(statuses: Statuses, registry: CollectorRegistry = REGISTRY) -> Iterator[None]:
    """Show the gauges of these statuses meanwhile."""
    collector = StatusCollector(statuses)
    registry.register(collector)
    try:
        yield
    finally:
        registry.unregister(collector)


def rollouts(
    before: dict[str, Any] | None, after: dict[str, Any] | None, now: datetime
) -> list[float]:
    """Seconds that revisions took which were not active before, and are for the first time. Pure.

    ``before`` and ``after`` are statuses as the API server has them: each change is there only
    once. A revision that was registered already comes back, which is no rollout.
    """
    if not before or not after or before == after:
        return []
    coming = {
        revision["name"]
        for revision in before.get("revisions", ())
        if revision["phase"] in _NOT_YET and not revision.get("deploymentID")
    }
    return [
        max((now - times.parse(revision["created"])).total_seconds(), 0.0)
        for revision in after.get("revisions", ())
        if revision["phase"] == Phase.ACTIVE and revision["name"] in coming
        if revision.get("created")
    ]


@contextmanager
def restate_request(method: str, path: str) -> Iterator[Callable[[int], None]]:
    """Times one request; what it gives is called with the answer's status."""
    operation, started, seen = operation_of(method, path), time.perf_counter(), 0

    def answered(status: int) -> None:
        nonlocal seen
        seen = status

    try:
        yield answered
    finally:
        RESTATE_SECONDS.labels(operation).observe(time.perf_counter() - started)
        if seen == 0 or seen >= 400:
            RESTATE_ERRORS.labels(operation, str(seen or _UNREACHABLE)).inc()


def operation_of(method: str, path: str) -> str:
    """A request without the names in it, such as ``DELETE /deployments/*``."""
    first, *rest = path.strip("/").split("/")
    kept = rest if first == "internal" else ["*" for _ in rest]
    return f"{method} /{'/'.join([first, *kept])}"

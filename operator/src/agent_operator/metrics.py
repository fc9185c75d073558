"""The operator's Prometheus metrics."""

from typing import Final

from prometheus_client import Counter, Histogram

RECONCILE_SECONDS: Final = Histogram(
    "durable_agents_reconcile_seconds",
    "Time to look at one AgentDeployment and do what is due.",
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
RECONCILE_ERRORS: Final = Counter(
    "durable_agents_reconcile_errors_total", "Looks that ended in an unexpected error."
)
ACTION_FAILURES: Final = Counter(
    "durable_agents_action_failures_total", "Actions that did not work, by kind.", ["action"]
)

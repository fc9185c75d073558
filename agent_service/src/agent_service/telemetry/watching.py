"""Starts what a serving process shows of its turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent_service.settings import Settings
from agent_service.telemetry import metrics
from agent_service.telemetry.log_lines import watch_log_lines
from agent_service.telemetry.otlp import start_tracing


def watch(agents: Sequence[str], settings: Settings) -> Callable[[], None]:
    """Makes log lines aware of turns, and serves metrics and sends traces as is set.

    Returns:
        What stops it; it may take seconds.

    Raises:
        ConfigurationError: traces can't be sent as is set.
    """
    watch_log_lines(settings.revision)
    metrics.show_agents(agents, settings.revision)
    stop_tracing = start_tracing(agents, settings.revision)
    stop_metrics = metrics.serve_metrics(settings.metrics_port)

    def stop() -> None:
        stop_metrics()
        stop_tracing()

    return stop

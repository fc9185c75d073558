"""Whether and where traces are sent: the standard OTEL_* variables decide."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from agent_service.errors import ConfigurationError

logger = logging.getLogger(__name__)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL: Final = "http/protobuf"


def endpoint(env: Mapping[str, str] = os.environ) -> str | None:
    """Returns where traces go; None: nowhere, which is so unless an endpoint is set.

    Raises:
        ConfigurationError: it is to be another protocol than OTLP over HTTP.
    """
    found = _first(env, _ENDPOINTS)
    off = env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if not found or off or env.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return None
    protocol = _first(env, _PROTOCOLS) or PROTOCOL
    if protocol != PROTOCOL:
        raise ConfigurationError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}: traces are sent by {PROTOCOL!r} only,"
            " which a collector takes on port 4318"
        )
    return found


def _first(env: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((value for name in names if (value := env.get(name, "").strip())), None)


def start_tracing(agents: Sequence[str], revision: str) -> Callable[[], None]:
    """Starts sending traces, if there is an endpoint.

    Returns:
        What sends the rest and stops; it may take seconds.

    Raises:
        ConfigurationError: the endpoint can't be used, or what speaks to it isn't installed.
    """
    where = endpoint()
    if where is None:
        return lambda: None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        from agent_service.telemetry.tracing import trace_turns
    except ImportError as error:
        raise ConfigurationError(
            f"traces are to be sent (OTEL_EXPORTER_OTLP_ENDPOINT), and {error.name} is not"
            " installed: install agent-service[otel], or unset OTEL_EXPORTER_OTLP_ENDPOINT"
        ) from None
    # The endpoint and all else (headers, certificates, time-out) it takes from the variables.
    provider = trace_turns(OTLPSpanExporter(), agents, revision)
    logger.info("traces are sent", extra={"fields": {"host": urlsplit(where).hostname}})
    return provider.shutdown

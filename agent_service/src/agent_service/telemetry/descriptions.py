"""What ADK writes down of each model call for spans and log records, only as far as it is seen.

ADK (google-adk 2.13) turns every message of the session, every tool and the answer into attributes
at each model call, whether or not anybody collects them, and then leaves the messages out where no
content is asked for. In a session of 200 turns that took most of a turn's time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from google.adk.models.llm_request import LlmRequest
from google.adk.telemetry import tracing
from google.adk.telemetry.context import TelemetryConfig
from opentelemetry import _logs, trace
from opentelemetry._logs._internal import ProxyLoggerProvider

# The names by which ADK's tracing describes a request and an answer, and tells both.
REQUEST: Final = "set_operation_details_attributes_from_request"
OTHERS: Final = ("set_operation_details_attributes_from_response", "maybe_log_completion_details")
_REPLACED: Final = "_agent_service_replaced"


def describe_what_is_seen() -> None:
    """Makes ADK describe model calls to those who see it, in all of this process."""
    plain = getattr(tracing, REQUEST)
    if hasattr(plain, _REPLACED):
        return
    config = TelemetryConfig()
    content = config.should_add_content_to_logs or config.should_add_content_to_experimental_spans

    def request(details: Any, llm_request: LlmRequest) -> None:
        short = llm_request if content else llm_request.model_copy(update={"contents": []})
        plain(details, short)

    _replace(REQUEST, request)
    for name in OTHERS:
        _replace(name, getattr(tracing, name))


def _replace(name: str, describe: Callable[..., None]) -> None:
    def if_seen(*args: Any, **kwargs: Any) -> None:
        if _is_seen():
            describe(*args, **kwargs)

    setattr(if_seen, _REPLACED, True)
    setattr(tracing, name, if_seen)


def _is_seen() -> bool:
    """Whether the span of the model call goes anywhere, or log records do."""
    recording = trace.get_current_span().is_recording()
    return recording or not isinstance(_logs.get_logger_provider(), ProxyLoggerProvider)

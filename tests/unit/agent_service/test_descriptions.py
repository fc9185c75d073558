"""ADK describes model calls only to those who see it, and messages only where they are wanted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.adk.models.llm_request import LlmRequest
from google.adk.telemetry import tracing
from google.genai import types
from opentelemetry.sdk.trace import TracerProvider

from agent_service.telemetry import descriptions

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
TRACER = TracerProvider().get_tracer(__name__)


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """ADK as it is without us, whatever was served before; and so again in the end."""
    from google.adk.telemetry import _experimental_semconv as plain

    for name in (descriptions.REQUEST, *descriptions.OTHERS):
        monkeypatch.setattr(tracing, name, getattr(plain, name))
    return monkeypatch


def described() -> dict[str, Any]:
    """What ADK's tracing writes down of a request, by the name that it calls."""
    found: dict[str, Any] = {}
    request = LlmRequest(
        model="m",
        contents=[types.UserContent("Zanzibar")],
        config=types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[types.FunctionDeclaration(name="look_up")])]
        ),
    )
    getattr(tracing, descriptions.REQUEST)(found, request)
    return found


def test_nothing_is_described_that_nobody_sees(replaced: pytest.MonkeyPatch) -> None:
    assert "Zanzibar" in json.dumps(described())
    descriptions.describe_what_is_seen()
    assert described() == {}


def test_what_is_traced_is_described_without_messages(replaced: pytest.MonkeyPatch) -> None:
    replaced.delenv(CONTENT, raising=False)
    descriptions.describe_what_is_seen()
    with TRACER.start_as_current_span("model"):
        found = json.dumps(described())
    assert "look_up" in found
    assert "Zanzibar" not in found


def test_messages_are_described_where_they_are_wanted(replaced: pytest.MonkeyPatch) -> None:
    replaced.setenv(CONTENT, "SPAN_ONLY")
    descriptions.describe_what_is_seen()
    descriptions.describe_what_is_seen()
    with TRACER.start_as_current_span("model"):
        assert "Zanzibar" in json.dumps(described())

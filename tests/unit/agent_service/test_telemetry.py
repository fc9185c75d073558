"""What is shown of turns: ids that are the same again, few labels, nothing that was said."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from google.genai import errors
from prometheus_client import generate_latest
from restate import TerminalError
from restate.exceptions import SuspendedException

from agent_service.errors import ConfigurationError
from agent_service.telemetry import metrics, otlp, propagation
from agent_service.telemetry.attempts import Ending, ending_of
from agent_service.telemetry.log_lines import TurnLines, watch_log_lines

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Invocation:
    def __init__(self, headers: dict[str, str]) -> None:
        self.invocation_id, self.headers = "inv_1", list(headers.items())


class Context:
    """What the ids are made of, of one attempt."""

    def __init__(self, sent: str = "", attempt: str = "") -> None:
        self.invocation = Invocation({"traceparent": sent} if sent else {})
        self.attempt_headers = {"traceparent": attempt} if attempt else {}


def ids(sent: str = "", attempt: str = "") -> tuple[int, int]:
    context: Any = Context(sent, attempt)
    return propagation.turn_ids(context)


def test_a_turns_ids_are_the_same_in_all_attempts() -> None:
    sent = f"00-{TRACE}-{SPAN}-01"
    assert ids() == ids()
    assert ids(sent)[0] == int(TRACE, 16) == ids(sent, f"00-{TRACE}-{'1' * 16}-01")[0]
    assert ids()[1] == ids(sent)[1] != int(SPAN, 16)
    # Restate's own trace is the one that is joined.
    assert ids(sent, f"00-{'2' * 32}-{'1' * 16}-01")[0] == int("2" * 32, 16)


def test_what_is_sent_on_does_not_depend_on_the_attempt() -> None:
    """It is part of the journal: an attempt that sent something else could never go on."""
    sent = f"00-{TRACE}-{SPAN}-00"
    traced: Any = Context(sent, f"00-{'2' * 32}-{'1' * 16}-01")
    plain: Any = Context(sent)
    here = plain.invocation.invocation_id
    assert propagation.outgoing(traced, here) == propagation.outgoing(plain, here)
    assert propagation.outgoing(plain, here).startswith(f"00-{TRACE}-")
    assert propagation.outgoing(plain, here).endswith("-00")
    alone: Any = Context()
    own = propagation.parse(propagation.outgoing(alone, alone.invocation.invocation_id))
    assert own is not None
    assert (own.trace_id, own.span_id) == ids()


@pytest.mark.parametrize(
    "header", [None, "", "nonsense", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01"]
)
def test_what_is_no_traceparent_is_none(header: str | None) -> None:
    assert propagation.parse(header) is None


def test_how_attempts_end() -> None:
    assert ending_of(SuspendedException()) is Ending.SUSPENDED
    assert ending_of(TerminalError("cancelled", 409)) is Ending.CANCELLED
    assert ending_of(TerminalError("no", 502)) is Ending.FAILED
    assert ending_of(ValueError("a bug")) is Ending.INTERRUPTED


def test_an_error_that_causes_itself_has_an_end() -> None:
    final = TerminalError("cancelled", 409)
    wrapped = RuntimeError("ADK's")
    wrapped.__cause__, final.__cause__ = final, wrapped
    assert ending_of(final) is Ending.CANCELLED
    assert ending_of(wrapped) is Ending.CANCELLED


def test_names_from_outside_are_limited() -> None:
    names = metrics.Names(most=2)
    assert [names.bounded(name) for name in "aabcda"] == ["a", "a", "b", "other", "other", "a"]


def api_error(status: int) -> Exception:
    return errors.APIError(status, {"error": {"message": "no"}})


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (api_error(429), "rate_limited"),
        (api_error(400), "refused"),
        (api_error(503), "unavailable"),
        (api_error(504), "cut_off"),
        (TimeoutError(), "cut_off"),
        (ValueError(), "error"),
    ],
)
def test_failed_model_calls_are_told_apart(error: Exception, outcome: str) -> None:
    assert metrics.outcome_of(error) == outcome


def test_a_served_agent_has_counters_before_its_first_turn() -> None:
    metrics.show_agents(["Shown"], "r7")
    text = generate_latest(metrics.REGISTRY).decode()
    labels = 'agent="Shown",outcome="completed",revision="r7"'
    assert f"durable_agents_turns_total{{{labels}}} 0.0" in text


def test_a_taken_port_is_told_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with caplog.at_level(logging.WARNING):
            metrics.serve_metrics(port)()
    assert f"AGENT_METRICS_PORT {port}" in caplog.text
    metrics.serve_metrics(0)()


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("env", "endpoint"),
    [
        ({}, None),
        (ENDPOINT, "http://collector:4318"),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/x"}, "http://t/x"),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, None),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, None),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "http://collector:4318"),
    ],
)
def test_where_traces_go(env: dict[str, str], endpoint: str | None) -> None:
    assert otlp.endpoint(env) == endpoint


def test_another_protocol_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="4318"):
        otlp.endpoint({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


def test_lines_outside_of_turns_pass_as_they_are() -> None:
    record = logging.makeLogRecord({"name": "x", "msg": "hello"})
    assert TurnLines("r1").filter(record)
    assert not hasattr(record, "about")


def test_handlers_get_one_filter_however_often_they_are_watched() -> None:
    handler = logging.NullHandler()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        watch_log_lines("r1")
        watch_log_lines("r2")
        assert len([f for f in handler.filters if isinstance(f, TurnLines)]) == 1
    finally:
        for each in root.handlers:
            for old in [f for f in each.filters if isinstance(f, TurnLines)]:
                each.removeFilter(old)
        root.removeHandler(handler)

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from google.adk.agents.invocation_context import LlmCallsLimitExceededError
from google.genai.errors import ClientError, ServerError
from restate import TerminalError
from restate.exceptions import RetryableError

from agent_service.durable.failures import (
    model_failure,
    provider_status,
    retry_delay,
    terminal_error,
)


def _gemini(code: int, **more: Any) -> Exception:
    kind = ServerError if code >= 500 else ClientError
    return kind(code, {"error": {"code": code, "message": "why", "status": "X", **more}})


class _StatusError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
def test_refusals_are_terminal(code: int) -> None:
    for error in (_gemini(code), _StatusError(code)):
        failure = model_failure(error, "m")
        assert isinstance(failure, TerminalError)
        assert failure.status_code == 502
        assert "model m refused" in failure.message


@pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503, 504])
def test_overload_is_retryable(code: int) -> None:
    for error in (_gemini(code), _StatusError(code)):
        failure = model_failure(error, "m")
        assert isinstance(failure, RetryableError)
        assert failure.status_code == code


@pytest.mark.parametrize("error", [TimeoutError(), httpx.ConnectError("no"), OSError("no")])
def test_time_outs_and_broken_connections_are_retryable(error: Exception) -> None:
    assert isinstance(model_failure(error, "m"), RetryableError)


def test_the_providers_delay_is_kept() -> None:
    info = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7.5s"}]
    assert retry_delay(_gemini(429, details=info)) == timedelta(seconds=7.5)
    response = httpx.Response(429, headers={"retry-after": "12"})
    status = httpx.HTTPStatusError("x", request=httpx.Request("GET", "http://x"), response=response)
    assert retry_delay(status) == timedelta(seconds=12)
    assert provider_status(status) == 429
    assert retry_delay(_gemini(429)) is None


def test_keys_are_taken_out_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "s3cr3t-key")
    failure = model_failure(ValueError("bad key s3cr3t-key"), "m")
    assert "s3cr3t-key" not in str(failure)


def _wrapped(error: Exception) -> Exception:
    outer = RuntimeError("Error in plugin")
    outer.__cause__ = ExceptionGroup("several", [ValueError("x"), error])
    return outer


def test_terminal_errors_are_found_inside_others() -> None:
    found = terminal_error(_wrapped(TerminalError("stop", 409)))
    assert found is not None
    assert found.status_code == 409
    limit = terminal_error(_wrapped(LlmCallsLimitExceededError("6 exceeded")))
    assert limit is not None
    assert limit.status_code == 422
    assert terminal_error(_wrapped(KeyError("x"))) is None


def _while_handling(handled: Exception, error: Exception) -> Exception:
    error.__context__ = handled
    return error


def test_an_error_that_was_handled_does_not_end_the_turn() -> None:
    assert terminal_error(_while_handling(TerminalError("no"), KeyError("a bug"))) is None
    # What is raised as generators are closed hides why they were.
    found = terminal_error(_while_handling(TerminalError("no"), RuntimeError("cancel scope")))
    assert found is not None
    assert found.message == "no"
    cancelled = _while_handling(TerminalError("cancelled", 409), KeyError("a bug"))
    assert terminal_error(cancelled) is not None


def test_the_delay_in_litellms_headers_is_kept() -> None:
    class LiteError(Exception):
        status_code = 429
        response = httpx.Response(429)  # of LiteLLM's own making, without the provider's headers
        litellm_response_headers = httpx.Headers({"retry-after": "3"})

    assert retry_delay(LiteError("busy")) == timedelta(seconds=3)

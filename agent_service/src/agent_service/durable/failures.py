"""Which errors end a turn, and which are tried again.

A terminal error ends the turn and reaches the caller. Anything else makes Restate try again from
the last journaled step.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from http import HTTPStatus
from typing import TypeGuard

from google.adk.agents.invocation_context import LlmCallsLimitExceededError
from restate import TerminalError
from restate.exceptions import RetryableError

from agent_service.logs import redact

# Refusals that a later try may not meet: time-outs, conflicts, too early, rate limits.
_RETRYABLE_CLIENT_ERRORS = frozenset({408, 409, 425, 429})
_LONGEST_MESSAGE = 2_000
# What the closing of generators and tasks raises on top of the error that made them close.
_CLEANING_UP = (RuntimeError, GeneratorExit, asyncio.CancelledError, BaseExceptionGroup)
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s?")


def provider_status(error: BaseException) -> int | None:
    """Returns the HTTP status inside a provider's error, or None if it has none.

    Providers' libraries differ in where they put it: google-genai in ``code``, LiteLLM, OpenAI
    and Anthropic in ``status_code``, httpx in its response.
    """
    response = getattr(error, "response", None)
    for holder, name in ((error, "status_code"), (error, "code"), (response, "status_code")):
        value = getattr(holder, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
            return value
    return None


def final_status(error: BaseException) -> bool:
    """Whether an error holds a status that another try would meet again."""
    status = provider_status(error)
    return status is not None and status < 500 and status not in _RETRYABLE_CLIENT_ERRORS


def retry_delay(error: BaseException) -> timedelta | None:
    """Returns how long the provider asks to wait, or None if it doesn't say.

    It may be a Retry-After header in seconds, or Google's RetryInfo in the error's details.
    """
    # LiteLLM puts a response of its own making into the error, and the real headers beside it.
    of_response = getattr(getattr(error, "response", None), "headers", None)
    holders = (of_response, getattr(error, "litellm_response_headers", None))
    texts = [str(headers.get("retry-after", "")) for headers in holders if headers]
    texts.extend(_google_retry_delays(getattr(error, "details", None)))
    for text in texts:
        match = _SECONDS.fullmatch(text.strip())
        if match:
            return timedelta(seconds=float(match[1]))
    return None


def _google_retry_delays(details: object) -> Iterator[str]:
    if isinstance(details, dict):
        if "retryDelay" in details:
            yield str(details["retryDelay"])
        for value in details.values():
            yield from _google_retry_delays(value)
    elif isinstance(details, list):
        for value in details:
            yield from _google_retry_delays(value)


def model_failure(error: Exception, model: str) -> Exception:
    """Translates what a model call raised into what Restate should do about it."""
    return step_failure(error, f"model {model}")


def step_failure(error: Exception, called: str) -> Exception:
    """Translates what a call to somebody else raised into what Restate should do about it.

    Args:
        error: what was raised.
        called: who was called, for the message.

    Returns:
        A ``TerminalError`` for refusals that would be repeated (400, 401, 403, 404 and the like, or
        what was never there), else a ``RetryableError`` with the delay that was asked for.
    """
    if isinstance(error, TerminalError | RetryableError):
        return error
    if isinstance(error, asyncio.TimeoutError):
        return RetryableError(f"{called} did not answer in time", status_code=504)
    text = redact(str(error) or repr(error))[:_LONGEST_MESSAGE]
    if isinstance(error, NotImplementedError):
        return TerminalError(f"{called} can't: {text}", HTTPStatus.NOT_IMPLEMENTED)
    if not final_status(error):
        return RetryableError(
            f"{called} failed: {text}",
            status_code=provider_status(error) or 500,
            retry_after=retry_delay(error),
        )
    return TerminalError(f"{called} refused the request: {text}", HTTPStatus.BAD_GATEWAY)


def terminal_error(error: BaseException) -> TerminalError | None:
    """Finds out whether an error that came out of ADK ends the turn.

    ADK wraps errors of callbacks and of nodes, so the whole chain of causes is looked at. One that
    code had caught before it failed for another reason doesn't count, unless it is a cancellation.
    """
    for cause in _reasons(error):
        if isinstance(cause, TerminalError):
            return cause
        if isinstance(cause, LlmCallsLimitExceededError):
            return TerminalError(
                f"the turn was stopped: {cause} (AGENT_MAX_MODEL_CALLS sets the limit)",
                HTTPStatus.UNPROCESSABLE_ENTITY,
            )
    return next((one for one in causes(error) if is_cancellation(one)), None)


def is_cancellation(error: BaseException) -> TypeGuard[TerminalError]:
    """Whether it says that the turn was cancelled."""
    if not isinstance(error, TerminalError):
        return False
    return error.status_code == HTTPStatus.CONFLICT and error.message == "cancelled"


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yields an error, all that led to it, and all that was handled when it was raised."""
    return _chain(error, lambda _: True)


def _reasons(error: BaseException) -> Iterator[BaseException]:
    return _chain(error, lambda one: isinstance(one, _CLEANING_UP))


def _chain(
    error: BaseException, follows_context: Callable[[BaseException], bool]
) -> Iterator[BaseException]:
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            pending.extend(current.exceptions)
        handled = current.__context__ if follows_context(current) else None
        pending.extend(one for one in (current.__cause__, handled) if one is not None)

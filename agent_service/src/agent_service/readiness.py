"""When a process is ready for turns: once each model it knows of has answered a cheap question.

``/health`` says so, for readiness probes; ``/live`` only says that the process runs. What has
answered once is not asked again: a model that is away later must not take pods out of service whose
turns wait for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from agent_service.logs import redact

if TYPE_CHECKING:
    from google.adk.models.base_llm import BaseLlm
    from google.adk.models.google_llm import Gemini

logger = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 10.0
# A probe waits so long for the first answers, so that a pod is not late by a probe's period.
PROBE_SECONDS: Final = 3.0
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
_LONGEST_REASON: Final = 500
# A server that speaks a part of Gemini's API may not know this question.
_NO_SUCH_QUESTION: Final = frozenset({404, 405, 501})


class NotReadyError(Exception):
    """A model can't be used; the message says why."""


class Readiness:
    """Whether all models have answered.

    Args:
        models: which; one of a kind is asked once.
    """

    def __init__(self, models: Iterable[BaseLlm]) -> None:
        self._waiting: dict[str, BaseLlm] = {}
        for model in models:
            own = getattr(model, "client", None) or getattr(model, "client_kwargs", None)
            self._waiting[f"{model.model} {id(model) if own else type(model).__name__}"] = model
        self._reasons = dict.fromkeys(self._waiting, "it has not answered yet")
        self._looked = asyncio.Event()

    @property
    def reasons(self) -> list[str]:
        """Why it isn't ready; none: it is."""
        return [f"model {self._waiting[key].model}: {why}" for key, why in self._reasons.items()]

    async def watch(self) -> None:
        """Asks until all have answered."""
        pause = FIRST_PAUSE
        while self._waiting:
            await asyncio.gather(*(self._look(key) for key in list(self._waiting)))
            self._looked.set()
            if self._waiting:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        self._looked.set()
        logger.info("ready: all models have answered")

    async def settle(self) -> None:
        """Waits a moment for the first answers, if there are none yet."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._looked.wait()
        except TimeoutError:
            return

    async def _look(self, key: str) -> None:
        model = self._waiting[key]
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await ask(model)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not ready
            why = _reason(error)
            if why != self._reasons[key]:
                fields = {"model": model.model, "why": why}
                logger.warning("not ready: a model does not answer", extra={"fields": fields})
            self._reasons[key] = why
        else:
            del self._waiting[key], self._reasons[key]


async def ask(model: BaseLlm) -> None:
    """Asks a model something that costs nothing; where there is no such thing, looks for its key.

    Raises:
        Exception: it can't be used; most kinds of it come from the provider's client.
    """
    from google.adk.models.google_llm import Gemini

    apigee = sys.modules.get("google.adk.models.apigee_llm")
    if apigee and isinstance(model, apigee.ApigeeLlm):
        # A proxy lets pass what somebody has named to it, and model calls are all that is sure.
        return
    if isinstance(model, Gemini):
        await _ask_gemini(model)
    elif (lite := sys.modules.get("google.adk.models.lite_llm")) and isinstance(
        model, lite.LiteLlm
    ):
        _look_for_key(model)


async def _ask_gemini(model: Gemini) -> None:
    from google.genai.errors import APIError

    try:
        await model.api_client.aio.models.get(model=model.model)
    except APIError as error:
        elsewhere = model.base_url or os.environ.get("GOOGLE_GEMINI_BASE_URL", "").strip()
        busy = error.code == HTTPStatus.TOO_MANY_REQUESTS
        if not busy and not (elsewhere and error.code in _NO_SUCH_QUESTION):
            raise


def _look_for_key(model: Any) -> None:
    import litellm

    given: dict[str, Any] = model._additional_args
    if given.get("api_key") or given.get("api_base") or litellm.api_key:
        return
    missing = litellm.validate_environment(model.model)["missing_keys"]
    # Other things may be missing and found elsewhere: a cloud's credentials, for example.
    if missing and all(name.endswith("_API_KEY") for name in missing):
        raise NotReadyError(f"there is no key: set {' or '.join(missing)}")


def _reason(error: Exception) -> str:
    if isinstance(error, NotReadyError):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"it did not answer within {ANSWER_SECONDS:g} s"
    return redact(str(error) or repr(error))[:_LONGEST_REASON]


def with_probes(app: Any, readiness: Readiness | None) -> Any:
    """Wraps an ASGI app so that it answers probes, which nobody has to sign.

    Args:
        app: what answers everything else.
        readiness: without it, the process is ready when it answers.
    """

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path == "/live":
            await _answer(send, HTTPStatus.OK, {"status": "live"})
        elif path == "/health":
            if readiness is not None:
                await readiness.settle()
            reasons = [] if readiness is None else readiness.reasons
            if reasons:
                body = {"status": "not ready", "reasons": reasons}
                await _answer(send, HTTPStatus.SERVICE_UNAVAILABLE, body)
            else:
                await _answer(send, HTTPStatus.OK, {"status": "ready"})
        else:
            await app(scope, receive, send)

    return wrapped


async def _answer(send: Any, status: HTTPStatus, body: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    content = json.dumps(body, ensure_ascii=False).encode()
    await send({"type": "http.response.body", "body": content})

"""Registers a candidate with the gate's own Restate server, and sends it one turn."""

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx

from agent_operator.api.gates import Smoke
from agent_operator.restate.client import (
    USUAL,
    Calls,
    DiscoveryError,
    RegistrationRefusedError,
    RestateClient,
    RestateUnavailableError,
)
from agent_operator.restate.view import Service, leading
from agent_operator.smoke.expect import problem

log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 0.3
DEFAULT_HANDLER: Final = "turn"
DEFAULT_KEY: Final = "smoke"
PLAIN: Final = "Service"
ERROR_LENGTH: Final = 200
LAST_LOOK: Final = 3.0


class SmokeFailedError(Exception):
    """The gate has failed, and why."""


@dataclass(frozen=True)
class Place:
    """Where things are: the candidate, and the gate's own Restate, which calls it so."""

    candidate: str
    admin: str = "http://127.0.0.1:9070"
    ingress: str = "http://127.0.0.1:8080"
    calls: Calls = USUAL


async def run(smoke: Smoke, place: Place, seconds: float) -> None:
    """Send the turn and look at the answer, in no more than ``seconds``.

    Raises:
        SmokeFailedError: it can't be sent, fails, takes too long, or isn't answered as expected.
    """
    if smoke.message is not None and smoke.input is not None:
        raise SmokeFailedError("smoke has both message and input; give one of them")
    until = time.monotonic() + seconds
    async with RestateClient(place.admin) as restate:
        services = await _register(restate, place, until)
        path = target(smoke, services)
        log.info("calling %s", path)
        answer = await _call(place, path, smoke, until)
    log.info("answer: %s", json.dumps(answer, ensure_ascii=False))
    if wrong := problem(smoke.expect, answer):
        raise SmokeFailedError(wrong)


def target(smoke: Smoke, services: Sequence[Service]) -> str:
    """The path under which Restate's ingress takes the turn.

    Raises:
        SmokeFailedError: the candidate serves no such thing, or several of which none is named.
    """
    names = sorted(s.name for s in services)
    # An agent comes with services that nobody has to name: one agent is one to choose from.
    name = _one("service", smoke.service, names if smoke.service else leading(names), "")
    service = next(s for s in services if s.name == name)
    handler = _one("handler", smoke.handler, sorted(service.handlers), DEFAULT_HANDLER)
    key = "" if service.type == PLAIN else f"/{quote(smoke.key or DEFAULT_KEY, safe='')}"
    return f"/{name}{key}/{handler}"


def _one(what: str, wanted: str | None, offered: Sequence[str], usual: str) -> str:
    if wanted is None and usual in offered:
        return usual
    if wanted is None and len(offered) == 1:
        return offered[0]
    if wanted in offered and wanted is not None:
        return wanted
    choice = ", ".join(offered) or "none"
    if wanted is None:
        raise SmokeFailedError(f"smoke.{what} must name one, since the candidate has {choice}")
    raise SmokeFailedError(f"the candidate has no {what} {wanted}, only {choice}")


async def _register(restate: RestateClient, place: Place, until: float) -> tuple[Service, ...]:
    """Again and again: Restate is about to start, and pods learn of its key in their own time."""
    last: Exception | None = None
    while time.monotonic() < until:
        try:
            services = await restate.discover(place.candidate, calls=place.calls)
            await restate.register(place.candidate, {}, calls=place.calls)
        except RegistrationRefusedError as error:
            raise SmokeFailedError(f"the candidate is refused: {error}") from error
        except (DiscoveryError, RestateUnavailableError) as error:
            if str(error) != str(last):
                log.info("not yet: %s", error)
            last = error
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return services
    raise SmokeFailedError(f"the candidate could not be registered: {_short(str(last))}")


async def _call(place: Place, path: str, smoke: Smoke, until: float) -> Any:
    body = {"message": smoke.message} if smoke.message is not None else smoke.input
    left = max(until - time.monotonic(), 1.0)
    # Restate's own client has its own time-outs; a turn may take as long as the gate has.
    async with httpx.AsyncClient(timeout=left, trust_env=False) as http:
        try:
            async with asyncio.timeout(left):
                response = await _post(http, place.ingress + path, body)
        except (TimeoutError, httpx.TimeoutException) as error:
            why = await _last_failure(place)
            raise SmokeFailedError(f"no answer within {left:.0f} s{why}") from error
        except httpx.HTTPError as error:
            raise SmokeFailedError(f"the gate's Restate ended: {error!r}") from error
    if not response.is_success:
        log.info("answered %d: %s", response.status_code, response.text)
        raise SmokeFailedError(
            f"the turn failed with {response.status_code}: {_short(_message(response))}"
        )
    return _json(response)


async def _post(http: httpx.AsyncClient, url: str, body: Any) -> httpx.Response:
    if body is None:
        return await http.post(url)
    return await http.post(url, json=body)


async def _last_failure(place: Place) -> str:
    sql = "select last_failure as why from sys_invocation where last_failure is not null limit 1"
    headers = {"accept": "application/json"}
    try:
        async with httpx.AsyncClient(timeout=LAST_LOOK, trust_env=False) as http:
            answer = await http.post(f"{place.admin}/query", json={"query": sql}, headers=headers)
            rows = answer.json()["rows"]
    except (httpx.HTTPError, ValueError, KeyError):
        return ""
    return f"; the last attempt failed with: {_short(str(rows[0]['why']))}" if rows else ""


def _message(response: httpx.Response) -> str:
    found = _json(response)
    return str(found.get("message") or found) if isinstance(found, dict) else str(found)


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= ERROR_LENGTH else f"{line[: ERROR_LENGTH - 1]}…"

"""The scripted model as an HTTP server.

``POST /v1beta/models/{model}:generateContent`` and ``:streamGenerateContent`` are Gemini's, and
``GET /v1beta/models/{model}``, which says that there is the model, whatever its name.
``POST /v1/chat/completions`` is OpenAI's, streamed or not.
``GET /calls`` lists the model calls so far, ``PUT /rules`` puts rules before the script's own,
``GET /health`` is for probes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hypercorn.asyncio import serve
from hypercorn.config import Config
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from agent_service.testing import chat
from agent_service.testing.rules import Asked, Match, Rule, match, parts_of, tokens_of
from agent_service.testing.scripts import FALLBACK, default_script

# A word, with the space after it.
_WORDS = re.compile(r"\s*\S+\s*")
_RULES = TypeAdapter(list[Rule])
_STATUS_WORDS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}
_STATUS_WORDS |= {404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}


def read_rules(path: Path) -> list[Rule]:
    """Reads a JSON list of rules.

    Raises:
        OSError: it can't be read.
        pydantic.ValidationError: it is none.
    """
    return _RULES.validate_json(path.read_bytes())


class ModelCall(BaseModel):
    """One call that the server got, for tests to count.

    Attributes:
        model: the model's name in the address.
        rule: the rule that answered.
        text: the user's last message.
        status: what it was answered with.
        system: the system instruction.
        contents: how many messages the request held.
    """

    model: str
    rule: str
    text: str
    status: int
    system: str
    contents: int


class Script:
    """Rules, and what has been asked; safe to use from any thread.

    Args:
        rules: in place of those for the shipped agents.
        key: the API key that is asked for; empty: none.
    """

    def __init__(self, rules: Sequence[Rule] | None = None, key: str = "") -> None:
        self.key = key
        self._lock = threading.Lock()
        self._rules = list(default_script() if rules is None else rules)
        self._first: list[Rule] = []
        self._used: Counter[int] = Counter()
        self._calls: list[ModelCall] = []

    def put_first(self, rules: Sequence[Rule]) -> None:
        """Puts rules before the script's own, in place of those put before."""
        with self._lock:
            self._first = list(rules)
            self._used.clear()

    def reset(self) -> None:
        """Forgets the rules put first, and the calls."""
        with self._lock:
            self._first = []
            self._used.clear()
            self._calls.clear()

    def calls(self) -> list[ModelCall]:
        """Returns the calls so far, oldest first."""
        with self._lock:
            return list(self._calls)

    def take(self, model: str, asked: Asked) -> Match:
        """Finds the rule for a request, and notes the call down."""
        with self._lock:
            found = self._find(asked)
            self._used[id(found.rule)] += 1
            call = ModelCall(
                model=model,
                rule=found.rule.name,
                text=asked.text,
                status=found.rule.reply.status,
                system=asked.system,
                contents=asked.contents,
            )
            self._calls.append(call)
            return found

    def _find(self, asked: Asked) -> Match:
        for rule in (*self._first, *self._rules):
            if rule.reply.times is not None and self._used[id(rule)] >= rule.reply.times:
                continue
            found = match(rule, asked)
            if found is not None:
                return found
        return Match(FALLBACK, ({},))


def _error(found: Match) -> Response:
    reply = found.rule.reply
    error: dict[str, Any] = {
        "code": reply.status,
        "message": reply.message,
        "status": _STATUS_WORDS.get(reply.status, "UNKNOWN"),
    }
    headers = {}
    if reply.retry_after is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        error["details"] = [{"@type": kind, "retryDelay": f"{reply.retry_after:g}s"}]
        headers["retry-after"] = f"{reply.retry_after:g}"
    return JSONResponse({"error": error}, status_code=reply.status, headers=headers)


type _Endpoint = Callable[[Request], Awaitable[Response]]


def _for_keys(script: Script, endpoint: _Endpoint) -> _Endpoint:
    """Refuses those with another key than the script's, as Gemini does."""

    async def checked(request: Request) -> Response:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if script.key in ("", request.headers.get("x-goog-api-key"), bearer):
            return await endpoint(request)
        message = "API key not valid. Please pass a valid API key."
        error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
        return JSONResponse({"error": error}, status_code=400)

    return checked


async def _describe(request: Request) -> Response:
    name = request.path_params["call"]
    return JSONResponse({"name": f"models/{name}", "displayName": f"{name}, scripted"})


def _answer(parts: list[dict[str, Any]], asked: Asked, model: str) -> dict[str, Any]:
    prompt, said = asked.tokens, tokens_of(parts)
    return {
        "candidates": [
            {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": {
            "promptTokenCount": prompt,
            "candidatesTokenCount": said,
            "totalTokenCount": prompt + said,
        },
        "modelVersion": model,
    }


def _pieces(parts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Texts word by word, and everything else whole."""
    for part in parts:
        for word in _WORDS.findall(part.get("text", "")) or [None]:
            yield part if word is None else {**part, "text": word}


def _chunks(parts: list[dict[str, Any]], asked: Asked, model: str) -> Iterator[dict[str, Any]]:
    """What Gemini streams: one piece in each, and how the answer ended in the last."""
    whole = _answer(parts, asked, model)
    pieces = list(_pieces(parts))
    for number, piece in enumerate(pieces, 1):
        chunk = _answer([piece], asked, model)
        if number < len(pieces):
            del chunk["candidates"][0]["finishReason"], chunk["usageMetadata"]
        else:
            chunk["usageMetadata"] = whole["usageMetadata"]
        yield chunk


async def _stream(
    found: Match, chunks: Iterable[dict[str, Any]], end: str = ""
) -> AsyncIterator[str]:
    """Server-sent events, as slow and as whole as the rule says."""
    most = found.rule.reply.breaks_after
    for number, chunk in enumerate(chunks, 1):
        if most is not None and number > most:
            raise ConnectionResetError(f"rule {found.rule.name!r} breaks off here")
        yield f"data: {json.dumps(chunk, ensure_ascii=False)}\r\n\r\n"
        await asyncio.sleep(found.rule.reply.pause)
    if end:
        yield f"data: {end}\r\n\r\n"


def _streamed(events: AsyncIterator[str]) -> Response:
    return StreamingResponse(events, media_type="text/event-stream")


async def _take(script: Script, model: str, asked: Asked) -> tuple[Match, Response | None]:
    """The rule that answers, and its answer if that is an error."""
    found = script.take(model, asked)
    await asyncio.sleep(found.rule.reply.delay)
    return found, _error(found) if found.rule.reply.status >= 400 else None


def _generate_content(script: Script) -> _Endpoint:
    async def endpoint(request: Request) -> Response:
        model, _, verb = request.path_params["call"].rpartition(":")
        if verb not in ("generateContent", "streamGenerateContent"):
            return JSONResponse({"error": {"code": 404, "message": f"no method {verb}"}}, 404)
        asked = Asked.of(await request.json())
        found, refused = await _take(script, model, asked)
        if refused is not None:
            return refused
        parts = parts_of(found, asked)
        if verb == "generateContent":
            return JSONResponse(_answer(parts, asked, model))
        return _streamed(_stream(found, _chunks(parts, asked, model)))

    return _for_keys(script, endpoint)


def _chat_completions(script: Script) -> _Endpoint:
    async def endpoint(request: Request) -> Response:
        body = await request.json()
        asked, model = Asked.of(chat.as_gemini(body)), body.get("model", "")
        found, refused = await _take(script, model, asked)
        if refused is not None:
            return refused
        parts = parts_of(found, asked)
        if not body.get("stream"):
            return JSONResponse(chat.answer(parts, asked, model))
        chunks = chat.chunks(list(_pieces(parts)), parts, asked, model)
        return _streamed(_stream(found, chunks, end="[DONE]"))

    return _for_keys(script, endpoint)


def build_app(script: Script) -> Starlette:
    """Makes the ASGI app that answers by ``script``."""

    async def calls(_request: Request) -> Response:
        return JSONResponse([call.model_dump() for call in script.calls()])

    async def put_rules(request: Request) -> Response:
        try:
            script.put_first(_RULES.validate_json(await request.body()))
        except ValidationError as error:
            return JSONResponse({"error": str(error)}, 400)
        return Response(status_code=204)

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/{version}/models/{call}", _generate_content(script), methods=["POST"]),
            Route("/{version}/models/{call}", _for_keys(script, _describe), methods=["GET"]),
            Route("/v1/chat/completions", _chat_completions(script), methods=["POST"]),
            Route("/calls", calls, methods=["GET"]),
            Route("/rules", put_rules, methods=["PUT"]),
            Route("/health", health, methods=["GET"]),
        ]
    )


async def serve_script(script: Script, listening: socket.socket, stop: asyncio.Event) -> None:
    """Serves ``script`` on a listening socket, which it takes over, until ``stop`` is set."""
    config = Config()
    # Hypercorn closes the descriptor; if the socket object closed it too, it might by then be
    # someone else's.
    config.bind = [f"fd://{listening.detach()}"]
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.graceful_timeout = 1.0

    async def wait_for_stop() -> None:
        await stop.wait()

    await serve(build_app(script), config, shutdown_trigger=wait_for_stop)  # type: ignore[arg-type]


def listen(host: str, port: int) -> socket.socket:
    """Opens a listening TCP socket; port 0 takes a free one."""
    listening = socket.create_server((host, port), backlog=256)
    listening.setblocking(False)
    return listening


class ScriptedModel:
    """The server in a thread of its own, on a free loopback port, for tests.

    Use it as a context manager; ``url`` is what GOOGLE_GEMINI_BASE_URL takes.

    Args:
        rules: in place of those for the shipped agents.
        key: the API key that it asks for; empty: none.
    """

    def __init__(self, rules: Sequence[Rule] | None = None, key: str = "") -> None:
        self._script = Script(rules, key)
        self._url = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The server's address, for example ``http://127.0.0.1:40123``."""
        return self._url

    def ask_for_key(self, key: str) -> None:
        """Asks for another API key from now on; empty: for none."""
        self._script.key = key

    def calls(self) -> list[ModelCall]:
        """Returns the model calls so far, oldest first."""
        return self._script.calls()

    def put_first(self, *rules: Rule) -> None:
        """Puts rules before the script's own, in place of those put before."""
        self._script.put_first(rules)

    def put_file(self, path: Path) -> None:
        """Puts a file's rules before the script's own, in place of those put before.

        Raises:
            OSError: it can't be read.
            pydantic.ValidationError: it is no JSON list of rules.
        """
        self._script.put_first(read_rules(path))

    def reset(self) -> None:
        """Forgets the rules put first, and the calls."""
        self._script.reset()

    def __enter__(self) -> Self:
        ready = threading.Event()
        listening = listen("127.0.0.1", 0)
        self._url = f"http://127.0.0.1:{listening.getsockname()[1]}"

        async def run() -> None:
            self._loop = asyncio.get_running_loop()
            self._stop = asyncio.Event()
            ready.set()
            await serve_script(self._script, listening, self._stop)

        self._thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

"""OpenAI's chat completions in terms of Gemini's contents and parts, in which rules are written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from agent_service.testing.rules import Asked, tokens_of

_DECLARED = ("name", "description")


def as_gemini(request: dict[str, Any]) -> dict[str, Any]:
    """Makes a generateContent request of a chat completion's."""
    contents: list[dict[str, Any]] = []
    system: list[dict[str, Any]] = []
    called: dict[str, str] = {}
    for message in request.get("messages") or []:
        role, text = message.get("role"), _text(message.get("content"))
        said = [{"text": text}] if text else []
        if role in ("system", "developer"):
            system += said
        elif role == "tool":
            name = called.get(message.get("tool_call_id", ""), "")
            _respond(contents, {"name": name, "response": _object(text)})
        elif role == "assistant":
            calls = message.get("tool_calls") or []
            called |= {call["id"]: call["function"]["name"] for call in calls}
            contents.append({"role": "model", "parts": said + [_call_of(call) for call in calls]})
        else:
            contents.append({"role": "user", "parts": said})
    functions = [tool.get("function") or {} for tool in request.get("tools") or []]
    declared = [{name: one.get(name) for name in _DECLARED} for one in functions]
    return {
        "contents": contents,
        "systemInstruction": {"parts": system},
        "tools": [{"functionDeclarations": declared}],
    }


def answer(parts: list[dict[str, Any]], asked: Asked, model: str) -> dict[str, Any]:
    """Makes a chat completion of the parts of an answer."""
    message: dict[str, Any] = {"role": "assistant"}
    for part in parts:
        for name, value in _delta(part).items():
            message[name] = message[name] + value if name in message else value
    for call in message.get("tool_calls", ()):
        del call["index"]
    choice = {"index": 0, "message": message, "finish_reason": _reason(parts)}
    return _envelope("chat.completion", model, [choice]) | {"usage": _usage(parts, asked)}


def chunks(
    pieces: list[dict[str, Any]], parts: list[dict[str, Any]], asked: Asked, model: str
) -> Iterator[dict[str, Any]]:
    """Makes the chunks of a streamed chat completion.

    Args:
        pieces: the parts of the answer, with their texts in pieces: one for each chunk.
        parts: the parts of the answer.
        asked: what they answer.
        model: the model that was asked.
    """

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return _envelope("chat.completion.chunk", model, [choice])

    calls = 0
    for piece in pieces:
        delta = {"role": "assistant", **_delta(piece, calls)}
        calls += "tool_calls" in delta
        yield chunk(delta)
    yield chunk({}, _reason(parts))
    # As OpenAI does where stream_options.include_usage asks for it.
    yield _envelope("chat.completion.chunk", model, []) | {"usage": _usage(parts, asked)}


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return value if isinstance(value, dict) else {"result": value}


def _respond(contents: list[dict[str, Any]], response: dict[str, Any]) -> None:
    """Adds a function's response; those in a row are one content in Gemini's terms."""
    part = {"functionResponse": response}
    last = contents[-1]["parts"] if contents else []
    if last and "functionResponse" in last[-1]:
        last.append(part)
    else:
        contents.append({"role": "user", "parts": [part]})


def _call_of(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {"functionCall": {"name": function["name"], "args": _object(function["arguments"])}}


def _delta(part: dict[str, Any], index: int = 0) -> dict[str, Any]:
    """What one part adds to a message."""
    call = part.get("functionCall")
    if call is None:
        return {"reasoning_content" if part.get("thought") else "content": part["text"]}
    function = {"name": call["name"], "arguments": json.dumps(call["args"])}
    named = {"index": index, "id": f"call_{uuid4().hex}", "type": "function"}
    return {"tool_calls": [{**named, "function": function}]}


def _reason(parts: list[dict[str, Any]]) -> str:
    return "tool_calls" if any("functionCall" in part for part in parts) else "stop"


def _usage(parts: list[dict[str, Any]], asked: Asked) -> dict[str, int]:
    prompt, said = asked.tokens, tokens_of(parts)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
    }


def _envelope(kind: str, model: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid4().hex}",
        "object": kind,
        "created": 0,
        "model": model,
        "choices": choices,
    }

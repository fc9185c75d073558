"""The script: rules that say what the model answers to what.

The first rule that fits a request answers it. Everything is decided from the request itself, as
a real model does, so that the server needs no memory of conversations; ``Reply.times`` alone
counts, to make a rule end.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, override

from pydantic import BaseModel, ConfigDict, Field


class ScriptModel(BaseModel):
    """Base of the script's parts."""

    model_config = ConfigDict(extra="forbid")


class When(ScriptModel):
    """When a rule fits; all that is given must hold.

    Attributes:
        text: a regular expression searched in the user's last message; its named groups can be
            used in the reply.
        tool: a function that the request must declare.
        response_of: the last content must be this function's response.
        response: fields that this response must have, with these values.
        response_has: fields that this response must have, with any value.
        after_response: False fits only before a function has responded, True only after.
        system: a regular expression searched in the system instruction.
        history: one searched in what was said before the user's last message; its named groups can
            be used as well.
    """

    text: str | None = None
    tool: str | None = None
    response_of: str | None = None
    response: dict[str, Any] = {}
    response_has: list[str] = []
    after_response: bool | None = None
    system: str | None = None
    history: str | None = None


class Call(ScriptModel):
    """A function call in a reply.

    Attributes:
        name: the function.
        args: its arguments; texts in them are templates.
        for_each: a regular expression; the call is made once for each of its matches, with the
            match's named groups for the templates.
        within: where it is searched: in the user's last message (``text``), or in the ``system``
            instruction.
    """

    name: str
    args: dict[str, Any] = {}
    for_each: str | None = None
    within: Literal["text", "system"] = "text"


class Reply(ScriptModel):
    """What the model answers.

    Attributes:
        text: a template. After responses of ``When.response_of`` it is used once for each.
        thought: text that is marked as a thought, before the answer.
        calls: function calls.
        status: an HTTP status; 400 and above answer an error instead.
        message: the error's message.
        retry_after: seconds, sent with an error.
        delay: seconds until the answer.
        pause: seconds between two words of a streamed answer.
        breaks_after: words after which the connection of a streamed answer breaks; None: it holds.
        times: how often the rule may be used, from the server's start; None: always.
    """

    text: str | None = None
    thought: str | None = None
    calls: list[Call] = []
    status: int = Field(default=200, ge=200, le=599)
    message: str = "scripted failure"
    retry_after: float | None = None
    delay: float = Field(default=0.0, ge=0.0)
    pause: float = Field(default=0.0, ge=0.0)
    breaks_after: int | None = None
    times: int | None = None


class Rule(ScriptModel):
    """One line of the script; ``name`` is for the list of calls."""

    name: str
    when: When = When()
    reply: Reply


class _Template(string.Formatter):
    """Fills {field} and {field:number}; a missing field is left out, as a model would."""

    @override
    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        value = kwargs.get(str(key))
        return "" if value is None else value

    @override
    def format_field(self, value: Any, format_spec: str) -> str:
        return str(value) if format_spec == "number" else str(format(value, format_spec))


_TEMPLATE = _Template()
_NUMBER = re.compile(r"\{(\w+):number\}")


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """Fills the templates inside a JSON value. ``"{x:number}"`` alone becomes a number."""
    if isinstance(template, dict):
        return {key: fill(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, values) for value in template]
    if not isinstance(template, str):
        return template
    number = _NUMBER.fullmatch(template)
    if number:
        return float(str(values.get(number[1]) or "0").replace(",", ""))
    return _TEMPLATE.vformat(template, (), values)


@dataclass(frozen=True)
class Asked:
    """What rules look at in a request.

    Attributes:
        text: the user's last message.
        system: the system instruction.
        tools: the declared functions.
        responses: function name and response, if the last content holds any.
        contents: how many messages there are.
        history: what was said before the user's last message, by both.
    """

    text: str
    system: str
    tools: frozenset[str]
    responses: tuple[tuple[str, dict[str, Any]], ...]
    contents: int = 0
    history: str = ""

    @property
    def tokens(self) -> int:
        """What it counts for: not what a real model would, but it grows with what is said."""
        return 1 + len(self.text.split())

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Asked:
        """Reads a generateContent request's JSON."""
        contents = _answered(request.get("contents") or [])
        users = [c for c in contents if c.get("role", "user") == "user" and _text(c)]
        last = contents[-1] if contents else {}
        return cls(
            text=_text(users[-1]) if users else "",
            system=_text(_field(request, "systemInstruction") or {}),
            tools=frozenset(_tools(request)),
            contents=len(request.get("contents") or []),
            history="\n".join(_text(c) for c in contents if not users or c is not users[-1]),
            responses=tuple(
                (response.get("name", ""), response.get("response") or {})
                for part in last.get("parts") or []
                if (response := _field(part, "functionResponse"))
            ),
        )


def _answered(contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leaves out what ADK puts after function responses, such as memories for this request."""
    for number in range(len(contents) - 1, -1, -1):
        content = contents[number]
        if any(_field(part, "functionResponse") for part in content.get("parts") or []):
            return contents[: number + 1]
        if content.get("role", "user") != "user":
            break
    return contents


def _field(holder: Mapping[str, Any], name: str) -> Any:
    snake = re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", name)
    return holder.get(name, holder.get(snake))


def _text(content: Mapping[str, Any]) -> str:
    return "".join(part.get("text", "") for part in content.get("parts") or [])


def _tools(request: Mapping[str, Any]) -> Iterator[str]:
    for tool in request.get("tools") or []:
        for declared in _field(tool, "functionDeclarations") or []:
            yield declared.get("name", "")


@dataclass(frozen=True)
class Match:
    """A rule that fits, with what its templates may use: one set of values for each response."""

    rule: Rule
    values: tuple[dict[str, Any], ...]


def match(rule: Rule, asked: Asked) -> Match | None:
    """Says whether, and with what values, a rule fits a request."""
    when = rule.when
    groups = _searched(when.text, asked.text)
    before = _searched(when.history, asked.history)
    if groups is None or before is None or _searched(when.system, asked.system) is None:
        return None
    groups = before | groups
    if when.tool is not None and when.tool not in asked.tools:
        return None
    if when.after_response is not None and when.after_response != bool(asked.responses):
        return None
    if when.response_of is None:
        return Match(rule, (groups,))
    fitting = [
        response
        for name, response in asked.responses
        if name == when.response_of and _response_fits(when, response)
    ]
    return Match(rule, tuple(groups | response for response in fitting)) if fitting else None


def _searched(pattern: str | None, text: str) -> dict[str, Any] | None:
    if pattern is None:
        return {}
    found = re.search(pattern, text)
    return None if found is None else found.groupdict()


def _response_fits(when: When, response: Mapping[str, Any]) -> bool:
    return all(name in response for name in when.response_has) and all(
        name in response and response[name] == value for name, value in when.response.items()
    )


def parts_of(found: Match, asked: Asked) -> list[dict[str, Any]]:
    """Makes the parts of Gemini's answer."""
    reply = found.rule.reply
    parts: list[dict[str, Any]] = []
    if reply.thought is not None:
        parts.append({"text": fill(reply.thought, found.values[0]), "thought": True})
    if reply.text is not None:
        text = " ".join(fill(reply.text, values).strip() for values in found.values)
        parts.append({"text": text})
    for call in reply.calls:
        parts.extend(
            {"functionCall": {"name": call.name, "args": fill(call.args, values)}}
            for values in _call_values(call, found, asked)
        )
    return parts


def tokens_of(parts: list[dict[str, Any]]) -> int:
    """What an answer counts for."""
    return 1 + sum(len(json.dumps(part).split()) for part in parts)


def _call_values(call: Call, found: Match, asked: Asked) -> Iterator[dict[str, Any]]:
    if call.for_each is None:
        yield found.values[0]
        return
    searched = asked.text if call.within == "text" else asked.system
    for each in re.finditer(call.for_each, searched):
        yield found.values[0] | each.groupdict()

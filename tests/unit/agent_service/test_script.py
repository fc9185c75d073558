"""The scripted model, asked through its rules and through HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from agent_service.agents import fact_checker, research
from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from agent_service.testing.rules import Asked, fill
from agent_service.testing.server import Script


def _request(text: str, *tools: str, response: tuple[str, dict[str, Any]] | None = None) -> Any:
    contents: list[dict[str, Any]] = [{"role": "user", "parts": [{"text": text}]}]
    if response is not None:
        name, value = response
        contents.append({"role": "model", "parts": [{"functionCall": {"name": name, "args": {}}}]})
        part = {"functionResponse": {"name": name, "response": value}}
        contents.append({"role": "user", "parts": [part]})
    declared = [{"functionDeclarations": [{"name": tool} for tool in tools]}]
    return {"contents": contents, "tools": declared}


def _calls(text: str, *tools: str) -> list[tuple[str, dict[str, Any]]]:
    parts = _parts(_request(text, *tools))
    return [(p["functionCall"]["name"], p["functionCall"]["args"]) for p in parts]


def _parts(request: Any) -> list[dict[str, Any]]:
    from agent_service.testing.rules import parts_of

    asked = Asked.of(request)
    return parts_of(Script().take("m", asked), asked)


@pytest.mark.parametrize(
    ("text", "cities"),
    [
        ("What is the weather in Paris?", ["Paris"]),
        ("weather in paris today", ["paris"]),
        ("How is it in New York and Oslo, and Rome?", ["New York", "Oslo", "Rome"]),
        ("forecast for Tokyo please", ["Tokyo"]),
    ],
)
def test_cities_are_looked_up(text: str, cities: list[str]) -> None:
    assert _calls(text, "get_weather") == [("get_weather", {"city": city}) for city in cities]


@pytest.mark.parametrize(
    ("text", "claim", "amount", "reason"),
    [
        ("Please pay claim C-17 for 80 EUR, for taxi rides", "C-17", 80.0, "taxi rides"),
        ("Claim #442 over 1,800.50 EUR for a new laptop", "442", 1800.5, "a new laptop"),
        ("I'd like EUR 900 back for claim no. A7", "A7", 900.0, ""),
        ("pay claim 7 over 120", "7", 120.0, ""),
    ],
)
def test_claims_are_filed(text: str, claim: str, amount: float, reason: str) -> None:
    ((name, args),) = _calls(text, "file_claim")
    assert name == "file_claim"
    assert (args["claim"], args["amount"]) == (claim, amount)
    assert args["reason"] == reason


def test_the_answer_comes_from_the_response() -> None:
    value = {"city": "Paris", "temperature": 21, "unit": "°C", "conditions": "sunny"}
    request = _request("weather in Paris", "get_weather", response=("get_weather", value))
    assert _parts(request) == [{"text": "It is 21 °C in Paris, sunny."}]


@pytest.mark.parametrize("subject", ["size", "orbit", "moons"])
def test_planets_are_researched(subject: str) -> None:
    tool = f"{subject}_notes"
    assert _calls("Tell me about Saturn.", tool) == [(tool, {"planet": "Saturn"})]


def test_each_line_with_a_figure_is_checked() -> None:
    lines = ["Venus has 0 moons.", "I found nothing: no notes.", "Venus is 12,104 km across."]
    request = _request("Tell me about Venus", "FactCheckAgent")
    request["systemInstruction"] = {"parts": [{"text": "\n".join(f"- {one}" for one in lines)}]}
    checked = [part["functionCall"]["args"]["message"] for part in _parts(request)]
    assert checked == [lines[0], lines[2]]


@pytest.mark.parametrize("planet", research.NOTES)
@pytest.mark.parametrize(
    ("subject", "quantity"), [("size", "diameter"), ("orbit", "year"), ("moons", "moons")]
)
def test_what_researchers_claim_can_be_checked(planet: str, subject: str, quantity: str) -> None:
    figure = research.NOTES[planet][list(research.SUBJECTS).index(subject)]
    claim = research.SUBJECTS[subject].format(planet=planet, figure=figure)
    ((_, args),) = _calls(claim, "compare")
    claimed = float(figure.replace(",", ""))
    assert args == {"planet": planet, "quantity": quantity, "claimed": claimed}
    assert planet in fact_checker.ALMANAC


def test_what_is_missing_is_asked_for_and_tools_must_be_declared() -> None:
    assert "amount" in _parts(_request("I want money", "file_claim"))[0]["text"]
    assert "no answer in my script" in _parts(_request("weather in Paris"))[0]["text"]


def test_templates() -> None:
    values = {"n": "1,200", "x": None}
    assert fill({"a": ["{n}", 3], "b": "{n:number}"}, values) == {"a": ["1,200", 3], "b": 1200.0}
    assert fill("[{x}{y}]", values) == "[]"


def test_over_http() -> None:
    with ScriptedModel() as model:
        url = f"{model.url}/v1beta/models/gemini-x"
        plain = httpx.post(f"{url}:generateContent", json=_request("hi"))
        assert plain.json()["candidates"][0]["finishReason"] == "STOP"
        model.put_first(
            Rule(
                name="busy",
                when=When(text="busy"),
                reply=Reply(status=429, retry_after=3, times=1),
            ),
            Rule(
                name="two",
                reply=Reply(text="a b", calls=[Call(name="f")]),
            ),
        )
        busy = httpx.post(f"{url}:generateContent", json=_request("busy"))
        assert (busy.status_code, busy.headers["retry-after"]) == (429, "3")
        assert busy.json()["error"]["status"] == "RESOURCE_EXHAUSTED"
        stream = httpx.post(f"{url}:streamGenerateContent?alt=sse", json=_request("busy"))
        chunks = [json.loads(line[6:]) for line in stream.text.splitlines() if line]
        candidates = [chunk["candidates"][0] for chunk in chunks]
        assert [one.get("finishReason") for one in candidates] == [None, None, "STOP"]
        parts = [part for one in candidates for part in one["content"]["parts"]]
        assert [part.get("text") for part in parts] == ["a ", "b", None]
        assert ["usageMetadata" in chunk for chunk in chunks] == [False, False, True]
        calls = httpx.get(f"{model.url}/calls").json()
        assert [(call["rule"], call["status"]) for call in calls] == [
            ("fallback", 200),
            ("busy", 429),
            ("two", 200),
        ]
        refused = httpx.put(f"{model.url}/rules", json=[{"name": "x"}])
        assert refused.status_code == 400
        assert httpx.put(f"{model.url}/rules", json=[]).status_code == 204
        assert httpx.post(f"{url}:embedContent", json={}).status_code == 404


def test_what_adk_adds_after_a_response_is_not_the_users_message() -> None:
    request = _request("Weather in Paris?", "get_weather", response=("get_weather", {"error": "x"}))
    request["contents"].append({"role": "user", "parts": [{"text": "a memory"}]})
    asked = Asked.of(request)
    assert (asked.text, asked.contents) == ("Weather in Paris?", 4)
    assert asked.responses == (("get_weather", {"error": "x"}),)


def test_openais_chat_completions() -> None:
    rules = [
        Rule(
            name="count",
            when=When(text="how many", system="brief", tool="count", after_response=False),
            reply=Reply(text="Let me see.", calls=[Call(name="count"), Call(name="count")]),
        ),
        Rule(name="told", when=When(response_of="count"), reply=Reply(text="{n} of them")),
    ]
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "how many?"}]},
    ]
    tools = [{"type": "function", "function": {"name": "count", "parameters": {}}}]
    asked = {"model": "m", "messages": messages, "tools": tools}
    with ScriptedModel(rules, key="right") as model:
        url, headers = f"{model.url}/v1/chat/completions", {"authorization": "Bearer right"}
        assert httpx.post(url, json=asked).status_code == 400
        whole = httpx.post(url, json=asked, headers=headers).json()
        stream = httpx.post(url, json={**asked, "stream": True}, headers=headers)
        choice = whole["choices"][0]
        calls = choice["message"]["tool_calls"]
        answers = [
            {"role": "tool", "tool_call_id": call["id"], "content": f'{{"n": {n}}}'}
            for n, call in enumerate(calls, 3)
        ]
        then = {**asked, "messages": [*messages, choice["message"], *answers]}
        told = httpx.post(url, json=then, headers=headers).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Let me see.", "tool_calls")
    assert [call["function"] for call in calls] == [{"name": "count", "arguments": "{}"}] * 2
    assert (told["message"]["content"], told["finish_reason"]) == ("3 of them 4 of them", "stop")
    *lines, done = [line for line in stream.text.splitlines() if line]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert done == "data: [DONE]"
    assert chunks[-1]["usage"] == whole["usage"]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert [one["content"] for one in deltas if "content" in one] == ["Let ", "me ", "see."]
    assert [one["tool_calls"][0]["index"] for one in deltas if "tool_calls" in one] == [0, 1]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"

"""The model of the bench, in the agent's own process: it answers at once.

A model over HTTP would add the same to all that are compared, and noise. What it does is in the
user's message: ``rounds=4 calls=2 tool=step`` makes four answers with two calls each, and then one
in words.
"""

import re
from collections.abc import AsyncGenerator
from typing import Any, override

from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types

_SPEC = re.compile(r"rounds=(?P<rounds>\d+) calls=(?P<calls>\d+) tool=(?P<tool>\w+)")
ANSWER = "It is 21 °C in Paris, fair, which is typical for October. Anything else I can do for you?"


def message(rounds: int, calls: int, tool: str) -> str:
    """What a user says to have the model call ``tool`` ``calls`` times in each of the rounds."""
    return f"Please work through this for me: rounds={rounds} calls={calls} tool={tool}"


class Scripted(BaseLlm):
    """Does what the user's last message says."""

    model: str = "scripted"

    @override
    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        parts = _next_parts(llm_request.contents)
        yield LlmResponse(
            content=types.Content(role="model", parts=parts),
            usage_metadata=types.GenerateContentResponseUsageMetadata(
                prompt_token_count=100, candidates_token_count=20, total_token_count=120
            ),
        )


def _next_parts(contents: list[types.Content]) -> list[types.Part]:
    done = 0
    for content in reversed(contents):
        parts = content.parts or []
        if any(part.function_response for part in parts):
            done += 1
            continue
        told = _SPEC.search("".join(part.text or "" for part in parts))
        if content.role == "user" and told:
            return _calls(told) if done < int(told["rounds"]) else [types.Part(text=ANSWER)]
    raise ValueError("the user's message says nothing about rounds")


def _calls(told: re.Match[str]) -> list[types.Part]:
    def call(number: int) -> types.Part:
        args: dict[str, Any] = {"number": number}
        return types.Part(function_call=types.FunctionCall(name=told["tool"], args=args))

    return [call(number) for number in range(int(told["calls"]))]

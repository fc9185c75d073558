"""Runs one turn in memory before the service is ready.

ADK imports much of itself in the first turn, for a second or more and on the event loop. Better
before the first user waits for it, and before a probe does.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from importlib import import_module
from typing import override

from google.adk.agents.llm_agent import LlmAgent
from google.adk.models.base_llm import BaseLlm
from google.adk.models.google_llm import Gemini
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.sessions.in_memory_session_service import InMemorySessionService
from google.genai import types


class _Echo(BaseLlm):
    """Calls the one tool, then ends, without leaving the process."""

    @override
    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        parts = llm_request.contents[-1].parts or []
        called = any(part.function_response for part in parts)
        call = types.FunctionCall(name="nothing", args={})
        part = types.Part(text="ready") if called else types.Part(function_call=call)
        yield LlmResponse(content=types.Content(role="model", parts=[part]))


async def nothing() -> dict[str, str]:
    """Does nothing."""
    return {}


async def warm_up() -> None:
    """Makes ADK and the models' clients import what a turn needs."""
    agent = LlmAgent(name="WarmUp", model=_Echo(model="echo"), tools=[nothing])
    runner = Runner(
        app_name="WarmUp",
        agent=agent,
        session_service=InMemorySessionService(),
        auto_create_session=True,
    )
    message = types.UserContent("ready?")
    async with aclosing(
        runner.run_async(user_id="warm-up", session_id="warm-up", new_message=message)
    ) as events:
        async for _ in events:
            pass
    # The client is cheap, what it imports is not; without a key of its own it can't be made.
    _ = Gemini(model="warm-up", client_kwargs={"api_key": "unused"}).api_client
    if "google.adk.models.lite_llm" in sys.modules:
        _import_litellm()


def _import_litellm() -> None:
    """Imports what LiteLLM leaves to its first call, which stands still meanwhile."""
    with suppress(ImportError):
        import_module("litellm")
        import_module("openai.resources")

"""Plain ADK in memory: nothing is kept, so nothing survives. The baseline of all that is durable.

``python -m tests.bench.agents.in_memory COUNT`` has so many sessions wait for an answer, tells on
stdout how much memory that took, and lets them go on at a line on stdin.
"""

import asyncio
import json
import sys
import time
from typing import Any, override

from google.adk.agents.callback_context import CallbackContext
from google.adk.apps.app import App
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.plugins.base_plugin import BasePlugin
from google.adk.runners import InMemoryRunner
from google.genai import types

from tests.bench.agents import work
from tests.bench.agents.memory import memory
from tests.bench.agents.scripted import Scripted, message

NAME = "InMemory"
_answers: list[asyncio.Future[bool]] = []


async def step(number: int) -> dict[str, Any]:
    """Looks something up.

    Args:
        number: Which of the calls it is.
    """
    return work.look_up(number)


async def ask(number: int) -> dict[str, Any]:
    """Asks a person.

    Args:
        number: Which of the calls it is.
    """
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    _answers.append(answer)
    return {"approved": await answer}


class Answering(BasePlugin):
    """Answers model calls as the SDK's plugin does: in front of what ADK does around them."""

    def __init__(self) -> None:
        super().__init__(name="answering")
        self._model = Scripted()

    @override
    async def before_model_callback(
        self, *, callback_context: CallbackContext, llm_request: LlmRequest
    ) -> LlmResponse | None:
        return await anext(self._model.generate_content_async(llm_request))


class InMemory:
    """Runs turns in this process, with these plugins."""

    def __init__(self, *plugins: BasePlugin) -> None:
        app = App(name=NAME, root_agent=work.agent(NAME, step, ask), plugins=list(plugins))
        self._runner = InMemoryRunner(app=app)
        self._known: set[str] = set()

    async def turn(self, session: str, text: str) -> None:
        """Runs one turn, and makes its session if it is the first one."""
        if session not in self._known:
            self._known.add(session)
            await self._runner.session_service.create_session(
                app_name=NAME, user_id="user", session_id=session
            )
        async for _ in self._runner.run_async(
            user_id="user", session_id=session, new_message=types.UserContent(text)
        ):
            pass

    async def calls(self, session: str) -> list[str]:
        """The tools that a session has called so far."""
        found = await self._runner.session_service.get_session(
            app_name=NAME, user_id="user", session_id=session
        )
        events = found.events if found else []
        return [call.name or "" for event in events for call in event.get_function_calls()]


async def _wait(count: int) -> None:
    runner = InMemory()
    await runner.turn("warm-up", message(1, 1, "step"))
    before = memory()
    text = message(1, 1, "ask")
    turns = [asyncio.create_task(runner.turn(f"s-{n}", text)) for n in range(count)]
    while len(_answers) < count:  # noqa: ASYNC110 - a bench, and the tool tells nobody
        await asyncio.sleep(0.05)
    print(json.dumps({"before": before, "waiting": memory()}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    started = time.monotonic()
    for answer in _answers:
        answer.set_result(True)
    await asyncio.gather(*turns)
    print(json.dumps({"seconds": time.monotonic() - started}), flush=True)


if __name__ == "__main__":
    asyncio.run(_wait(int(sys.argv[1])))

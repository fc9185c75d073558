"""The agent as the SDK's own plugin and session service for ADK have it: ``python -m ...sdk PORT``.

Written as the SDK's examples are, and served by the same HTTP server with the same settings as
ours. Its service has the SDK's and Restate's defaults.
"""

import asyncio
import sys
from typing import Any

import restate
from google.adk.apps.app import App
from google.adk.runners import Runner
from google.genai import types
from hypercorn.asyncio import serve
from restate.ext.adk import RestatePlugin, RestateSessionService, restate_object_context

from agent_service.serving import server_config
from agent_service.settings import Settings
from tests.bench.agents import work

NAME = "Sdk"
# Where a tool leaves the id of the awakeable that it waits for.
PENDING = "pending"


async def step(number: int) -> dict[str, Any]:
    """Looks something up in a journaled step.

    Args:
        number: Which of the calls it is.
    """
    return await restate_object_context().run_typed("look up", work.look_up, number=number)


async def ask(number: int) -> dict[str, Any]:
    """Asks a person.

    Args:
        number: Which of the calls it is.
    """
    context = restate_object_context()
    identity, answered = context.awakeable(type_hint=bool)
    context.set(PENDING, identity)
    approved = await answered
    context.clear(PENDING)
    return {"approved": approved}


def main() -> None:
    """Serves the agent on the port that the command line names."""
    app = App(name=NAME, root_agent=work.agent(NAME, step, ask), plugins=[RestatePlugin()])
    runner = Runner(app=app, session_service=RestateSessionService())
    service = restate.VirtualObject(NAME)

    @service.handler()
    async def turn(ctx: restate.ObjectContext, message: str) -> str:
        answer = ""
        async for event in runner.run_async(
            user_id=ctx.key(), session_id="session", new_message=types.UserContent(message)
        ):
            if event.is_final_response() and event.content and event.content.parts:
                answer = "".join(part.text or "" for part in event.content.parts)
        return answer

    config = server_config(Settings(port=int(sys.argv[1])))
    asyncio.run(serve(restate.app([service]), config))


if __name__ == "__main__":
    main()

"""An agent whose turn waits in the middle, and says what it does in log lines."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from google.adk.agents import Agent
from google.adk.tools.agent_tool import AgentTool

from agent_service import approval, restate_object_context

MODEL = "gemini-2.5-flash"
logger = logging.getLogger(__name__)


async def look_up(what: str) -> dict[str, str]:
    """Looks something up, in a journaled step.

    Args:
        what: What to look up.
    """

    async def step() -> str:
        logger.info("in the step")
        return f"found {what}"

    logger.info("before the step")
    found = await restate_object_context().run_typed(f"look up {what}", step)
    logger.info("after the step")
    return {"found": found}


async def ask(what: str) -> dict[str, str]:
    """Asks a person.

    Args:
        what: What to ask.
    """
    logger.info("before asking %s", len(what))
    decision = await approval(title=what)
    logger.info("after asking %s", len(what))
    return {"decided": str(decision.approved)}


async def hang(what: str) -> dict[str, str]:
    """Does one step, and hangs in the next one until the file says otherwise."""

    async def first() -> str:
        return what

    def second() -> str:
        Path(os.environ["TEST_TRACE"]).write_text("hangs")
        while not Path(f"{os.environ['TEST_TRACE']}.go").exists():
            time.sleep(0.05)
        return what

    context = restate_object_context()
    await context.run_typed("first", first)
    logger.info("between the steps")
    await context.run_typed("second", second)
    return {"done": what}


def broken(what: str) -> dict[str, str]:
    """Breaks, once told to with a word that must not be seen."""
    marker = Path(f"{os.environ['TEST_TRACE']}.broken")
    if not marker.exists():
        marker.write_text("")
        raise ValueError(f"no such thing as {what}")
    return {"done": what}


helper = Agent(name="WatchedHelper", description="Looks up.", model=MODEL, tools=[look_up])
agent = Agent(
    name="WatchedAgent",
    model=MODEL,
    tools=[look_up, ask, hang, broken, AgentTool(helper)],
)

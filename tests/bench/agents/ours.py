"""The agent as it is served here: ``python -m agent_service tests.bench.agents.ours:agent``."""

from typing import Any

from agent_service import approval, durable_tool, restate_object_context
from tests.bench.agents import work

NAME = "Ours"
BOUNDED = "OursBounded"


async def step(number: int) -> dict[str, Any]:
    """Looks something up in a journaled step.

    Args:
        number: Which of the calls it is.
    """
    return await restate_object_context().run_typed("look up", work.look_up, number=number)


@durable_tool
def durable(number: int) -> dict[str, Any]:
    """Looks something up; the whole tool is a step.

    Args:
        number: Which of the calls it is.
    """
    return work.look_up(number)


async def ask(number: int) -> dict[str, Any]:
    """Asks a person.

    Args:
        number: Which of the calls it is.
    """
    decision = await approval(title="Claim C-17: 800.00 EUR", details="a bicycle")
    return {"approved": decision.approved}


agent = work.agent(NAME, step, durable, ask)
bounded = work.agent(BOUNDED, step, durable, ask)

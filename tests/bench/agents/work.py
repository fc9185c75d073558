"""The agent that is measured: the same for all but for how its tools are made durable."""

from collections.abc import Callable
from typing import Any

from google.adk.agents import Agent

from tests.bench.agents.scripted import Scripted

INSTRUCTION = (
    "You tell people the weather. Call a tool for each city that is asked about, and answer in one "
    "short sentence for each with the temperature, its unit and the conditions."
)


def look_up(number: int) -> dict[str, Any]:
    """What a tool's step does, and a plain tool altogether."""
    return {
        "number": number,
        "city": "Paris",
        "temperature": 21,
        "unit": "°C",
        "conditions": "fair",
        "basis": "typical for October",
    }


async def plain(number: int) -> dict[str, Any]:
    """Looks something up, and would do so again after a crash.

    Args:
        number: Which of the calls it is.
    """
    return look_up(number)


def agent(name: str, *tools: Callable[..., Any]) -> Agent:
    """The agent, with `plain` and these tools."""
    return Agent(name=name, model=Scripted(), instruction=INSTRUCTION, tools=[plain, *tools])

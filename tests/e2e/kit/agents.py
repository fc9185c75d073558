"""Agents whose tools can be held in the middle, to have their pod killed there."""

from datetime import timedelta

import restate
from google.adk.agents import Agent, ParallelAgent

from agent_service import approval, durable_tool, restate_object_context

from .telling import go_on, note

MODEL = "gemini-2.5-flash"


async def _held(name: str) -> str:
    await note(f"begin {name}")
    await go_on(name)
    await note(f"end {name}")
    return name


async def _noted(name: str) -> str:
    await note(name)
    return name


async def work(what: str) -> dict[str, str]:
    """Works on something in two steps; the second one is held.

    Args:
        what: Names it.
    """
    context = restate_object_context()
    await context.run_typed(f"prepare {what}", _noted, name=f"prepare {what}")
    return {"done": await context.run_typed(f"work {what}", _held, name=what)}


async def work_in_parts(what: str) -> dict[str, str]:
    """Works on three parts at the same time; the last one is held.

    Args:
        what: Names it.
    """
    context = restate_object_context()
    first = context.run_typed("first", _noted, name=f"first {what}")
    second = context.run_typed("second", _noted, name=f"second {what}")
    third = context.run_typed("third", _held, name=f"third-{what}")
    await restate.gather(first, second, third)
    return {"parts": ", ".join([await first, await second, await third])}


@durable_tool
async def book(what: str) -> dict[str, str]:
    """Books something.

    Args:
        what: What to book.
    """
    await note(f"book {what}")
    return {"booked": what}


async def careless(what: str) -> dict[str, str]:
    """Catches everything that goes wrong in a step that is held, and does another one.

    Args:
        what: Names the steps.
    """
    context = restate_object_context()
    try:
        await context.run_typed("first", _held, name=what)
    except Exception:  # noqa: BLE001
        await note(f"caught {what}")
    await context.run_typed("second", _noted, name=f"second {what}")
    return {"done": what}


async def decide(what: str, seconds: float, escalate: bool) -> dict[str, str]:
    """Has people decide something.

    Args:
        what: What is decided.
        seconds: How long they have; 0 for ever.
        escalate: Whether the boss is asked after that.
    """
    decision = await approval(
        title=what,
        who=["ann"],
        deadline=timedelta(seconds=seconds) if seconds else None,
        escalate_to=["boss"] if escalate else [],
    )
    by = decision.by or "nobody"
    return {"made": f"{what}: {'approved' if decision.approved else 'refused'} by {by}"}


clerk = Agent(name="Clerk", model=MODEL, tools=[work, work_in_parts, book, careless, decide])


def _worker(name: str) -> Agent:
    return Agent(name=name, model=MODEL, instruction=f"You are {name}.", tools=[work])


team = ParallelAgent(name="Team", sub_agents=[_worker("Tom"), _worker("Tim"), _worker("Tina")])

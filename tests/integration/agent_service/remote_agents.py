"""Agents that call each other, as two AgentDeployments would serve them."""

from __future__ import annotations

import restate
from google.adk.agents import Agent
from pydantic import BaseModel

from agent_service import approval, remote_agent, restate_object_context
from tests.integration.agent_service.agents import measure, note

MODEL = "gemini-2.5-flash"


class Form(BaseModel):
    """What FormAgent answers."""

    name: str
    age: int


plain = restate.Service("PlainService")
counter = restate.VirtualObject("CounterObject")


@plain.handler()
async def double(ctx: restate.Context, number: int) -> int:
    """Doubles a number."""
    return 2 * number


@counter.handler()
async def add(ctx: restate.ObjectContext, number: int) -> int:
    """Counts."""
    total = (await ctx.get("total", type_hint=int) or 0) + number
    ctx.set("total", total)
    return total


async def call_services(key: str) -> dict[str, int]:
    """Calls other services as Restate's SDK has it.

    Args:
        key: Which counter.
    """
    note(f"calling {key}")
    ctx = restate_object_context()
    doubled = ctx.service_call(double, arg=21)
    counted = ctx.object_call(add, key=key, arg=5)
    await restate.gather(doubled, counted)
    return {"doubled": await doubled, "counted": await counted}


async def ask_twice(what: str) -> dict[str, str]:
    """Asks another agent from a tool's own code.

    Args:
        what: What to ask.
    """
    first = await keeper_tool.ask(f"{what} one")
    second = await keeper_tool.ask(f"{what} two")
    return {"said": f"{first.answer}, {second.answer}", "turns": f"{first.turn}, {second.turn}"}


keeper_tool = remote_agent("KeeperAgent", "Remembers.", session="conversation")
caller = Agent(
    name="CallerAgent",
    model=MODEL,
    instruction="You are CallerAgent.",
    tools=[
        remote_agent("ExpertAgent", "Knows."),
        keeper_tool,
        remote_agent("FormAgent", "Fills in.", result=Form),
        remote_agent("LateAgent", "Comes later, or not at all."),
        measure,
        call_services,
        ask_twice,
    ],
)


talker = Agent(
    name="TalkerAgent",
    model=MODEL,
    instruction="You are TalkerAgent.",
    tools=[
        remote_agent(name, "Asks.", session="conversation") for name in ("ExpertAgent", "DeepAgent")
    ],
)


async def may_i(what: str) -> dict[str, str]:
    """Asks a person.

    Args:
        what: What for.
    """
    decision = await approval(title=what, who=["ann"])
    return {"said": f"{what}: {decision.approved} by {decision.by}"}


def _called(name: str, *tools: object) -> Agent:
    return Agent(name=name, model=MODEL, instruction=f"You are {name}.", tools=list(tools))


expert = _called("ExpertAgent", measure, may_i, remote_agent("DeepAgent", "Knows more."))
deep = _called("DeepAgent", may_i)
keeper = _called("KeeperAgent")
form = _called("FormAgent")
late = _called("LateAgent")

"""Agents that the tests serve, each to show one thing."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import restate
from google.adk.agents import Agent, LoopAgent, ParallelAgent, SequentialAgent
from google.adk.agents.callback_context import CallbackContext
from google.adk.apps.app import App
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.tools.agent_tool import AgentTool
from google.adk.tools.function_tool import FunctionTool
from google.adk.tools.tool_context import ToolContext
from google.adk.workflow import JoinNode, Workflow
from restate.ext.adk import RestatePlugin

from agent_service import approval, durable_tool, restate_object_context

MODEL = "gemini-2.5-flash"


def note(line: str) -> None:
    """Leaves a trace of a side effect for the test to count."""
    with Path(os.environ["TEST_TRACE"]).open("a") as trace:
        trace.write(f"{line}\n")


async def measure(what: str, seconds: float, tool_context: ToolContext) -> dict[str, object]:
    """Measures something, in a journaled step that takes its time.

    Args:
        what: What to measure.
        seconds: How long it takes.
    """

    async def step() -> str:
        note(f"begin {what}")
        await asyncio.sleep(seconds)
        note(f"end {what}")
        return f"{what} measured"

    ctx = restate_object_context()
    result = await ctx.run_typed(f"measure {what}", step)
    order = [*tool_context.state.get("order", []), what]
    tool_context.state["order"] = order
    return {"result": result, "id": str(ctx.uuid()), "order": ",".join(order)}


async def measure_together(what: str, seconds: list[float]) -> dict[str, str]:
    """Measures several parts of something at the same time.

    Args:
        what: What to measure.
        seconds: How long each of its parts takes.
    """

    async def step(part: str, duration: float) -> str:
        note(f"begin {part}")
        await asyncio.sleep(duration)
        note(f"end {part}")
        return part

    run = restate_object_context().run_typed
    steps = [
        run(f"part {n}", step, part=f"{what} {n}", duration=duration)
        for n, duration in enumerate(seconds)
    ]
    await restate.gather(*steps)
    return {"result": ", ".join([await one for one in steps])}


helper = Agent(name="Helper", description="Measures for others.", model=MODEL, tools=[measure])
tools = Agent(name="ToolsAgent", model=MODEL, tools=[measure, measure_together, AgentTool(helper)])


def before_model(callback_context: CallbackContext, llm_request: LlmRequest) -> None:
    callback_context.state["asked"] = callback_context.state.get("asked", 0) + 1
    llm_request.append_instructions(["(seen by before_model)"])


def after_model(callback_context: CallbackContext, llm_response: LlmResponse) -> LlmResponse | None:
    parts = llm_response.content.parts if llm_response.content else None
    if parts and parts[0].text:
        parts[0].text += f" [checked {callback_context.state['asked']}]"
    return None


callbacks = Agent(
    name="CallbackAgent",
    model=MODEL,
    before_model_callback=before_model,
    after_model_callback=after_model,
)


def _speaker(name: str) -> Agent:
    """Says what the script has for its name."""
    return Agent(name=name, model=MODEL, instruction=f"You are {name}.", output_key=name)


def stop_when_told(tool_context: ToolContext) -> dict[str, str]:
    """Ends the loop."""
    tool_context.actions.escalate = True
    return {"status": "stopped"}


line = SequentialAgent(name="Line", sub_agents=[_speaker("L1"), _speaker("L2")])
team = ParallelAgent(name="Team", sub_agents=[_speaker("T1"), _speaker("T2"), _speaker("T3")])
rounds = LoopAgent(
    name="Rounds",
    max_iterations=5,
    sub_agents=[Agent(name="R1", model=MODEL, instruction="You are R1.", tools=[stop_when_told])],
)


async def _step_of(name: str, seconds: float) -> str:
    async def step() -> str:
        note(f"begin {name}")
        await asyncio.sleep(seconds)
        note(f"end {name}")
        return name

    return await restate_object_context().run_typed(f"step {name}", step)


async def quick() -> str:
    return await _step_of("quick", 0.1) + await _step_of("quicker", 0.1)


async def slow() -> str:
    return await _step_of("slow", 1.0)


def together(node_input: dict[str, str]) -> str:
    return " and ".join(f"{key}={value}" for key, value in sorted(node_input.items()))


flow = Workflow(name="Flow", edges=[("START", (quick, slow), JoinNode(name="joined"), together)])


async def decide(what: str, seconds: float, escalate: bool) -> dict[str, object]:
    """Lets people choose.

    Args:
        what: What is decided.
        seconds: How long they have; 0 for ever.
        escalate: Whether the boss is asked after that.
    """
    decision = await approval(
        title=what,
        choices=["keep", "sell"],
        who=["ann", "bob"],
        deadline=timedelta(seconds=seconds) if seconds else None,
        escalate_to=["boss"] if escalate else [],
        default="keep",
    )
    note(f"decided {what}")
    return {"made": f"{what}: {decision.choice} by {decision.by or 'nobody'}"}


choosing = Agent(name="ChoosingAgent", model=MODEL, tools=[decide])


@durable_tool(first_pause=timedelta(milliseconds=50))
def book(what: str, failures: int, tool_context: ToolContext) -> dict[str, str]:
    """Books something.

    Args:
        what: What to book.
        failures: How often it fails first.
    """
    tries = tool_context.state.get("tries", 0)
    note(f"book {what}")
    done = Path(os.environ["TEST_TRACE"]).read_text().splitlines().count(f"book {what}")
    if done <= failures:
        raise OSError("the line is busy")
    tool_context.state["tries"] = tries + 1
    tool_context.state["booked"] = what
    return {"booked": f"{what} at try {done}"}


@durable_tool(max_attempts=2, first_pause=timedelta(milliseconds=10))
async def never() -> str:
    """Never works."""
    note("never")
    raise OSError("broken for good")


@durable_tool
async def asks_inside() -> str:
    """Asks where it can't."""
    return str(await approval(title="may I?"))


booking = Agent(
    name="BookingAgent",
    model=MODEL,
    instruction="Booked so far: {booked?}",
    tools=[book, never, asks_inside],
)


def wipe(disk: str) -> dict[str, str]:
    """Wipes a disk."""
    note(f"wipe {disk}")
    return {"said": f"{disk} is wiped"}


def take_leave(days: int, tool_context: ToolContext) -> dict[str, str]:
    """Takes days off, as many as somebody allows."""
    given = tool_context.tool_confirmation
    if given is None:
        tool_context.request_confirmation(hint="How many?", payload={"days": 0})
        return {"said": "asked"}
    if not given.confirmed:
        return {"said": "no leave"}
    allowed = given.payload["days"] if given.payload else 0
    return {"said": f"{allowed} of {days} days"}


confirming = Agent(
    name="ConfirmingAgent",
    model=MODEL,
    tools=[FunctionTool(wipe, require_confirmation=True), take_leave],
)


# As it is written for the SDK's own plugin.
foreign = App(
    name="ForeignAgent",
    root_agent=Agent(name="Foreign", model=MODEL, tools=[measure]),
    plugins=[RestatePlugin()],
)


async def remember(key: str, value: str, seconds: float, tool_context: ToolContext) -> str:
    """Keeps something in the state, after a while.

    Args:
        key: Where, with the scope.
        value: What.
        seconds: How long it takes.
    """
    before = tool_context.state.get(key, "nothing")

    async def step() -> None:
        note(f"remember {value}")
        await asyncio.sleep(seconds)

    await restate_object_context().run_typed("remember", step)
    tool_context.state[key] = value
    tool_context.state["temp:scratch"] = value
    return f"{key} was {before}"


async def look_around(app: str, tool_context: ToolContext) -> dict[str, object]:
    """Uses ADK's session service as a tool of an author would.

    Args:
        app: Of which app.
    """
    mine = tool_context.session
    service = tool_context._invocation_context.session_service
    everybody = await service.list_sessions(app_name=app)
    own = await service.list_sessions(app_name=app, user_id=mine.user_id)
    found = {}
    for one in own.sessions:
        session = await service.get_session(
            app_name=app,
            user_id=one.user_id,
            session_id=one.id,
            config=GetSessionConfig(num_recent_events=1),
        )
        found[one.id] = len(session.events) if session else -1
    return {"users": sorted({s.user_id for s in everybody.sessions}), "events": found}


sharing = Agent(
    name="SharingAgent",
    model=MODEL,
    instruction="user {user:name?}, app {app:limit?}",
    tools=[remember, look_around],
)


async def careless(what: str) -> str:
    """Catches what it shouldn't, and goes on.

    Args:
        what: Names the steps.
    """
    try:
        await _long_step(f"{what} first")
    except Exception:  # noqa: BLE001
        note(f"{what} caught")
    await _long_step(f"{what} second")
    note(f"{what} went on")
    return "went on"


async def reckless(what: str) -> str:
    """Catches everything, once.

    Args:
        what: Names the steps.
    """
    try:
        await _long_step(f"{what} first")
    except:  # noqa: E722
        note(f"{what} caught")
    return "went on"


async def tidy(what: str) -> str:
    """Undoes what it began when it is cancelled.

    Args:
        what: Names the steps.
    """
    try:
        await _long_step(f"{what} first")
    finally:
        await _step_of(f"undo {what}", 0.0)
    return "done"


async def tidy_slowly(what: str) -> str:
    """Undoes what it began when it is cancelled, slowly at the first try.

    Args:
        what: Names the steps.
    """

    async def undo() -> None:
        note(f"begin undo {what}")
        await asyncio.sleep(3)
        note(f"end undo {what}")

    try:
        await _long_step(f"{what} first")
    finally:
        await restate_object_context().run_typed("undo", undo)
    return "done"


async def persistent(what: str) -> str:
    """Tries again and again, whatever happens.

    Args:
        what: Names the steps.
    """
    while True:
        try:
            await _long_step(f"{what} first")
        except Exception:  # noqa: BLE001
            note(f"{what} caught")


async def hopeless(what: str) -> str:
    """Tries again and again, and catches just everything.

    Args:
        what: Names the steps.
    """
    while True:
        try:
            await _long_step(f"{what} first")
        except:  # noqa: E722
            note(f"{what} caught")


async def _long_step(name: str) -> None:
    async def step() -> None:
        note(f"begin {name}")
        await asyncio.sleep(60)

    await restate_object_context().run_typed(name, step)


stubborn = Agent(
    name="StubbornAgent",
    model=MODEL,
    tools=[careless, reckless, tidy, tidy_slowly, persistent, hopeless, measure],
)

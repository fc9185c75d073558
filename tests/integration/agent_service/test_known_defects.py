"""Defects of the SDK's own ADK plugin and session service that ours don't have.

docs/agents/known-defects.md lists all of them, and where the others are tested. The agents here are
written as for the SDK's plugin, and replayed after each step.
"""

from __future__ import annotations

from typing import Any, override

import httpx
import pytest
from google.adk.agents import Agent
from google.adk.agents.callback_context import CallbackContext
from google.adk.apps.app import App
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.plugins.base_plugin import BasePlugin
from google.adk.runners import Runner
from google.adk.tools.base_tool import BaseTool
from google.adk.tools.tool_context import ToolContext
from google.genai import types
from restate import TerminalError
from restate.ext.adk import RestatePlugin, RestateSessionService, restate_object_context

from agent_service.testing import (
    Call,
    Reply,
    Rule,
    ScriptedModel,
    ServeAgent,
    TurnFailed,
    When,
)
from hack.restate import RestateServer

pytestmark = pytest.mark.integration

MODEL = "gemini-2.5-flash"


async def step(what: str) -> dict[str, str]:
    """Makes a step.

    Args:
        what: Its name.
    """

    async def body() -> str:
        return f"{what} done"

    return {"made": await restate_object_context().run_typed(what, body)}


def steps(*names: str) -> list[Rule]:
    calls = [Call(name="step", args={"what": name}) for name in names]
    return [
        Rule(name="call", when=When(after_response=False), reply=Reply(calls=calls)),
        Rule(name="end", when=When(response_of="step"), reply=Reply(text="{made}{answered}")),
    ]


def test_an_agent_as_it_is_written_for_the_sdk(
    serve_agent: ServeAgent, scripted_model: ScriptedModel
) -> None:
    """Its module also makes the runner that its handler used."""
    root = Agent(name="Plain", model=MODEL, tools=[step])
    app = App(name="PlainApp", root_agent=root, plugins=[RestatePlugin()])
    Runner(app=app, session_service=RestateSessionService())
    scripted_model.put_first(*steps("one", "two"))
    session = serve_agent(app).session()
    assert session.turn("go").answer == "one done two done"
    assert session.turn("again").turn == 2
    # Each call once, for all the attempts.
    assert len(scripted_model.calls()) == 4


class Answering(BasePlugin):
    """Answers in the tools' place, after they ran."""

    @override
    async def after_tool_callback(
        self,
        *,
        tool: BaseTool,
        tool_args: dict[str, Any],
        tool_context: ToolContext,
        result: dict[str, Any],
    ) -> dict[str, Any] | None:
        return {"answered": f"answered for {tool_args['what']}"}


def test_a_plugin_in_front_that_answers_for_tools_blocks_nobody(
    serve_agent: ServeAgent, scripted_model: ScriptedModel
) -> None:
    """A deadlock with two or more calls [V]."""
    root = Agent(name="Answered", model=MODEL, tools=[step])
    plugins = [Answering(name="answering"), RestatePlugin()]
    scripted_model.put_first(*steps("one", "two", "three"))
    served = serve_agent(App(name="AnsweredApp", root_agent=root, plugins=plugins))
    assert served.turn("go").answer == " ".join(
        f"answered for {n}" for n in ("one", "two", "three")
    )


class Watching(BasePlugin):
    """Has callbacks around the model."""

    @override
    async def before_model_callback(
        self, *, callback_context: CallbackContext, llm_request: LlmRequest
    ) -> LlmResponse | None:
        llm_request.append_instructions(["(seen by a plugin)"])
        return None

    @override
    async def after_model_callback(
        self, *, callback_context: CallbackContext, llm_response: LlmResponse
    ) -> LlmResponse | None:
        return LlmResponse(content=types.ModelContent("(changed by a plugin)"))


def test_other_plugins_model_callbacks_run(
    serve_agent: ServeAgent, scripted_model: ScriptedModel
) -> None:
    """They were skipped [V] (sdk-python #191)."""
    root = Agent(name="Watched", model=MODEL)
    app = App(name="WatchedApp", root_agent=root, plugins=[RestatePlugin(), Watching(name="w")])
    scripted_model.put_first(Rule(name="say", reply=Reply(text="hello")))
    assert serve_agent(app).turn("go").answer == "(changed by a plugin)"
    assert "(seen by a plugin)" in scripted_model.calls()[-1].system


def refuse(callback_context: CallbackContext, llm_request: LlmRequest) -> None:
    raise TerminalError("not with us", 451)


def test_a_terminal_error_of_a_callback_ends_the_turn(serve_agent: ServeAgent) -> None:
    """It arrived as a RuntimeError, which was tried again [V]. The session can be read after."""
    agent = Agent(name="Refusing", model=MODEL, before_model_callback=refuse)
    session = serve_agent(agent).session()
    with pytest.raises(TurnFailed, match="not with us") as failed:
        session.turn("go")
    assert failed.value.status == 451
    assert [(m.role, m.text) for m in session.messages()] == [
        ("user", "go"),
        ("error", "not with us"),
    ]


def test_single_turn_agents_and_those_that_inherit_their_model(
    serve_agent: ServeAgent, scripted_model: ScriptedModel
) -> None:
    """An error, tried again for ever [V]."""
    helper = Agent(
        name="Helper",
        mode="single_turn",
        description="Helps.",
        instruction="You are Helper.",
        tools=[step],
    )
    root = Agent(name="Boss", model=MODEL, instruction="You are Boss.", sub_agents=[helper])
    boss, sub = When(system="You are Boss\\."), When(system="You are Helper\\.")
    calls = [Call(name="Helper", args={"request": f"do {n}"}) for n in ("one", "two")]
    scripted_model.put_first(
        Rule(
            name="boss",
            when=boss.model_copy(update={"after_response": False}),
            reply=Reply(calls=calls),
        ),
        Rule(
            name="told",
            when=boss.model_copy(update={"response_of": "Helper"}),
            reply=Reply(text="{result}"),
        ),
        Rule(
            name="helper",
            when=sub.model_copy(update={"after_response": False}),
            reply=Reply(calls=[Call(name="step", args={"what": "help"})]),
        ),
        Rule(
            name="helped",
            when=sub.model_copy(update={"response_of": "step"}),
            reply=Reply(text="{made}"),
        ),
    )
    assert serve_agent(root).turn("go").answer == "help done help done"


def test_an_idempotency_key_is_taken_with_the_first_body(
    serve_agent: ServeAgent, agent_restate: RestateServer, scripted_model: ScriptedModel
) -> None:
    """Restate's own way [V], which a service can't change: keys must not be used twice."""
    scripted_model.put_first(
        Rule(name="echo", when=When(text="(?P<said>.+)"), reply=Reply(text="{said}"))
    )
    serve_agent(Agent(name="Echo", model=MODEL))
    url = f"{agent_restate.ingress_url}/Echo/s/turn"

    def ask(message: str) -> str:
        headers = {"idempotency-key": "k-1"}
        answer = httpx.post(
            url, json={"message": message}, headers=headers, timeout=60, trust_env=False
        )
        return str(answer.raise_for_status().json()["answer"])

    assert (ask("one"), ask("two")) == ("one", "one")

"""Makes a user's ADK agent durable, on a copy: the user's objects stay as they are."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from google.adk.agents.base_agent import BaseAgent
from google.adk.agents.llm_agent import LlmAgent
from google.adk.apps.app import App
from google.adk.models.base_llm import BaseLlm
from google.adk.tools.agent_tool import AgentTool

from agent_service.durable.models import journaled
from agent_service.durable.ordering import OrderedTools
from agent_service.errors import ConfigurationError


def _descendants(agent: BaseAgent) -> Iterator[BaseAgent]:
    yield agent
    for child in agent.sub_agents:
        yield from _descendants(child)


def _durable_tool(tool: Any) -> Any:
    if not isinstance(tool, AgentTool):
        return tool
    twin = copy.copy(tool)
    twin.agent = durable_agent(tool.agent)
    return twin


def durable_agent(agent: BaseAgent) -> BaseAgent:
    """Returns a copy of the agent and all agents below it, with journaled model calls.

    Raises:
        ConfigurationError: it holds a kind of agent whose steps can't be replayed in order yet.
    """
    twin = agent.clone()
    for member in _descendants(twin):
        if not isinstance(member, LlmAgent):
            raise ConfigurationError(
                f"agent {member.name!r} is a {type(member).__name__}; only LlmAgent (also as "
                "sub-agent and in AgentTool) can be served durably so far"
            )
        # canonical_model of a child without a model is that of its parent, already journaled.
        member.model = journaled(member.canonical_model)
        member.tools = [_durable_tool(tool) for tool in member.tools]
    return twin


def durable_app(served: BaseAgent | App) -> App:
    """Returns an ADK app that runs ``served`` durably; plugins of an ``App`` are kept."""
    if isinstance(served, App):
        root = served.root_agent
        if not isinstance(root, BaseAgent):
            raise ConfigurationError(f"app {served.name!r} has no agent as its root")
        plugins = [OrderedTools(), *served.plugins]
        return served.model_copy(update={"root_agent": durable_agent(root), "plugins": plugins})
    # No validation: an app's name must be a Python identifier, an agent's already is one.
    return App.model_construct(
        name=served.name, root_agent=durable_agent(served), plugins=[OrderedTools()]
    )


def models_of(served: BaseAgent | App) -> Iterator[BaseLlm]:
    """Yields the models that an agent and those below it talk to."""
    root = served.root_agent if isinstance(served, App) else served
    if not isinstance(root, BaseAgent):
        return
    for member in _descendants(root):
        if isinstance(member, LlmAgent):
            yield member.canonical_model
            for tool in member.tools:
                if isinstance(tool, AgentTool):
                    yield from models_of(tool.agent)

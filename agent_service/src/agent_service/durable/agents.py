"""ADK's agents as they are served: what is added to them, and what models they talk to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from copy import copy
from importlib.util import find_spec
from typing import Final

from google.adk.agents.base_agent import BaseAgent
from google.adk.agents.llm_agent import LlmAgent
from google.adk.apps.app import App, EventsCompactionConfig
from google.adk.apps.llm_event_summarizer import LlmEventSummarizer
from google.adk.models.base_llm import BaseLlm
from google.adk.tools.agent_tool import AgentTool
from google.adk.workflow import BaseNode, Workflow
from restate.ext.adk import RestatePlugin

from agent_service.durable.confirmation import ask_for_confirmations
from agent_service.durable.mcp import journal_mcp
from agent_service.durable.models import journal_models, journaled
from agent_service.durable.ordering import OrderedBranches
from agent_service.errors import ConfigurationError
from agent_service.telemetry.descriptions import describe_what_is_seen
from agent_service.telemetry.tools import CountedTools

_NEEDS_A2A: Final = "google.adk.agents.remote_a2a_agent"

type Served = BaseAgent | Workflow | App
"""What can be served: an agent of any kind, a workflow, or an app that has one as its root."""


def root_of(served: Served) -> BaseNode:
    """Returns the agent or workflow that takes the turns.

    Raises:
        ConfigurationError: an app has none.
    """
    root = served.root_agent if isinstance(served, App) else served
    if not isinstance(root, BaseNode):
        raise ConfigurationError(f"app {served.name!r} has no agent or workflow as its root")
    return root


def durable_app(served: Served) -> App:
    """Returns an ADK app that runs ``served`` durably; plugins of an ``App`` are kept."""
    journal_models()
    journal_mcp()
    ask_for_confirmations()
    describe_what_is_seen()
    _look_for_a2a_once()
    root = root_of(served)
    if isinstance(served, App):
        # The SDK's own plugin would journal each model call a second time, around ours.
        plugins = [plugin for plugin in served.plugins if not isinstance(plugin, RestatePlugin)]
        return served.model_copy(
            update={
                "plugins": [OrderedBranches(), CountedTools(), *plugins],
                "events_compaction_config": _journaled(served.events_compaction_config),
            }
        )
    # No validation: an app's name must be a Python identifier, an agent's already is one.
    return App.model_construct(
        name=served.name, root_agent=root, plugins=[OrderedBranches(), CountedTools()]
    )


def _journaled(config: EventsCompactionConfig | None) -> EventsCompactionConfig | None:
    """The config of an app that sums its sessions up, with a summarizer whose call is a step.

    One that ADK makes has the agent's model, which is journaled already.
    """
    summarizer = config.summarizer if config is not None else None
    if config is None or not isinstance(summarizer, LlmEventSummarizer):
        return config
    twin = copy(summarizer)
    twin._llm = journaled(summarizer._llm)
    return config.model_copy(update={"summarizer": twin})


def _look_for_a2a_once() -> None:
    """Keeps ADK (2.13) from looking for the package a2a in each turn, where it isn't installed.

    It loads two modules for that from disk, up to where the second one can't import it.
    """
    if find_spec("a2a") is None:
        sys.modules.setdefault(_NEEDS_A2A, None)  # type: ignore[arg-type]


def models_of(served: Served) -> Iterator[BaseLlm]:
    """Yields the models that are known before the first turn; agents made while it runs aren't."""
    for node in _nodes(root_of(served), set()):
        if isinstance(node, LlmAgent):
            yield node.canonical_model


def _nodes(node: BaseNode, seen: set[int]) -> Iterator[BaseNode]:
    if id(node) in seen:
        return
    seen.add(id(node))
    yield node
    children: list[BaseNode] = []
    if isinstance(node, BaseAgent):
        children += node.sub_agents
    if isinstance(node, LlmAgent):
        children += [tool.agent for tool in node.tools if isinstance(tool, AgentTool)]
    if isinstance(node, Workflow) and node.graph is not None:
        children += node.graph.nodes
    for child in children:
        yield from _nodes(child, seen)

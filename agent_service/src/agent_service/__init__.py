"""Serves Google ADK agents as durable Restate services.

An agent's author needs ``serve`` (or ``python -m agent_service module:agent``), ``approval`` to
ask a person, ``durable_tool`` for tools that are one journaled step, ``remote_agent`` to ask other
agents, and ``restate_object_context`` for journaled steps inside tools. The names load on first
use, because google-adk takes seconds to import and not every program needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restate.ext.adk import restate_object_context

    from agent_service.durable.approvals import Decision, approval
    from agent_service.durable.mcp import mcp_retries
    from agent_service.durable.remote import remote_agent
    from agent_service.durable.tools import durable_tool
    from agent_service.serving import serve
    from agent_service.settings import Settings

__all__ = [
    "Decision",
    "Settings",
    "approval",
    "durable_tool",
    "mcp_retries",
    "remote_agent",
    "restate_object_context",
    "serve",
]

_HOMES = {
    "Decision": "agent_service.durable.approvals",
    "Settings": "agent_service.settings",
    "approval": "agent_service.durable.approvals",
    "durable_tool": "agent_service.durable.tools",
    "mcp_retries": "agent_service.durable.mcp",
    "remote_agent": "agent_service.durable.remote",
    "restate_object_context": "restate.ext.adk",
    "serve": "agent_service.serving",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)

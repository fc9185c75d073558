"""For tests of agents: a scripted model, and agents on a real Restate.

The scripted model is a server that speaks Gemini's HTTP API and answers by rules. Agents reach it
through the real google-genai client: set GOOGLE_GEMINI_BASE_URL to its address.
``python -m agent_service.testing --port 8080`` runs it; ``ScriptedModel`` runs it in a test. The
fixtures are in `agent_service.pytest_plugin`; what they return loads on first use, because it needs
google-adk and the server doesn't.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agent_service.testing.rules import Call, Reply, Rule, When
from agent_service.testing.server import ScriptedModel

if TYPE_CHECKING:
    from agent_service.testing.stage import ServeAgent
    from agent_service.testing.turns import NotDeterministic, ServedAgent, TurnFailed

__all__ = [
    "Call",
    "NotDeterministic",
    "Reply",
    "Rule",
    "ScriptedModel",
    "ServeAgent",
    "ServedAgent",
    "TurnFailed",
    "When",
]

_HOMES = {
    "NotDeterministic": "agent_service.testing.turns",
    "ServeAgent": "agent_service.testing.stage",
    "ServedAgent": "agent_service.testing.turns",
    "TurnFailed": "agent_service.testing.turns",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)

"""A scripted model: a server that speaks Gemini's HTTP API and answers by rules.

Agents reach it through the real google-genai client: set GOOGLE_GEMINI_BASE_URL to its address.
``python -m agent_service.testing --port 8080`` runs it; ``ScriptedModel`` runs it in a test.
"""

from __future__ import annotations

from agent_service.testing.rules import Call, Reply, Rule, When
from agent_service.testing.server import ScriptedModel

__all__ = ["Call", "Reply", "Rule", "ScriptedModel", "When"]

"""Agents that are shipped: small, complete, and tested; copy one to begin your own."""

from __future__ import annotations

import os

DEFAULT_MODEL = "gemini-2.5-flash"


def model_name() -> str:
    """Returns the model that shipped agents use: AGENT_MODEL, or a default."""
    return os.environ.get("AGENT_MODEL", "").strip() or DEFAULT_MODEL

"""Virtual objects that serve an agent's turns: ``{Agent}.users``, ``{Agent}.streams`` and so on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import restate

HIDDEN: Final[Mapping[str, Any]] = {"ingress_private": True, "state_preload": False}
"""Of handlers that turns alone call, and that read what they need of the state by themselves."""


def companion(
    agent: str, name: str, description: str, options: Mapping[str, Any]
) -> restate.VirtualObject:
    """Makes a companion of an agent's virtual object.

    Args:
        agent: the virtual object's name.
        name: the companion's, after the agent's and a dot.
        description: what it is there for.
        options: what all services are served with.
    """
    # Nobody asks for the steps of these calls, and there are some for each turn.
    quiet = {**options, "journal_retention": timedelta(0)}
    return restate.VirtualObject(f"{agent}.{name}", description=description, **quiet)

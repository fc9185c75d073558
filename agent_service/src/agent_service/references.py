"""Things that settings and command lines name as ``module:attribute``."""

from __future__ import annotations

import importlib
from typing import Any

from agent_service.errors import ConfigurationError


def load(reference: str, what: str = "object") -> Any:
    """Imports what ``module:attribute`` names.

    Args:
        reference: the name.
        what: a word for the thing, for the error.

    Raises:
        ConfigurationError: there is no such thing; the message says which part is wrong.
    """
    module_name, colon, attribute = reference.partition(":")
    if not (module_name and colon and attribute):
        raise ConfigurationError(
            f"{reference!r} names no {what}: write module:attribute, for example "
            "agent_service.agents.weather:agent"
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigurationError(
                f"{module_name} imports {error.name}, which is not installed"
            ) from error
        raise ConfigurationError(f"{reference!r}: there is no module {error.name!r}") from None
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise ConfigurationError(f"{reference!r}: {module_name} has no {attribute!r}") from None

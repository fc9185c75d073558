"""Serves agents: ``python -m agent_service module:attribute [module:attribute ...]``.

``python -m agent_service new my-agent`` makes a project for one.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from agent_service import garbage
from agent_service.errors import ConfigurationError
from agent_service.logs import redact, set_up_logging, show_lines_of
from agent_service.references import load
from agent_service.settings import Settings

# The kubelet makes it in each container; elsewhere there is none.
TERMINATION_LOG: Final = Path("/dev/termination-log")


def load_agent(reference: str) -> Any:
    """Imports the agent or app that ``module:attribute`` names.

    Raises:
        ConfigurationError: there is no such thing; the message says which part is wrong.
    """
    return _checked(reference, load(reference, "agent"))


def _checked(reference: str, found: Any) -> Any:
    from google.adk.agents.base_agent import BaseAgent
    from google.adk.apps.app import App
    from google.adk.workflow import Workflow

    if not isinstance(found, BaseAgent | Workflow | App):
        raise ConfigurationError(
            f"{reference!r} is a {type(found).__name__}, not an ADK agent, workflow or app"
        )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: serves the named agents on $PORT until SIGTERM, or makes a new project."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["new"]:
        from agent_service.scaffold.command import main as new

        return new(given[1:])
    parser = argparse.ArgumentParser(prog="python -m agent_service", description=__doc__)
    parser.add_argument("agents", nargs="+", metavar="module:attribute")
    references = parser.parse_args(given).agents
    garbage.put_off()
    set_up_logging()
    started = time.monotonic()
    try:
        settings = Settings.from_env()
        for reference in references:
            show_lines_of(reference.partition(":")[0].partition(".")[0])
        agents = [load_agent(reference) for reference in references]
        logging.getLogger("agent_service").info(
            "loaded", extra={"fields": {"importSeconds": round(time.monotonic() - started, 3)}}
        )
        from agent_service.serving import serve

        serve(*agents, settings=settings)
    except ConfigurationError as error:
        print(f"agent_service: {error}", file=sys.stderr)
        _tell_kubernetes(str(error))
        return 2
    finally:
        # For a process that goes on after this.
        garbage.begin()
    return 0


def _tell_kubernetes(why: str) -> None:
    """Leaves word of why it ends in the container's status, where the operator finds it."""
    with suppress(OSError), TERMINATION_LOG.open("r+") as log:
        log.write(f"agent_service: {redact(why)}")


if __name__ == "__main__":
    sys.exit(main())

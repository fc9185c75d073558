"""The command ``new``."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from agent_service.errors import ConfigurationError
from agent_service.scaffold.project import create, project_of


def main(arguments: Sequence[str]) -> int:
    """Makes a project: a folder with an agent, its test, its image and its AgentDeployment."""
    parser = argparse.ArgumentParser(prog="python -m agent_service new", description=main.__doc__)
    parser.add_argument("name", help="such as my-agent")
    parser.add_argument(
        "--in", type=Path, default=Path(), dest="parent", metavar="FOLDER",
        help="where to make its folder; here unless given",
    )  # fmt: skip
    parser.add_argument(
        "--image", default="", help="what its image is called, such as registry.example/my-agent:1"
    )
    parser.add_argument("--base", default="", help="the agent service's image, which it extends")
    given = parser.parse_args(arguments)
    try:
        folder = create(project_of(given.name, given.image, given.base), given.parent)
    except ConfigurationError as error:
        print(f"agent_service new: {error}", file=sys.stderr)
        return 2
    print(f"{folder} is made. Next, as its README.md says:\n\n{next_steps(folder)}")
    return 0


def next_steps(folder: Path) -> str:
    """Returns the commands that test the new project."""
    return (
        f"  cd {folder}\n"
        # This Python is new enough; what `python3` is may not be.
        f"  {sys.executable} -m venv .venv && . .venv/bin/activate\n"
        f"  pip install {_origin()} -e '.[dev]'\n"
        "  pytest"
    )


def _origin() -> str:
    """What to give pip for this package: the folder it was installed from, if it was one."""
    text = importlib.metadata.distribution("agent-service").read_text("direct_url.json")
    url = urlsplit(json.loads(text)["url"]) if text else None
    if url is None or url.scheme != "file":
        return "agent-service"
    return unquote(url.path)

"""A new agent's project, made from the templates beside this file."""

from __future__ import annotations

import importlib.metadata
import keyword
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from agent_service.errors import ConfigurationError

BASE_REPOSITORY = "durable-agents/agent-service"
# As long as an AgentDeployment's name may be.
LONGEST_NAME = 52
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_SUFFIX = ".tmpl"
# Packages that the image or the tests have already, or that ADK keeps for itself.
_TAKEN = {"agent", "agent_service", "google", "pytest", "restate", "tests", "user"}


@dataclass(frozen=True)
class Project:
    """What a project is made of.

    Attributes:
        name: of the project, its folder and its AgentDeployment, such as ``my-agent``.
        image: the name of its image, with a tag.
        base: the image that its own is built on.
    """

    name: str
    image: str
    base: str

    @property
    def package(self) -> str:
        """The Python package, such as ``my_agent``."""
        return self.name.replace("-", "_")

    @property
    def agent(self) -> str:
        """The agent's name in ADK and Restate, such as ``MyAgent``."""
        return "".join(part.capitalize() for part in self.name.split("-"))


def project_of(name: str, image: str = "", base: str = "") -> Project:
    """Checks what a project is to be called.

    Args:
        name: of the project.
        image: of its image; of this machine alone unless given.
        base: what that is built on; the shipped image of this version unless given.

    Raises:
        ConfigurationError: the name can't be one.
    """
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise ConfigurationError(
            f"{name!r} can't be an agent's name: take lower-case letters and digits, with single "
            f"'-' between words, and a letter first; at most {LONGEST_NAME} characters. "
            "For example: my-agent"
        )
    version = importlib.metadata.version("agent-service")
    project = Project(
        name,
        image or f"localhost/{name}:0.1.0",
        base or f"{BASE_REPOSITORY}:{version}",
    )
    package = project.package
    if keyword.iskeyword(package) or package in _TAKEN or package in sys.stdlib_module_names:
        raise ConfigurationError(
            f"{name!r} can't be an agent's name: there is a Python module {package!r} already, "
            f"which it would hide. For example: {name}-agent"
        )
    return project


def create(project: Project, parent: Path) -> Path:
    """Writes a project's files into a folder of its name.

    Returns:
        The folder.

    Raises:
        ConfigurationError: it is there already, or can't be made.
    """
    folder = parent / project.name
    try:
        folder.mkdir()
    except FileExistsError:
        raise ConfigurationError(
            f"{folder} is there already: take another name, or another folder with --in"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"can't make {folder}: {error.strerror}") from error
    for path, text in contents(project):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder


def contents(project: Project) -> Iterator[tuple[str, str]]:
    """Yields the path and text of each file."""
    values = {
        "name": project.name,
        "package": project.package,
        "agent": project.agent,
        "image": project.image,
        "base": project.base,
    }
    for path, template in _templates(files(__package__) / "templates", ""):
        yield Template(path).substitute(values), Template(template.read_text()).substitute(values)


def _templates(folder: Traversable, above: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        # Names that begin with a dot would be left out of archives and copies here and there.
        name = entry.name.removesuffix(_SUFFIX).replace("dot_", ".").replace("package", "$package")
        if entry.is_dir():
            yield from _templates(entry, f"{above}{name}/")
        elif entry.name.endswith(_SUFFIX):
            yield f"{above}{name}", entry

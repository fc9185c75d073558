"""A new project passes its own tests and checks, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hack import restate
from hack.restate import ROOT

pytestmark = pytest.mark.integration


def run(folder: Path, *words: str | Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def uv(folder: Path, *words: str | Path) -> None:
    run(folder, Path(sys.executable).with_name("uv"), *words)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is installed with what the lock names."""
    parent = tmp_path_factory.mktemp("new")
    # A long name, since lines are longest with it.
    name = "an-agent-that-orders-furniture-for-every-office"
    run(parent, sys.executable, "-m", "agent_service", "new", name)
    folder = parent / name
    uv(folder, "venv", "--quiet", "--python", sys.executable, ".venv")
    python = folder / ".venv" / "bin" / "python"
    uv(
        folder, "pip", "install", "--quiet", "--python", python,
        "--constraint", ROOT / "requirements.lock", ROOT / "agent_service", "--editable", ".[dev]",
    )  # fmt: skip
    return folder


def test_it_passes_its_tests(project: Path) -> None:
    env = {"RESTATE_SERVER": str(restate.binary())}
    out = run(project, project / ".venv/bin/pytest", "-p", "no:cacheprovider", env=env)
    assert "4 passed" in out


def test_its_tests_find_a_step_that_is_not_deterministic(project: Path) -> None:
    agent = next(project.glob("an_agent*/agent.py"))
    text = agent.read_text()
    broken = text.replace('f"order {article}"', 'f"order {os.urandom(4).hex()}"')
    assert broken != text
    agent.write_text(broken)
    done = subprocess.run(
        [project / ".venv/bin/pytest", "-p", "no:cacheprovider"],
        cwd=project,
        env={**os.environ, "RESTATE_SERVER": str(restate.binary())},
        capture_output=True,
        text=True,
        check=False,
    )
    agent.write_text(text)
    assert done.returncode == 1, done.stdout
    assert "the agent is not deterministic: step 'order " in done.stdout
    assert "2 failed, 2 passed" in done.stdout


def test_it_is_clean(project: Path) -> None:
    bin_ = project / ".venv" / "bin"
    run(project, bin_ / "ruff", "check", "--no-cache", ".")
    run(project, bin_ / "ruff", "format", "--no-cache", "--check", ".")
    run(project, bin_ / "mypy", ".")

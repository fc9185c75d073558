"""Where the tests' Restate server comes from, and what that may not cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent_service.testing import restate
from hack.restate import PINS


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a server, and without npm."""
    (tmp_path / "work" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work" / "deep")
    monkeypatch.delenv("RESTATE_SERVER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_environment_wins_over_path_over_node_modules(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_project = program(bare / "work" / "node_modules" / restate.npm_program())
    assert restate.find_server() == in_project
    on_path = program(bare / "bin" / "restate-server")
    assert restate.find_server() == on_path
    named = program(bare / "mine")
    monkeypatch.setenv("RESTATE_SERVER", str(named))
    assert restate.find_server() == named


def test_a_name_that_is_no_program_is_told(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTATE_SERVER", str(bare / "nothing"))
    with pytest.raises(restate.RestateError, match="nothing', which is no program"):
        restate.find_server()


@pytest.mark.usefixtures("bare")
def test_without_npm_one_line_says_what_to_do() -> None:
    with pytest.raises(restate.RestateError, match=r"install Node\.js 20 or later.*RESTATE_SERVER"):
        restate.find_server()


def test_npm_installs_it_once(bare: Path) -> None:
    # Stands in for the registry: makes what the package has, and notes that it was asked.
    script = f"""#!/bin/sh
echo "$@" >> {bare}/asked
/bin/mkdir -p "$3/node_modules/{Path(restate.npm_program()).parent}"
echo > "$3/node_modules/{restate.npm_program()}"
"""
    program(bare / "bin" / "npm", script)
    found = restate.find_server()
    assert found.is_file()
    assert found.is_relative_to(bare / "cache")
    assert restate.find_server() == found
    asked = (bare / "asked").read_text().splitlines()
    assert len(asked) == 1
    assert asked[0].endswith(f"{restate.NPM_PACKAGE}@{restate.NPM_VERSION}")


def test_npm_that_fails_is_quoted(bare: Path) -> None:
    program(bare / "bin" / "npm", "#!/bin/sh\necho no way out >&2\nexit 1\n")
    with pytest.raises(restate.RestateError, match="no way out"):
        restate.find_server()


def test_authors_get_the_version_that_we_test_with() -> None:
    pinned = json.loads((PINS / "package.json").read_text())["dependencies"]
    assert pinned == {restate.NPM_PACKAGE: restate.NPM_VERSION}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        # pytest loads it in every project that has the package.
        (
            "agent_service.pytest_plugin",
            {"google.adk", "restate", "hypercorn", "httpx", "pydantic"},
        ),
        # The scripted model's pod starts with it.
        ("agent_service.testing.__main__", {"google.adk", "google.genai", "restate"}),
    ],
)
def test_what_is_not_used_is_not_imported(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]", done.stdout

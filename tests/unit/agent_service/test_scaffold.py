"""`python -m agent_service new`: what it makes, and what it refuses."""

from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path

import pytest
import yaml

from agent_operator.api.spec import AgentDeploymentSpec
from agent_service.__main__ import main
from agent_service.errors import ConfigurationError
from agent_service.evaluation.cases import read
from agent_service.scaffold.project import LONGEST_NAME, contents, project_of


def made(name: str, **names: str) -> dict[str, str]:
    return dict(contents(project_of(name, **names)))


def test_a_project_has_all_that_it_needs() -> None:
    assert set(made("my-agent")) == {
        ".dockerignore",
        ".gitignore",
        "Dockerfile",
        "README.md",
        "agentdeployment.yaml",
        "my_agent/__init__.py",
        "my_agent/agent.py",
        "my_agent/my_agent.evalset.json",
        "pyproject.toml",
        "requirements.txt",
        "tests/script.json",
        "tests/test_agent.py",
    }


@pytest.mark.parametrize("name", ["my-agent", "a1", "a" * LONGEST_NAME])
def test_files_can_be_read(name: str) -> None:
    for path, text in made(name).items():
        if path.endswith(".py"):
            ast.parse(text)
        elif path.endswith(".json"):
            json.loads(text)
        elif path.endswith(".toml"):
            tomllib.loads(text)


def test_the_dockerfile_has_four_lines() -> None:
    lines = made("my-agent", base="registry.example/base:1")["Dockerfile"].splitlines()
    assert len(lines) == 4
    assert lines[0] == "FROM registry.example/base:1"


def test_the_operator_takes_the_agent_deployment() -> None:
    text = made("my-agent", image="registry.example/my-agent:7")["agentdeployment.yaml"]
    written = yaml.safe_load(text)
    assert written["metadata"] == {"name": "my-agent"}
    found = AgentDeploymentSpec.model_validate(written["spec"])
    assert found.image == "registry.example/my-agent:7"
    assert found.args == ["my_agent.agent:agent"]


def test_its_evaluation_set_can_be_run(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    path.write_text(made("my-agent")["my_agent/my_agent.evalset.json"])
    assert [case.eval_id for case in read(path)] == ["stock"]


def test_it_is_written_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["new", "my-agent", "--in", str(tmp_path)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "pip install" in out
    agent = tmp_path / "my-agent" / "my_agent" / "agent.py"
    agent.write_text("mine")
    assert main(words) == 2
    assert "is there already" in capsys.readouterr().err
    assert agent.read_text() == "mine"


def test_a_missing_parent_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "my-agent", "--in", str(tmp_path / "nowhere")]) == 2
    assert "can't make" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    ["", "My-agent", "1agent", "my_agent", "my--agent", "-agent", "agent-", "../x", "a" * 53],
)
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="can't be an agent's name: take lower-case"):
        project_of(name)


@pytest.mark.parametrize("name", ["json", "class", "google", "agent-service", "tests"])
def test_names_of_other_modules_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="there is a Python module"):
        project_of(name)

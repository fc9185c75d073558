"""hack.agent where nothing is built: which image a folder stands for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agent_service.scaffold.project import create, project_of
from hack import agent
from hack.images import ImageError


def test_the_image_is_the_one_that_the_agent_deployment_runs(tmp_path: Path) -> None:
    folder = create(project_of("my-agent", image="registry.example:5000/my-agent:7"), tmp_path)
    assert agent.image_of(folder) == "registry.example:5000/my-agent:7"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spec: {image: 'registry.example:5000/my-agent'}", "needs a tag, such as"),
        ("spec: {}", "has no spec.image"),
        ("[", "has no spec.image"),
        ("", "has no spec.image"),
    ],
)
def test_what_is_wrong_with_an_image_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "agentdeployment.yaml").write_text(text)
    with pytest.raises(ImageError, match=said):
        agent.image_of(tmp_path)


def test_a_folder_that_is_no_project_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hack.agent", str(tmp_path)])
    assert agent.main() == 1
    assert "agentdeployment.yaml: No such file" in capsys.readouterr().err

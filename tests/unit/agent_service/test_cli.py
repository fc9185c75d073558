from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.adk.agents import Agent
from google.adk.apps.app import App

from agent_service import __main__ as command
from agent_service.__main__ import load_agent
from agent_service.errors import ConfigurationError
from agent_service.serving import build_app
from agent_service.settings import Settings

agent = Agent(name="Mine", model="gemini-2.5-flash")
not_an_agent = 3


def test_a_reference_is_loaded() -> None:
    assert load_agent(f"{__name__}:agent") is agent


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("agents", "write module:attribute"),
        (":agent", "write module:attribute"),
        ("no_such_module:agent", "there is no module 'no_such_module'"),
        ("agent_service.nothing:agent", "there is no module 'agent_service.nothing'"),
        (f"{__name__}:missing", "has no 'missing'"),
        (f"{__name__}:not_an_agent", "is a int, not an ADK agent"),
    ],
)
def test_bad_references_say_what_is_wrong(reference: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load_agent(reference)


def test_a_missing_import_of_the_module_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import not_installed_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match="imports not_installed_at_all"):
        load_agent("needs_more:agent")


@pytest.fixture
def base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("GOOGLE_API_KEY", "k")


@pytest.mark.usefixtures("base_url")
def test_agents_that_cannot_be_served_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="no agent"):
        build_app([], Settings())
    with pytest.raises(ConfigurationError, match="two agents have the name Mine"):
        build_app([agent, agent.clone()], Settings())
    app = App.model_construct(name="empty", root_agent=None, plugins=[])
    with pytest.raises(ConfigurationError, match="'empty' has no agent or workflow"):
        build_app([app], Settings())


def test_the_command_fails_in_one_line_without_a_model() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent_service", "agent_service.agents.weather:agent"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("agent_service: no model to talk to: set GOOGLE")
    assert "Traceback" not in done.stderr


def test_why_it_ends_is_left_in_the_containers_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    monkeypatch.setattr(command, "TERMINATION_LOG", log)
    assert command.main(["nowhere:agent"]) == 2
    assert log.read_text() == "agent_service: 'nowhere:agent': there is no module 'nowhere'"

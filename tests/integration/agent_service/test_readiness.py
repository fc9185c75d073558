"""A process is ready once its model has taken the key, and stays so."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_service.testing import ScriptedModel
from tests.integration.agent_service.harness import Endpoint, wait_until

pytestmark = pytest.mark.integration
WEATHER = "agent_service.agents.weather:agent"


def test_a_wrong_key_is_not_ready_and_a_model_that_goes_away_later_is(tmp_path: Path) -> None:
    with ScriptedModel(key="right") as model:
        endpoint = Endpoint([WEATHER], model.url, tmp_path, {"GOOGLE_API_KEY": "s3cr3t-key"})
        endpoint.start(probe="/live")
        refused = endpoint.health()
        assert refused.status_code == 503
        assert "API key not valid" in refused.json()["reasons"][0]
        log = endpoint.log.read_text()
        assert log.count("not ready: a model does not answer") == 1
        assert "s3cr3t-key" not in log + refused.text
        model.ask_for_key("s3cr3t-key")
        wait_until("it is ready", lambda: endpoint.health().is_success)
        assert model.calls() == []
    # The server is gone.
    assert endpoint.health().is_success
    assert endpoint.terminate() == 0


def test_it_can_be_told_not_to_ask(tmp_path: Path) -> None:
    env = {"AGENT_READINESS_MODEL": "false"}
    with Endpoint([WEATHER], "http://127.0.0.1:9", tmp_path, env) as endpoint:
        assert endpoint.health().json() == {"status": "ready"}

from __future__ import annotations

import json
import logging

import pytest

from agent_service.errors import ConfigurationError
from agent_service.logs import JsonFormatter
from agent_service.settings import PLACEHOLDER_KEY, Settings, provide_gemini_key


def test_defaults() -> None:
    settings = Settings.from_env({})
    assert (settings.port, settings.revision, settings.identity_keys) == (9080, "", ())
    assert settings.abort_timeout > settings.model_timeout


def test_everything_comes_from_the_environment() -> None:
    settings = Settings.from_env(
        {
            "PORT": "1234",
            "AGENT_REVISION": "r7",
            "RESTATE_IDENTITY_KEYS": " publickeyv1_a , publickeyv1_b,",
            "AGENT_MODEL_TIMEOUT": "1.5",
            "AGENT_MAX_MODEL_CALLS": "3",
            "AGENT_MODEL_CONCURRENCY": "2",
            "RESTATE_INGRESS_URL": " https://restate.example:8080/ ",
            "AGENT_STREAM_INTERVAL": "0.2",
            "AGENT_RECENT_TURNS": "20",
            "AGENT_READINESS_MODEL": "False",
            "AGENT_ARTIFACTS_URL": "s3://bucket/agents",
        }
    )
    assert settings.port == 1234
    assert settings.identity_keys == ("publickeyv1_a", "publickeyv1_b")
    assert (settings.model_timeout, settings.max_model_calls) == (1.5, 3)
    assert settings.model_concurrency == 2
    assert settings.recent_turns == 20
    assert (settings.ingress_url, settings.stream_interval) == ("https://restate.example:8080", 0.2)
    assert not settings.readiness_model
    assert settings.artifacts_url == "s3://bucket/agents"


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"PORT": "http"}, "PORT must be a number"),
        ({"PORT": "70000"}, "PORT must be between"),
        ({"AGENT_READINESS_MODEL": "maybe"}, "AGENT_READINESS_MODEL must be true or false"),
        ({"AGENT_MODEL_TIMEOUT": "-1"}, "AGENT_MODEL_TIMEOUT must be between"),
        ({"AGENT_MODEL_TIMEOUT": "nan"}, "AGENT_MODEL_TIMEOUT must be between"),
        ({"AGENT_MODEL_TIMEOUT": "5000"}, "AGENT_ABORT_TIMEOUT"),
        ({"RESTATE_INGRESS_URL": "restate:8080"}, "RESTATE_INGRESS_URL must be an http"),
    ],
)
def test_bad_values_are_named(env: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Settings.from_env(env)


@pytest.mark.parametrize(
    ("env", "target"),
    [
        ({"GOOGLE_API_KEY": "k"}, "Gemini API"),
        ({"GEMINI_API_KEY": "k"}, "Gemini API"),
        ({"GOOGLE_GENAI_USE_VERTEXAI": "true"}, "Vertex AI"),
        ({"GOOGLE_GEMINI_BASE_URL": "http://m", "GOOGLE_API_KEY": "k"}, "http://m"),
    ],
)
def test_where_models_are(env: dict[str, str], target: str) -> None:
    before = dict(env)
    assert provide_gemini_key(env) == target
    assert env == before


def test_the_scripted_server_needs_no_key() -> None:
    env = {"GOOGLE_GEMINI_BASE_URL": "http://m", "GOOGLE_API_KEY": " "}
    provide_gemini_key(env)
    assert env["GOOGLE_API_KEY"] == PLACEHOLDER_KEY


def test_without_a_model_the_variables_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"GOOGLE_API_KEY.*GOOGLE_GEMINI_BASE_URL"):
        provide_gemini_key({"GOOGLE_API_KEY": ""})


def test_log_lines_are_json_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "s3cr3t-key")
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "with %s", ("s3cr3t-key",), None)
    record.fields = {"port": 1}
    line = json.loads(JsonFormatter().format(record))
    assert line["message"] == "with <GOOGLE_API_KEY>"
    assert (line["level"], line["port"]) == ("info", 1)

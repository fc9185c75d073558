"""What the environment decides about serving, and the model's credentials."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field

from agent_service.errors import ConfigurationError

# google-genai refuses to start without some key, and the scripted server asks for none.
PLACEHOLDER_KEY = "scripted"
# Where the operator shows a candidate the key of a gate's own Restate.
GATE_KEY_FILE = "/etc/durable-agents/gate-key"
KEY_VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY")

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Settings:
    """How one process serves its agents.

    Attributes:
        port: TCP port to listen on, on all interfaces (PORT).
        revision: the AgentDeployment's revision this process belongs to (AGENT_REVISION).
        identity_keys: Restate's public keys; requests it didn't sign are refused with 401
            (RESTATE_IDENTITY_KEYS, separated by commas). Empty: nothing is checked.
        inactivity_timeout: seconds without progress after which Restate asks a turn to suspend
            (AGENT_INACTIVITY_TIMEOUT). Approvals suspend at once without it. A running model call
            or step is not cut off, but goes on in a new attempt when it has ended: see
            docs/decisions/0004-durable-core.md.
        abort_timeout: seconds after that until Restate gives up on an attempt that doesn't end,
            so it must be longer than the slowest step (AGENT_ABORT_TIMEOUT).
        model_timeout: seconds after which a model call is given up and tried again
            (AGENT_MODEL_TIMEOUT).
        max_model_calls: model calls a turn may make before it fails (AGENT_MAX_MODEL_CALLS).
        model_concurrency: model calls that may be under way in this process at a time, of all
            agents together; 0 sets no limit (AGENT_MODEL_CONCURRENCY). The others wait their turn,
            which doesn't count against ``model_timeout``.
        graceful_timeout: seconds that running turns get to end after SIGTERM
            (AGENT_GRACEFUL_TIMEOUT).
        journal_retention: seconds for which Restate shows the steps of finished turns
            (AGENT_JOURNAL_RETENTION).
        metrics_port: TCP port that serves Prometheus metrics, on all interfaces; 0: none
            (AGENT_METRICS_PORT).
        readiness_model: whether the process is ready only once its models have answered a cheap
            question (AGENT_READINESS_MODEL, true or false).
        artifacts_url: a store for the contents of artifacts, for example ``s3://bucket/prefix``
            (AGENT_ARTIFACTS_URL). Empty: they are kept in Restate, up to 1 MiB each.
        artifact_service: ``module:attribute`` of an ADK artifact service to use instead
            (AGENT_ARTIFACT_SERVICE).
        memory_service: ``module:attribute`` of an ADK memory service to use in place of the one in
            Restate (AGENT_MEMORY_SERVICE).
        ingress_url: Restate's ingress as this process reaches it, for the partial text of turns
            that ask for it (RESTATE_INGRESS_URL). Empty: there is none.
        stream_interval: seconds between the first publications of a message's partial text, which
            grow to three times as many (AGENT_STREAM_INTERVAL).
        recent_turns: how many of a session's earlier turns a turn is shown, besides the summaries
            of older ones; 0: all (AGENT_RECENT_TURNS). What it takes then doesn't grow with the
            session.
        gate_key_file: a file with one more public key, that counts as long as it is there and only
            if others are given (AGENT_GATE_KEY_FILE): the operator's gates try a candidate so.
    """

    port: int = 9080
    revision: str = ""
    identity_keys: tuple[str, ...] = field(default=())
    inactivity_timeout: float = 60.0
    abort_timeout: float = 900.0
    model_timeout: float = 300.0
    max_model_calls: int = 500
    model_concurrency: int = 0
    graceful_timeout: float = 25.0
    journal_retention: float = 86_400.0
    metrics_port: int = 9464
    readiness_model: bool = True
    artifacts_url: str = ""
    artifact_service: str = ""
    memory_service: str = ""
    ingress_url: str = ""
    stream_interval: float = 0.1
    recent_turns: int = 0
    gate_key_file: str = GATE_KEY_FILE

    def __post_init__(self) -> None:
        if self.abort_timeout <= self.model_timeout:
            raise ConfigurationError(
                f"AGENT_ABORT_TIMEOUT ({self.abort_timeout:g} s) must be longer than "
                f"AGENT_MODEL_TIMEOUT ({self.model_timeout:g} s): Restate would cut model calls off"
            )

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Reads the settings from environment variables.

        Raises:
            ConfigurationError: a value can't be read; the message names the variable.
        """
        source = os.environ if env is None else env
        keys = source.get("RESTATE_IDENTITY_KEYS", "")
        return cls(
            port=int(_number(source, "PORT", cls.port, high=65_535)),
            revision=source.get("AGENT_REVISION", ""),
            identity_keys=tuple(key.strip() for key in keys.split(",") if key.strip()),
            inactivity_timeout=_number(source, "AGENT_INACTIVITY_TIMEOUT", cls.inactivity_timeout),
            abort_timeout=_number(source, "AGENT_ABORT_TIMEOUT", cls.abort_timeout),
            model_timeout=_number(source, "AGENT_MODEL_TIMEOUT", cls.model_timeout),
            max_model_calls=int(_number(source, "AGENT_MAX_MODEL_CALLS", cls.max_model_calls)),
            model_concurrency=int(
                _number(source, "AGENT_MODEL_CONCURRENCY", cls.model_concurrency)
            ),
            graceful_timeout=_number(source, "AGENT_GRACEFUL_TIMEOUT", cls.graceful_timeout),
            metrics_port=int(_number(source, "AGENT_METRICS_PORT", cls.metrics_port, high=65_535)),
            readiness_model=_flag(source, "AGENT_READINESS_MODEL", cls.readiness_model),
            artifacts_url=source.get("AGENT_ARTIFACTS_URL", "").strip(),
            artifact_service=source.get("AGENT_ARTIFACT_SERVICE", "").strip(),
            memory_service=source.get("AGENT_MEMORY_SERVICE", "").strip(),
            gate_key_file=source.get("AGENT_GATE_KEY_FILE", cls.gate_key_file),
            journal_retention=_number(source, "AGENT_JOURNAL_RETENTION", cls.journal_retention),
            ingress_url=_address(source, "RESTATE_INGRESS_URL"),
            stream_interval=_number(source, "AGENT_STREAM_INTERVAL", cls.stream_interval),
            recent_turns=int(_number(source, "AGENT_RECENT_TURNS", cls.recent_turns)),
        )


def _flag(env: Mapping[str, str], name: str, default: bool) -> bool:
    text = env.get(name, "").strip().lower()
    if text not in ("", *_FLAGS):
        raise ConfigurationError(f"{name} must be true or false, and is {text!r}")
    return _FLAGS.get(text, default)


def _number(env: Mapping[str, str], name: str, default: float, high: float = 1e9) -> float:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise ConfigurationError(f"{name} must be a number, and is {text!r}") from None
    if not 0 <= value <= high:
        raise ConfigurationError(f"{name} must be between 0 and {high:g}, and is {text}")
    return value


def _address(env: Mapping[str, str], name: str) -> str:
    text = env.get(name, "").strip().rstrip("/")
    if text and not text.startswith(("http://", "https://")):
        raise ConfigurationError(f"{name} must be an http or https address, and is {text!r}")
    return text


def provide_gemini_key(env: MutableMapping[str, str] | None = None) -> str:
    """Makes sure that Gemini models have somewhere to go; returns where that is, in words.

    Raises:
        ConfigurationError: there is neither a key nor another server.
    """
    target = os.environ if env is None else env
    base_url = target.get("GOOGLE_GEMINI_BASE_URL", "").strip()
    has_key = any(target.get(name, "").strip() for name in KEY_VARIABLES)
    if base_url:
        if not has_key:
            target["GOOGLE_API_KEY"] = PLACEHOLDER_KEY
        return base_url
    if has_key:
        return "Gemini API"
    if target.get("GOOGLE_GENAI_USE_VERTEXAI", "").strip().lower() in ("1", "true"):
        return "Vertex AI"
    raise ConfigurationError(
        "no model to talk to: set GOOGLE_API_KEY for Gemini, or GOOGLE_GEMINI_BASE_URL for a "
        "server that speaks its API (python -m agent_service.testing is one)"
    )

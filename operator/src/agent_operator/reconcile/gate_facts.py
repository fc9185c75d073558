"""What is known of a candidate's gates: their Jobs, and the results on record."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent_operator.api.gates import Gate
from agent_operator.api.status import GateState

_HASH_LENGTH: Final = 10


@dataclass(frozen=True)
class GateResult:
    """How a gate ended."""

    name: str
    passed: bool
    message: str = ""


@dataclass(frozen=True)
class GateRecord:
    """On record at a candidate's ReplicaSet: the results so far, and of which gates (a hash)."""

    gates: str
    results: tuple[GateResult, ...] = ()


@dataclass(frozen=True)
class GateJob:
    """The Job of a gate. ``logged``: its pod is there, so that its log can be read.

    ``key`` is the public key of the Restate server that runs beside it, once it has one.
    """

    name: str
    revision: str
    state: GateState
    message: str = ""
    logged: bool = True
    key: str | None = None


def hash_of(gates: Sequence[Gate] | None) -> str:
    """Differs where any gate differs; empty without gates."""
    if not gates:
        return ""
    parts = [gate.model_dump(mode="json", by_alias=True, exclude_none=True) for gate in gates]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def job_name(revision: str, gate: str, gates: str) -> str:
    """The name of a gate's Job: another one for other gates, since a Job's template is fixed."""
    digest = hashlib.sha256(f"{revision}/{gate}/{gates}".encode()).hexdigest()[:6]
    # A Job's name becomes a label's value: 63 characters.
    return f"{f'{revision}-{gate}'[:56].rstrip('-')}-{digest}"

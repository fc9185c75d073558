"""``python -m agent_service.evaluate``: the shipped evaluation set on a real Restate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_service.agents import weather
from agent_service.testing import ScriptedModel
from agent_service.testing.rules import Reply, Rule, When
from hack.restate import RestateServer

FOLDER = Path(weather.__file__).parent
THRESHOLDS = ("--threshold=tool_trajectory_avg_score=1", "--threshold=response_match_score=0.2")


@pytest.fixture(scope="module")
def own_restate() -> Iterator[RestateServer]:
    """As a gate has it: in the shared one, this agent would take the other tests' turns."""
    with RestateServer() as server:
        yield server


def evaluate(
    server: RestateServer, model: ScriptedModel, *more: str, agent: str = "weather"
) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [
            sys.executable, "-m", "agent_service.evaluate", f"--set={FOLDER / agent}.evalset.json",
            f"--admin={server.admin_url}", f"--ingress={server.ingress_url}",
            *more, f"agent_service.agents.{agent}:agent",
        ],
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("GOOGLE_")},
            "GOOGLE_GEMINI_BASE_URL": model.url,
            # The gate's own server signs nothing here, and is let in all the same.
            "RESTATE_IDENTITY_KEYS": "publickeyv1_w7YHemBctH5Ck2nQRQ47iBBqhNHy4FV7t2Usbye2A6f",
        },
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_a_good_agent(own_restate: RestateServer, scripted_model: ScriptedModel) -> None:
    code, said = evaluate(own_restate, scripted_model, *THRESHOLDS)
    assert (code, said["passed"]) == (0, True), said
    assert said["scores"]["tool_trajectory_avg_score"] == 1.0
    assert 0.2 < said["scores"]["response_match_score"] < 1.0


def test_the_support_chat(own_restate: RestateServer, scripted_model: ScriptedModel) -> None:
    thresholds = ("--threshold=tool_trajectory_avg_score=1", "--threshold=response_match_score=0.3")
    code, said = evaluate(own_restate, scripted_model, *thresholds, agent="support")
    assert (code, said["passed"]) == (0, True), said
    assert said["scores"]["tool_trajectory_avg_score"] == 1.0


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(text="I don't know."), "tool_trajectory_avg_score is 0.00 in case one_city"),
        (Reply(status=403, message="no quota"), "case one_city: a turn failed with 502"),
    ],
)
def test_a_bad_one(
    own_restate: RestateServer, scripted_model: ScriptedModel, reply: Reply, why: str
) -> None:
    scripted_model.put_first(Rule(name="bad", when=When(text="Paris"), reply=reply))
    code, said = evaluate(own_restate, scripted_model, THRESHOLDS[0])
    assert (code, said["passed"]) == (1, False)
    assert why in said["reason"]

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

from agent_service import agents
from agent_service.testing import ScriptedModel
from agent_service.testing.rules import Reply, Rule, When
from hack.restate import RestateServer

FOLDER = Path(agents.__file__).parent
TOOLS = "--threshold=tool_trajectory_avg_score=1"


@pytest.fixture(scope="module")
def own_restate() -> Iterator[RestateServer]:
    """As a gate has it: in the shared one, this agent would take the other tests' turns."""
    with RestateServer() as server:
        yield server


def evaluate(
    server: RestateServer, model: ScriptedModel, shipped: str, *more: str
) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [
            sys.executable, "-m", "agent_service.evaluate",
            f"--set={FOLDER / shipped}.evalset.json",
            f"--admin={server.admin_url}", f"--ingress={server.ingress_url}",
            *more, f"agent_service.agents.{shipped}:agent",
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


@pytest.mark.parametrize(
    ("shipped", "more", "least"),
    [
        # Its set has the weather of one day, and answers change by the month.
        ("weather", [TOOLS], 0.2),
        ("claims", [TOOLS], 0.5),
        ("support", [TOOLS], 0.3),
        ("notes", [TOOLS], 0.8),
        ("fact_checker", [TOOLS], 0.6),
        ("research", ["--beside=agent_service.agents.fact_checker:agent"], 0.5),
    ],
)
def test_the_shipped_agents(
    own_restate: RestateServer,
    scripted_model: ScriptedModel,
    shipped: str,
    more: list[str],
    least: float,
) -> None:
    match = f"--threshold=response_match_score={least}"
    code, said = evaluate(own_restate, scripted_model, shipped, *more, match)
    assert (code, said["passed"]) == (0, True), said
    assert said["scores"].get("tool_trajectory_avg_score", 1.0) == 1.0
    assert least < said["scores"]["response_match_score"] <= 1.0


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
    code, said = evaluate(own_restate, scripted_model, "weather", TOOLS)
    assert (code, said["passed"]) == (1, False)
    assert why in said["reason"]

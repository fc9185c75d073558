"""Evaluation sets, scores and verdicts; turns on a real Restate are in the integration tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.adk.evaluation.eval_case import Invocation
from google.genai import types

from agent_service import agents, evaluate
from agent_service.errors import ConfigurationError
from agent_service.evaluation import cases, metrics
from agent_service.evaluation.verdict import judge

AGENTS = Path(agents.__file__).parent


def invocation(answer: str) -> Invocation:
    return Invocation(
        user_content=types.UserContent("hello"), final_response=types.ModelContent(answer)
    )


@pytest.mark.parametrize(
    ("answer", "reference", "value"),
    [
        ("It is 20 °C.", "it is 20 °C", 1.0),
        ("no no no", "no", 0.5),
        ("a b", "b c d e", 1 / 3),
        ("a", "b", 0.0),
        ("", "b", 0.0),
    ],
)
def test_words_in_common(answer: str, reference: str, value: float) -> None:
    assert metrics.overlap(answer, reference) == pytest.approx(value)


async def test_a_case_has_the_mean_of_its_turns() -> None:
    found = metrics.evaluator(metrics.RESPONSE_MATCH, 0.5)
    said = [invocation("a"), invocation("b")]
    assert await metrics.score(found, said, [invocation("a"), invocation("x")]) == 0.5


def test_what_the_image_lacks_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"safety_v1 needs google-adk\[eval\]"):
        metrics.evaluator("safety_v1", 1.0)


@pytest.mark.parametrize(
    ("shipped", "ids"),
    [
        ("weather", ["one_city", "two_turns", "unknown_city"]),
        ("claims", ["small_claim", "missing_amount"]),
        ("fact_checker", ["right", "wrong", "unknown_planet"]),
        ("support", ["order", "broken_goods", "unknown_order", "terms"]),
        ("research", ["outdated_note", "two_planets", "no_planet"]),
    ],
)
def test_the_shipped_sets_are_some(shipped: str, ids: list[str]) -> None:
    path = AGENTS / f"{shipped}.evalset.json"
    assert [case.eval_id for case in cases.read(path)] == ids


def a_set(**case: Any) -> str:
    one = {"eval_id": "a", "conversation": [{"user_content": {"parts": [{"text": "hello"}]}}]}
    return json.dumps({"eval_set_id": "s", "eval_cases": [{**one, **case}]})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "no ADK evaluation set"),
        ('{"eval_set_id": "s", "eval_cases": []}', "no evaluation case"),
        (a_set(conversation=[{"user_content": {"parts": []}}]), "case a: a user's message has no"),
        (
            a_set(session_input={"app_name": "A", "user_id": "u", "state": {"x": 1}}),
            "sessionInput.state is not supported",
        ),
    ],
)
def test_what_is_no_set_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "set.json").write_text(text)
    with pytest.raises(ConfigurationError, match=why):
        cases.read(tmp_path / "set.json")


def test_a_set_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no evaluation set at .*none.json"):
        cases.read(tmp_path / "none.json")


def test_every_case_must_reach_every_threshold() -> None:
    scores: dict[str, dict[str, float | None]] = {"m": {"a": 1.0, "b": 0.25, "c": 0.0}}
    assert judge({}, scores, {"m": 0.0}).passed
    verdict = judge({}, scores, {"m": 0.5})
    assert verdict.reason == "m is 0.25 in case b, and must be 0.5 (2 of 3 cases)"
    assert json.loads(verdict.as_json()) == {
        "passed": False,
        "reason": verdict.reason,
        "scores": {"m": 0.417},
    }


def test_no_score_is_no_pass() -> None:
    assert judge({}, {"m": {"a": None}}, {"m": 0.0}).reason.startswith("m is no score in case a")
    assert judge({"a": "a turn failed"}, {"m": {}}, {"m": 0.0}).reason == "case a: a turn failed"


def test_the_agent_must_be_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    said.touch()
    monkeypatch.setattr(evaluate, "TERMINATION_LOG", said)
    for named in ([], ["a:b", "c:d"]):
        assert evaluate.main(["--set=x", "--threshold=m=1", *named]) == 2
        assert "one agent can be evaluated" in json.loads(said.read_text())["reason"]


def test_a_threshold_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        evaluate.main(["--set=x", "--threshold=m", "a:b"])
    assert "'m' is not METRIC=SCORE (there is no =)" in capsys.readouterr().err

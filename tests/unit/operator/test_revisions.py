"""What makes a new revision, and what does not."""

from typing import Any

import pytest

from agent_operator.api import names
from agent_operator.reconcile.revisions import wanted
from agent_operator.settings import Settings
from tests.unit.operator.build import SETTINGS, URL, agent

SAME: list[dict[str, Any]] = [
    {"replicas": 5},
    {"drain": {"delay": "5m"}},
    {"rollout": {"progressDeadlineSeconds": 30}},
    {"restate": {"adminURL": URL}},
    {"restate": {"adminURL": URL + "/"}},
    {"port": 9080},
]
OTHER: list[dict[str, Any]] = [
    {"image": "claims:2"},
    {"port": 9090},
    {"args": ["my.agents:agent"]},
    {"env": [{"name": "A", "value": "b"}]},
    {"model": {"name": "gemini-2.5-pro"}},
    {"model": {"provider": "OpenAI"}},
    {"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}},
    {"resources": {"limits": {"memory": "1Gi"}}},
    {"restate": {"adminURL": "http://other:9070"}},
]


@pytest.mark.parametrize("spec", SAME, ids=str)
def test_how_it_is_run_makes_no_revision(spec: dict[str, Any]) -> None:
    assert wanted(agent(**spec), SETTINGS).name == wanted(agent(), SETTINGS).name


@pytest.mark.parametrize("spec", OTHER, ids=str)
def test_what_runs_makes_one(spec: dict[str, Any]) -> None:
    assert wanted(agent(**spec), SETTINGS).name != wanted(agent(), SETTINGS).name


def test_names_stay_what_they_were() -> None:
    """An operator that hashes otherwise would roll out every agent of the cluster."""
    model = {"name": "gemini-2.5-flash", "apiKeySecret": {"name": "gemini", "key": "api-key"}}
    assert wanted(agent("claims:1", model=model, replicas=2), SETTINGS).name == "claims-44c5b4c14c"


def test_going_back_gives_the_same_revision() -> None:
    assert wanted(agent("claims:1"), SETTINGS) == wanted(agent("claims:1"), SETTINGS)


def test_restate_calls_it_at_its_service() -> None:
    made = wanted(agent(port=9090), Settings(cluster_domain="corp.example"))
    assert made.uri == f"http://{made.name}.team.svc.corp.example:9090"


def test_the_longest_name_fits_a_service() -> None:
    owner = agent()
    longest = owner.model_copy(
        update={"metadata": owner.metadata.model_copy(update={"name": "a" * names.MAX_NAME_LENGTH})}
    )
    assert len(wanted(longest, SETTINGS).name) == 63

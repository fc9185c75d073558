"""The shipped agents' own logic, and how agents are made durable."""

from __future__ import annotations

from decimal import Decimal

import pytest
from google.adk.agents import Agent
from google.adk.apps.app import App
from google.adk.models.google_llm import Gemini
from google.adk.plugins.base_plugin import BasePlugin
from google.adk.tools.agent_tool import AgentTool

from agent_service.agents import claims, weather
from agent_service.durable.agents import durable_agent, durable_app, models_of
from agent_service.durable.models import journaled
from agent_service.errors import ConfigurationError


def test_weather_in_both_units() -> None:
    celsius = weather.look_up(" paris ", 7, "celsius")
    assert celsius is not None
    assert (celsius.city, celsius.temperature, celsius.unit) == ("Paris", 25, "°C")
    assert (celsius.conditions, celsius.basis) == ("sunny", "typical for July")
    fahrenheit = weather.look_up("Paris", 7, "fahrenheit")
    assert fahrenheit is not None
    assert (fahrenheit.temperature, fahrenheit.unit) == (77, "°F")
    assert weather.look_up("Atlantis", 7, "celsius") is None


def test_the_climate_table_is_whole() -> None:
    for city, (temperatures, sky) in weather.CLIMATE.items():
        assert (len(temperatures), len(sky)) == (12, 4), city
    december = weather.look_up("Oslo", 12, "celsius")
    assert december is not None
    assert december.conditions == "snowy"


def test_bad_units_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEATHER_UNITS", "kelvin")
    with pytest.raises(ConfigurationError, match=r"WEATHER_UNITS .*'kelvin'"):
        weather.units()


@pytest.mark.parametrize(
    ("given", "amount"),
    [
        (800, "800.00"),
        (0.1, "0.10"),
        ("1,250.50", "1250.50"),
        (" 12 ", "12.00"),
        (-1, None),
        (0, None),
        ("0.001", None),
        ("much", None),
        (float("nan"), None),
        (float("inf"), None),
        (1_000_001, None),
        ("", None),
    ],
)
def test_amounts(given: object, amount: str | None) -> None:
    assert claims.parse_amount(given) == (None if amount is None else Decimal(amount))


def test_a_payments_reference_depends_on_what_is_paid_alone() -> None:
    first = claims.payment_reference("s", "C-1", Decimal("8.00"))
    assert first == claims.payment_reference("s", "C-1", Decimal("8.00"))
    assert first != claims.payment_reference("s", "C-1", Decimal("8.01"))
    assert first != claims.payment_reference("t", "C-1", Decimal("8.00"))


def test_the_limit_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIM_LIMIT", "0")
    assert claims.auto_limit() == 0
    monkeypatch.setenv("CLAIM_LIMIT", "a lot")
    with pytest.raises(ConfigurationError, match="CLAIM_LIMIT"):
        claims.auto_limit()


def test_a_journaled_model_is_a_copy_that_is_still_its_kind() -> None:
    plain = Gemini(model="gemini-2.5-flash")
    twin = journaled(plain)
    assert isinstance(twin, Gemini)
    assert type(plain) is Gemini
    assert twin.model == plain.model
    assert journaled(twin) is twin


def test_making_an_agent_durable_leaves_the_users_alone() -> None:
    inner = Agent(name="Inner", model="gemini-2.5-pro")
    child = Agent(name="Child")
    root = Agent(
        name="Root", model="gemini-2.5-flash", sub_agents=[child], tools=[AgentTool(inner)]
    )
    twin = durable_agent(root)
    assert isinstance(twin, Agent)
    assert root.model == "gemini-2.5-flash"
    assert child.model == ""
    assert inner.model == "gemini-2.5-pro"
    (tool,) = twin.tools
    assert isinstance(tool, AgentTool)
    (below,) = twin.sub_agents
    assert isinstance(below, Agent)
    for member in (twin, below, tool.agent):
        assert isinstance(member, Agent)
        assert type(member.canonical_model).__name__ == "JournaledGemini"
    assert below.canonical_model.model == "gemini-2.5-flash"
    assert sorted({m.model for m in models_of(root)}) == ["gemini-2.5-flash", "gemini-2.5-pro"]


def test_an_apps_plugins_are_kept() -> None:
    plugin = BasePlugin(name="mine")
    app = App(name="my_app", root_agent=Agent(name="Root", model="gemini-2.5-flash"))
    app.plugins = [plugin]
    names = [p.name for p in durable_app(app).plugins]
    assert names == ["agent_service_ordered_tools", "mine"]
    assert [p.name for p in app.plugins] == ["mine"]

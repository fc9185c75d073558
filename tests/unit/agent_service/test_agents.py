"""The shipped agents' own logic, and how agents are made durable."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from decimal import Decimal
from importlib.util import find_spec
from typing import Any, cast

import pytest
from google.adk.agents import Agent, LoopAgent, SequentialAgent
from google.adk.apps.app import App, EventsCompactionConfig
from google.adk.apps.llm_event_summarizer import LlmEventSummarizer
from google.adk.models.google_llm import Gemini
from google.adk.plugins.base_plugin import BasePlugin
from google.adk.tools.agent_tool import AgentTool
from google.adk.workflow import Workflow
from restate import TerminalError

from agent_service import approval
from agent_service.agents import claims, support, weather
from agent_service.durable import scope as scopes
from agent_service.durable.agents import durable_app, models_of
from agent_service.durable.models import journaled
from agent_service.durable.scope import Clock, TurnScope
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


async def test_support_knows_orders_and_names_tickets_after_what_they_are_about() -> None:
    found = await support.find_order(" s-1002 ")
    assert (found["order"], found["items"]) == ("S-1002", "desk lamp")
    assert await support.find_order("S-9") == {"error": "there is no order S-9"}
    one = support.ticket_number("ann:1", "S-1001", "broken")
    assert one == support.ticket_number("ann:1", "S-1001", "broken")
    assert one != support.ticket_number("ann:1", "S-1002", "broken")


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_bad_numbers_of_turns_are_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SUPPORT_SUMMARY_TURNS", value)
    with pytest.raises(ConfigurationError, match="SUPPORT_SUMMARY_TURNS must be a whole number"):
        support.whole_number("SUPPORT_SUMMARY_TURNS", 10)


class OwnSummarizer(LlmEventSummarizer):
    """As an author may make one, to format events otherwise."""


@pytest.mark.parametrize("kind", [LlmEventSummarizer, OwnSummarizer])
def test_a_summarizer_of_the_users_own_gets_a_journaled_model(
    kind: type[LlmEventSummarizer],
) -> None:
    model = Gemini(model="gemini-x")
    summarizer = kind(llm=model)
    config = EventsCompactionConfig(compaction_interval=2, overlap_size=0, summarizer=summarizer)
    app = App(name="A", root_agent=Agent(name="A"), events_compaction_config=config)
    served = durable_app(app).events_compaction_config
    assert served is not None
    assert isinstance(served.summarizer, kind)
    assert served.summarizer._llm is journaled(model)
    # The user's own stays as it is.
    assert summarizer._llm is model
    assert app.events_compaction_config is config


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


def test_a_journaled_model_is_a_twin_that_is_still_its_kind() -> None:
    plain = Gemini(model="gemini-2.5-flash")
    twin = journaled(plain)
    assert isinstance(twin, Gemini)
    assert type(plain) is Gemini
    assert twin.model == plain.model
    assert journaled(twin) is twin
    # Always the same one: it holds the connections to the provider.
    assert journaled(plain) is twin


def test_models_are_journaled_in_turns_alone(
    in_a_turn: Callable[[], AbstractContextManager[None]],
) -> None:
    child = Agent(name="Child")
    root = Agent(name="Root", model="gemini-2.5-flash", sub_agents=[child])
    durable_app(root)
    assert type(root.canonical_model) is Gemini
    with in_a_turn():
        assert type(child.canonical_model).__name__ == "JournaledGemini"
        assert child.canonical_model is root.canonical_model
        # One that is made while the turn runs, as a workflow's node may do.
        late = Agent(name="Late", model="gemini-2.5-pro")
        assert type(late.canonical_model).__name__ == "JournaledGemini"
    assert type(root.canonical_model) is Gemini
    assert root.model == "gemini-2.5-flash"


@pytest.fixture
def in_a_turn() -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def turn() -> Iterator[None]:
        nothing = cast("Any", None)
        token = scopes._current.set(TurnScope(nothing, Clock(0.0), 1.0, nothing, "Any", nothing))
        try:
            yield
        finally:
            scopes._current.reset(token)

    return turn


def test_models_are_found_in_all_kinds_of_agents() -> None:
    def model(name: str) -> Agent:
        return Agent(name=name, model=f"gemini-{name}")

    shell = SequentialAgent(
        name="Line", sub_agents=[model("a"), LoopAgent(name="Loop", sub_agents=[model("b")])]
    )
    root = Agent(name="Root", model="gemini-r", sub_agents=[shell], tools=[AgentTool(model("t"))])
    flow = Workflow(name="flow", edges=[("START", root, (model("x"), model("y")))])
    found = sorted(m.model for m in models_of(flow))
    assert found == [f"gemini-{name}" for name in "abrtxy"]


def test_an_apps_plugins_are_kept() -> None:
    plugin = BasePlugin(name="mine")
    app = App(name="my_app", root_agent=Agent(name="Root", model="gemini-2.5-flash"))
    app.plugins = [plugin]
    names = [p.name for p in durable_app(app).plugins]
    assert names == [
        "agent_service_ordered_branches",
        "agent_service_counted_tools",
        "mine",
    ]
    assert [p.name for p in app.plugins] == ["mine"]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"title": " "}, "title"),
        ({"choices": ["a", "a"]}, "must differ"),
        ({"choices": ["a", " "]}, "not be empty"),
        ({"choices": ["a"], "default": "b"}, "'b' is none of the choices"),
        ({"choices": ["a"], "default": True}, "must name one"),
        ({"escalate_to": ["boss"]}, "needs a deadline"),
        ({"deadline": timedelta(0)}, "must lie ahead"),
    ],
)
async def test_an_approval_that_makes_no_sense_ends_the_turn(
    wrong: dict[str, Any], why: str
) -> None:
    with pytest.raises(TerminalError, match=why):
        await approval(**{"title": "Pay?", **wrong})


def test_the_time_to_decide_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIM_DEADLINE_HOURS", "0.5")
    assert claims.answer_time() == timedelta(minutes=30)
    for wrong in ("0", "-1", "soon", "1e300", "nan"):
        monkeypatch.setenv("CLAIM_DEADLINE_HOURS", wrong)
        with pytest.raises(ConfigurationError, match="CLAIM_DEADLINE_HOURS"):
            claims.answer_time()
    monkeypatch.setenv("CLAIM_APPROVERS", " ann, ,bob")
    assert claims.approvers() == ["ann", "bob"]


def test_adk_looks_for_a2a_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would load two modules from disk for it in each turn."""
    name = "google.adk.agents.remote_a2a_agent"
    monkeypatch.delitem(sys.modules, name, raising=False)
    durable_app(Agent(name="Plain", model="gemini-2.5-flash"))
    assert find_spec("a2a") is None, "it is installed: this test can't see what it is for"
    with pytest.raises(ImportError):
        importlib.import_module(name)
    assert sys.modules[name] is None

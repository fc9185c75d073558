"""Calls of other agents: what their sessions are called, and how such a tool is made."""

from __future__ import annotations

import itertools

import pytest

from agent_service import remote_agent
from agent_service.durable.children import Child, children_in, session_name, state_key
from agent_service.durable.identity import SessionId
from agent_service.errors import ConfigurationError


def test_a_childs_name_says_whose_it_is() -> None:
    parent = SessionId("ann", "17")
    assert session_name("Caller", parent, 1_764_375_000.25, "3.1") == "Caller~17~19accf1f4ba.3.1"
    assert session_name("Caller", parent, 1_764_375_000.25) == "Caller~17~19accf1f4ba"


def test_no_two_sessions_have_the_same_child() -> None:
    callers = ("A", "B")
    sessions = ("1", "1~1", "~1", "A~1", "1~19.1.1", "1.1")
    times = (1.0, 2.0)
    calls = ("", "1.1", "1.11", "11.1", "1.1.2")
    names = [
        session_name(caller, SessionId("", session), time, call)
        for caller, session, time, call in itertools.product(callers, sessions, times, calls)
    ]
    assert len(set(names)) == len(names)


def test_children_are_found_among_the_state() -> None:
    some = [Child(agent="A", session="ann:C~1/2~5.1.1"), Child(agent="B", session="C~1~5")]
    keys = ["session", "turn/000001", *map(state_key, some), "calls"]
    assert children_in(keys) == some


def test_arguments_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'fact-checker' can't be an agent's name"):
        remote_agent("fact-checker", "Checks.")
    with pytest.raises(ConfigurationError, match="must be 'call' or 'conversation'"):
        remote_agent("A", "Checks.", session="turn")  # type: ignore[arg-type]


async def test_it_needs_a_turn() -> None:
    with pytest.raises(RuntimeError, match="no turn here"):
        await remote_agent("A", "Checks.").ask("why?")

"""Evaluation sets: reading them, and running their conversations as turns."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import httpx
from google.adk.evaluation.eval_case import EvalCase, IntermediateData, Invocation
from google.adk.evaluation.eval_set import EvalSet
from google.genai import types
from pydantic import ValidationError

from agent_service.durable.session_store import TurnRecord, text_of
from agent_service.errors import ConfigurationError

SQL = "select value_utf8 as value from state where service_name = '{}' and service_key = '{}'"


@dataclass(frozen=True)
class Run:
    """What came of a case: what the agent did, or why it failed."""

    case: EvalCase
    did: tuple[Invocation, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Restate:
    """A Restate server with the agent registered."""

    http: httpx.AsyncClient
    admin: str
    ingress: str


def read(path: Path) -> list[EvalCase]:
    """Reads the cases of an evaluation set.

    Raises:
        ConfigurationError: there is no such file, or it is no set of conversations in text.
    """
    try:
        found = EvalSet.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"no evaluation set at {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigurationError(
            f"{path} is no ADK evaluation set: {place}: {first['msg']}"
        ) from error
    if not found.eval_cases:
        raise ConfigurationError(f"{path} has no evaluation case")
    for case in found.eval_cases:
        if why := _unfit(case):
            raise ConfigurationError(f"{path}, case {case.eval_id}: {why}")
    return found.eval_cases


def _unfit(case: EvalCase) -> str:
    if not case.conversation:
        return "it has no conversation; scenarios for a simulated user are not supported"
    if case.session_input and case.session_input.state:
        return "a session begins empty here; sessionInput.state is not supported"
    if not all(text_of(invocation.user_content).strip() for invocation in case.conversation):
        return "a user's message has no text"
    return ""


async def run(agent: str, case: EvalCase, restate: Restate) -> Run:
    """Runs a case's conversation in a session of its own."""
    session = f"{uuid.uuid4()}"
    for invocation in case.conversation or ():
        url = f"{restate.ingress}/{agent}/{session}/turn"
        body = {"message": text_of(invocation.user_content)}
        answer = await restate.http.post(url, json=body)
        if not answer.is_success:
            return Run(case, problem=f"a turn failed with {answer.status_code}: {_message(answer)}")
    records = await _records(agent, session, restate)
    return Run(case, tuple(_invocation(record) for record in records))


async def _records(agent: str, session: str, restate: Restate) -> list[TurnRecord]:
    """The turns as the session keeps them, events included."""
    sql = f"{SQL.format(agent, session)} and key like 'turn/%' order by key"
    answer = await restate.http.post(
        f"{restate.admin}/query", json={"query": sql}, headers={"accept": "application/json"}
    )
    answer.raise_for_status()
    return [TurnRecord.model_validate_json(row["value"]) for row in answer.json()["rows"]]


def _invocation(record: TurnRecord) -> Invocation:
    calls = [call for event in record.events for call in event.get_function_calls()]
    finals = [e.content for e in record.events if e.author != "user" and e.is_final_response()]
    # ADK's ids of calls are no part of what was asked of a tool.
    uses = [types.FunctionCall(name=call.name, args=call.args) for call in calls]
    return Invocation(
        user_content=types.UserContent(record.message),
        final_response=next((c for c in reversed(finals) if text_of(c)), None),
        intermediate_data=IntermediateData(tool_uses=uses),
    )


def _message(answer: httpx.Response) -> str:
    try:
        found = answer.json()
    except ValueError:
        return answer.text
    return str(found.get("message", found)) if isinstance(found, dict) else str(found)

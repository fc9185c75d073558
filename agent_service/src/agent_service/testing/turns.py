"""What a test does with an agent: turns, and people's answers, through Restate's ingress.

Calls block, so they are for tests that are plain functions.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter

from agent_service.api import (
    AnsweredApproval,
    AnswerReceipt,
    ApprovalAnswer,
    Approvals,
    DeleteReceipt,
    History,
    Message,
    PendingApproval,
    TurnAnswer,
)
from agent_service.testing.replay import MISMATCH, Difference, ReplayWatch, mismatch

SECONDS = 60.0
_PAUSE = 0.05
SQL = (
    "select status, retry_count, last_failure, last_failure_error_code,"
    " last_failure_related_command_name, last_failure_related_command_index"
    " from sys_invocation where id = '{}'"
)
_PENDING = TypeAdapter(list[PendingApproval])
# Restate's answer while a turn has no result.
_NOT_READY = 470


class TurnFailed(AssertionError):  # noqa: N818 - what a test reads
    """A turn, or an answer to an approval, ended in an error.

    Attributes:
        status: the HTTP status that a caller gets.
        message: what it says.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status
        self.message = message


class NotDeterministic(AssertionError):  # noqa: N818 - what a test reads
    """A replay of a turn came out differently.

    Attributes:
        difference: what differs.
    """

    def __init__(self, difference: Difference) -> None:
        super().__init__(str(difference))
        self.difference = difference


@dataclass(frozen=True)
class Target:
    """Where an agent is served.

    Attributes:
        name: the agent's name in Restate.
        ingress: Restate's address for callers.
        admin: Restate's address for administration.
        http: the client to use.
        watch: what compares its attempts.
    """

    name: str
    ingress: str
    admin: str
    http: httpx.Client
    watch: ReplayWatch

    def call(self, session: str, handler: str, body: Any = None) -> httpx.Response:
        """Calls a handler of the agent.

        Raises:
            TurnFailed: it was refused.
        """
        url = f"{self.ingress}/{self.name}/{quote(session, safe='')}/{handler}"
        return _good(self.http.post(url) if body is None else self.http.post(url, json=body))


def _good(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        message = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = answer.text
    raise TurnFailed(answer.status_code, message)


class Turn:
    """A turn that was begun."""

    def __init__(self, target: Target, session: str, invocation: str) -> None:
        self._target = target
        self._session = session
        self.invocation = invocation

    @property
    def attempts(self) -> int:
        """How often it got as far as its agent: with replay, once and once more after each step.

        Known only of agents that are served with replay.
        """
        return self._target.watch.attempts(self.invocation)

    def result(self, seconds: float = SECONDS) -> TurnAnswer:
        """Waits for the answer.

        Raises:
            TurnFailed: the turn ended in an error.
            NotDeterministic: a replay came out differently; the turn is given up.
            AssertionError: there is no answer in time.
        """
        url = f"{self._target.ingress}/restate/invocation/{self.invocation}/output"

        def look() -> httpx.Response | None:
            answer = self._target.http.get(url)
            return None if answer.status_code == _NOT_READY else answer

        answer = self._wait("answer", look, seconds)
        self._raise_difference()
        return TurnAnswer.model_validate_json(_good(answer).content)

    def approval(self, seconds: float = SECONDS) -> PendingApproval:
        """Waits until the turn waits for somebody, and returns the oldest request.

        Raises:
            NotDeterministic: a replay came out differently; the turn is given up.
            AssertionError: it asks for nothing in time.
        """

        def look() -> PendingApproval | None:
            answer = self._target.call(self._session, "approvals")
            return next(iter(_PENDING.validate_json(answer.content)), None)

        return self._wait("request for an approval", look, seconds)

    def _wait[T](self, what: str, look: Callable[[], T | None], seconds: float) -> T:
        until = time.monotonic() + seconds
        while True:
            found = look()
            if found is not None:
                return found
            self._raise_difference()
            failure = self._failure()
            if time.monotonic() > until:
                self._give_up()
                raise AssertionError(f"no {what} within {seconds:g} s{failure}")
            time.sleep(_PAUSE)

    def _raise_difference(self) -> None:
        difference = self._target.watch.difference(self.invocation)
        if difference is not None:
            raise NotDeterministic(difference)

    def _failure(self) -> str:
        """Says why the last attempt failed, if it did; raises if that was a mismatch."""
        row = self._row()
        error = row.get("last_failure")
        if not error:
            return f"; the turn is {row.get('status', 'unknown to Restate')}"
        if row.get("last_failure_error_code") == MISMATCH:
            self._give_up()
            command = row.get("last_failure_related_command_name") or ""
            raise NotDeterministic(
                mismatch(error, command, row.get("last_failure_related_command_index"))
            )
        return f"; the turn was tried {row.get('retry_count')} times, last: {error}"

    def _row(self) -> dict[str, Any]:
        query = SQL.format(self.invocation)
        answer = self._target.http.post(
            f"{self._target.admin}/query",
            json={"query": query},
            headers={"accept": "application/json"},
        )
        rows: list[dict[str, Any]] = answer.raise_for_status().json()["rows"]
        return rows[0] if rows else {}

    def _give_up(self) -> None:
        self._target.http.patch(f"{self._target.admin}/invocations/{self.invocation}/kill")


class Session:
    """One conversation with the agent."""

    def __init__(self, target: Target, key: str) -> None:
        self._target = target
        self.key = key

    def turn(self, message: str, seconds: float = SECONDS) -> TurnAnswer:
        """Gives the agent a message and waits for its answer; see `Turn.result`."""
        return self.begin(message).result(seconds)

    def begin(self, message: str, *, stream: bool = False) -> Turn:
        """Gives the agent a message; ``stream`` has partial text published, as callers can ask."""
        body = {"message": message, "stream": stream}
        answer = self._target.call(self.key, "turn/send", body)
        return Turn(self._target, self.key, str(answer.json()["invocationId"]))

    def answer(
        self,
        request: PendingApproval,
        *,
        approved: bool,
        choice: str = "",
        by: str = "",
        comment: str = "",
        data: Any = None,
    ) -> AnswerReceipt:
        """Answers a request for an approval.

        Raises:
            TurnFailed: 403 if somebody else has to, 409 if it was answered, 400 if it doesn't fit.
        """
        given = ApprovalAnswer(
            id=request.id, approved=approved, choice=choice, by=by, comment=comment, data=data
        )
        answer = self._target.call(self.key, "answer", given.model_dump(mode="json"))
        return AnswerReceipt.model_validate_json(answer.content)

    def messages(self) -> list[Message]:
        """Returns the session's messages, oldest first."""
        answer = self._target.call(self.key, "history")
        return History.model_validate_json(answer.content).messages

    def decisions(self) -> list[AnsweredApproval]:
        """Returns who decided what so far."""
        answer = self._target.call(self.key, "decisions")
        return Approvals.model_validate_json(answer.content).answered

    def delete(self) -> bool:
        """Deletes the session, and cancels the turn that runs; returns whether there was one."""
        answer = self._target.call(self.key, "delete")
        return DeleteReceipt.model_validate_json(answer.content).deleted


class ServedAgent:
    """An agent on a real Restate."""

    def __init__(self, target: Target) -> None:
        self._target = target

    @property
    def name(self) -> str:
        """Its name in Restate."""
        return self._target.name

    def session(self, key: str = "") -> Session:
        """Returns the session of a key; a new one without."""
        return Session(self._target, key or uuid.uuid4().hex)

    def turn(self, message: str, seconds: float = SECONDS) -> TurnAnswer:
        """Runs the first turn of a new session; see `Session.turn`."""
        return self.session().turn(message, seconds)

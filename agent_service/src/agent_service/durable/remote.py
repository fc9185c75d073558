"""Calling another agent: a turn of its own, in a session that belongs to the caller's.

The other agent may be another AgentDeployment's. Restate holds the call, so neither process needs
to live while the other works.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, Final, Literal, override

from google.adk.tools.base_tool import BaseTool
from google.adk.tools.tool_context import ToolContext
from google.genai import types
from pydantic import BaseModel, ValidationError
from restate import TerminalError

from agent_service.api import TurnAnswer, TurnRequest
from agent_service.durable import children
from agent_service.durable.children import Child
from agent_service.durable.eager import attempts_in_vain
from agent_service.durable.identity import SessionId
from agent_service.durable.scope import TurnScope, current_turn, in_step
from agent_service.durable.suspension import sleep_until
from agent_service.errors import ConfigurationError

logger = logging.getLogger(__name__)

# A process that died, or a Restate that was away, is a likelier cause of fewer.
REFUSED_OFTEN: Final = 3


class RemoteAgent(BaseTool):
    """A tool that asks another agent; see ``remote_agent``."""

    def __init__(
        self,
        name: str,
        description: str,
        session: Literal["call", "conversation"],
        result: type[BaseModel] | None,
    ) -> None:
        super().__init__(name=name, description=description)
        self._policy = session
        self._result = result

    async def ask(self, message: str) -> TurnAnswer:
        """Asks the agent, and waits for its answer; for tools and workflow nodes of one's own.

        Raises:
            restate.TerminalError: the agent's turn failed for good, with its status and message;
                or this turn was cancelled.
            RuntimeError: called outside of a turn.
        """
        if in_step():
            raise TerminalError(
                f"{self.name} can't be called inside of a step: call it from a plain tool", 500
            )
        turn = current_turn()
        await turn.branches.enter()
        child = await self._child(turn)
        _warn_of_refusals(turn, child)
        body = TurnRequest(message=message).model_dump_json().encode()
        call = turn.context.generic_call(child.agent, "turn", body, child.session)
        # Restate knows the agent, so who looks for approvals there will get an answer.
        await call.invocation_id()
        children.begin_call(turn, child)
        sleep_until(turn.branches, call)
        try:
            answer = await call
        except TerminalError:
            children.end_call(turn, child)
            raise
        children.end_call(turn, child)
        # A newer revision may say more than this one knows.
        return TurnAnswer.model_validate_json(answer, extra="ignore")

    async def _child(self, turn: TurnScope) -> Child:
        """Names the session to ask in, and writes down that it belongs to this one."""
        keep = turn.context
        if self._policy == "conversation":
            child = self._named(turn)
            if await keep.get(children.state_key(child), serde=children.CHILDREN) is not None:
                return child
        else:
            turn.calls += 1
            call, again = f"{turn.number}.{turn.calls}", 1
            child = self._named(turn, call)
            while await keep.get(children.state_key(child), serde=children.CHILDREN) is not None:
                # The turn was restarted from a step before this call.
                again += 1
                child = self._named(turn, f"{call}.{again}")
        keep.set(children.state_key(child), child, serde=children.CHILDREN)
        return child

    def _named(self, turn: TurnScope, call: str = "") -> Child:
        name = children.session_name(turn.agent, turn.identity, turn.created_at, call)
        return Child(agent=self.name, session=SessionId(turn.identity.user, name).key)

    @override
    def _get_declaration(self) -> types.FunctionDeclaration:
        message = {"type": "string", "description": "What to ask; all that it needs to know."}
        return types.FunctionDeclaration(
            name=self.name,
            description=self.description,
            parameters_json_schema={
                "type": "object",
                "properties": {"message": message},
                "required": ["message"],
            },
        )

    @override
    async def run_async(self, *, args: dict[str, Any], tool_context: ToolContext) -> dict[str, Any]:
        """Asks for the model; what the agent's turn failed of is an answer, too."""
        message = str(args.get("message") or "").strip()
        if not message:
            return {"error": "message must not be empty", "status": int(HTTPStatus.BAD_REQUEST)}
        try:
            answer = await self.ask(message)
        except TerminalError as error:
            if in_step() or current_turn().branches.cancelled:
                raise
            return {"error": f"{self.name} failed: {error.message}", "status": error.status_code}
        return self._read(answer.answer)

    def _read(self, answer: str) -> dict[str, Any]:
        if self._result is None:
            return {"answer": answer}
        try:
            found = self._result.model_validate_json(answer)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "answer"
            why = f"{self.name} did not answer as {self._result.__name__}: {place}: {first['msg']}"
            return {"error": why, "status": int(HTTPStatus.BAD_GATEWAY), "answer": answer}
        return {"answer": found.model_dump(mode="json")}


def remote_agent(
    name: str,
    description: str,
    *,
    session: Literal["call", "conversation"] = "call",
    result: type[BaseModel] | None = None,
) -> RemoteAgent:
    """Makes a tool that asks another agent that agent_service serves on the same Restate.

    The call is durable: it is made once, and waiting for it needs no process. The model gets
    ``{"answer": ...}``; or ``{"error": ..., "status": ...}`` where the other agent's turn failed
    for good. A cancellation of the turn cancels the other agent's, too.

    Args:
        name: the agent's name (that of its ADK agent, not of its AgentDeployment); the tool has
            the same.
        description: what the model is told that the agent is good for.
        session: ``call``: each call begins a session of its own; ``conversation``: all calls from
            one session go to one session there, so that the agent remembers those before.
        result: what the agent's answer is read as, from JSON; text without it. (The other agent
            has it as ``output_schema``.)

    Raises:
        ConfigurationError: an argument is none of those.
    """
    if not name.isidentifier():
        raise ConfigurationError(f"remote_agent: {name!r} can't be an agent's name")
    if session not in ("call", "conversation"):
        raise ConfigurationError(
            f"remote_agent {name}: session must be 'call' or 'conversation', and is {session!r}"
        )
    return RemoteAgent(name, description, session, result)


def _warn_of_refusals(turn: TurnScope, child: Child) -> None:
    """Says what is likely if Restate refuses the call, which it tells nobody in this process."""
    if turn.replaying or (refused := attempts_in_vain()) < REFUSED_OFTEN:
        return
    logger.warning(
        "calling %s once more, after %d attempts in vain: is an agent of this name registered with"
        " Restate?",
        child.agent,
        refused,
    )

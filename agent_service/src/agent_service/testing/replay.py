"""Finds agents that don't replay as they ran.

Restate refuses a replay that makes other steps than the journal has. What an agent computes between
its steps is in no journal: a tool whose body rolls dice gives another result on each replay, and
nobody notices until the model has read one and the session keeps another. `ReplayWatch` compares
these too: tools' results, and what the model is asked.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, override
from weakref import WeakKeyDictionary

from google.adk.agents.callback_context import CallbackContext
from google.adk.agents.invocation_context import InvocationContext
from google.adk.apps.app import App
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.plugins.base_plugin import BasePlugin
from google.adk.tools.base_tool import BaseTool
from google.adk.tools.tool_context import ToolContext
from pydantic import BaseModel
from restate import TerminalError

from agent_service.durable.scope import current_turn

if TYPE_CHECKING:
    import restate

    from agent_service.durable.agents import Served

ADVICE = (
    "A turn is run again from its journal whenever it resumes, and must then do the same.\n"
    "What differs from run to run (random values, ids, the time, what other systems say)\n"
    "belongs into a step: restate_object_context().run_typed(...), or a @durable_tool; or take\n"
    "it from the context: await ctx.time(), ctx.uuid(), ctx.random()."
)
# What Restate says of an attempt that makes other steps than its journal has.
MISMATCH = "RT0016"
_NAMES = re.compile(r"^\s*name: (?P<before>.*) != (?P<now>.*)$", re.MULTILINE)
_LONGEST = 200
_FIRST = "at first"
_AGAIN = "when replayed"


@dataclass(frozen=True)
class Difference:
    """One thing that came out differently.

    Attributes:
        what: the tool or step, in words.
        how: what it was at first, and what on the replay.
    """

    what: str
    how: str

    def __str__(self) -> str:
        return (
            f"the agent is not deterministic: {self.what} differs on replay\n{self.how}\n{ADVICE}"
        )


def mismatch(error: str, command: str, index: int | None) -> Difference:
    """Makes a journal mismatch readable.

    Args:
        error: what Restate keeps of the attempt's failure.
        command: the name of the step that the replay attempted; empty if it has none.
        index: its place in the journal, from 0.
    """
    place = "" if index is None else f" (entry {index} of the journal)"
    names = _NAMES.search(error)
    if names is not None:
        how = f"  {_FIRST}: {names['before']}\n  {_AGAIN}: {names['now']}"
        return Difference(f"step {names['before']!r}{place}", how)
    details = "\n".join(f"  {line}" for line in error.splitlines() if line.strip())
    return Difference(f"step {command!r}{place}" if command else f"a step{place}", details)


class ReplayWatch(BasePlugin):
    """An ADK plugin that compares each attempt of a turn with those before it."""

    def __init__(self) -> None:
        super().__init__(name="agent_service_replay_watch")
        self._seen: dict[tuple[str, str, int], Any] = {}
        self._found: dict[str, Difference] = {}
        self._attempts: Counter[str] = Counter()
        self._passed: WeakKeyDictionary[restate.ObjectContext, Counter[str]] = WeakKeyDictionary()

    def attempts(self, invocation: str) -> int:
        """Returns how often a turn got as far as its agent."""
        return self._attempts[invocation]

    def difference(self, invocation: str) -> Difference | None:
        """Returns the first thing that differed in a turn."""
        return self._found.get(invocation)

    def around(self, served: Served) -> App:
        """Returns an app that runs ``served`` with this plugin in front of its own."""
        if isinstance(served, App):
            return served.model_copy(update={"plugins": [self, *served.plugins]})
        # No validation, as in durable_app: an agent's name is fit already.
        return App.model_construct(name=served.name, root_agent=served, plugins=[self])

    @override
    async def before_run_callback(self, *, invocation_context: InvocationContext) -> None:
        # Nested runners, which AgentTool makes, are the same attempt.
        context = current_turn().context
        if context not in self._passed:
            self._passed[context] = Counter()
            self._attempts[context.request().id] += 1

    @override
    async def before_model_callback(
        self, *, callback_context: CallbackContext, llm_request: LlmRequest
    ) -> LlmResponse | None:
        asked = {
            "contents": llm_request.contents,
            "system_instruction": llm_request.config.system_instruction,
            "tools": list(llm_request.tools_dict),
        }
        agent = callback_context.agent_name
        self._compare(f"model call of {agent}", f"what {agent} asks its model", asked)
        return None

    @override
    async def after_tool_callback(
        self,
        *,
        tool: BaseTool,
        tool_args: dict[str, Any],
        tool_context: ToolContext,
        result: Any,
    ) -> dict[str, Any] | None:
        key = f"tool {tool.name} {tool_context.function_call_id}"
        self._compare(key, f"the result of tool {tool.name!r}", result)
        return None

    def _compare(self, key: str, what: str, value: Any) -> None:
        context = current_turn().context
        invocation = context.request().id
        passed = self._passed.setdefault(context, Counter())
        passed[key] += 1
        found = _plain(value)
        before = self._seen.setdefault((invocation, key, passed[key]), found)
        how = first_difference(before, found)
        if how is None:
            return
        self._found.setdefault(invocation, Difference(what, how))
        # Its message is logged and kept; what differs is for the test alone.
        raise TerminalError(f"{what} differs on replay", HTTPStatus.INTERNAL_SERVER_ERROR)


def _plain(value: Any) -> Any:
    """JSON, in which objects that have no such form are named by their types."""

    def other(item: Any) -> Any:
        if isinstance(item, BaseModel):
            return item.model_dump(mode="json", exclude_none=True)
        return f"<{type(item).__qualname__}>"

    return json.loads(json.dumps(value, default=other))


def first_difference(before: Any, now: Any, path: str = "") -> str | None:
    """Says where two JSON values differ first, and how; ``None`` if they don't."""
    if isinstance(before, dict) and isinstance(now, dict):
        pairs = [(f"{path}.{key}".lstrip("."), key) for key in {**before, **now}]
        inner = [(where, before.get(key), now.get(key)) for where, key in pairs]
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        inner = [(f"{path}[{i}]", *pair) for i, pair in enumerate(zip(before, now, strict=True))]
    else:
        return None if before == now else _told(path, before, now)
    found = (first_difference(one, other, where) for where, one, other in inner)
    return next((how for how in found if how is not None), None)


def _told(path: str, before: Any, now: Any) -> str:
    where = f"  {path}\n" if path else ""
    return f"{where}  {_FIRST}: {_short(before)}\n  {_AGAIN}: {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."

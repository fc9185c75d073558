"""What callers send and get: the JSON of the turn API.

Restate's discovery publishes these as JSON schemas. Names are camelCase in JSON; times are ISO
8601 in UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """Base of everything that crosses the API."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        extra="forbid",
    )


class TurnRequest(ApiModel):
    """A user's message to the agent."""

    message: str = Field(description="What the user says; not empty.")
    stream: bool = Field(
        default=False, description="Whether partial text is to be read at {Agent}.streams."
    )


class Usage(ApiModel):
    """Tokens that the turn's model calls used, as the provider reported them."""

    model_calls: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0


class TurnAnswer(ApiModel):
    """What the agent answered."""

    answer: str = Field(description="The agent's text, without its thoughts.")
    agent: str
    user: str = Field(default="", description="Whose session it is; empty if nobody was named.")
    session: str
    turn: int = Field(description="The turn's number in the session, from 1.")
    revision: str = Field(description="The revision that finished the turn; empty if unknown.")
    usage: Usage = Usage()
    not_streamed: str = Field(
        default="", description="Why no partial text came though it was asked for; usually empty."
    )


class StreamQuery(ApiModel):
    """Which partial text to return."""

    turn: str = Field(
        default="",
        description="The turn's invocation id; without it the one that streams, or did last.",
    )
    offset: int = Field(default=0, ge=0, description="``next`` of the answer before; needs turn.")
    wait: float = Field(
        default=15.0, ge=0, le=30, description="Seconds to wait if there is nothing new."
    )


class StreamChunk(ApiModel):
    """A piece of text, as the model wrote it."""

    message: int = Field(description="Which of the turn's model calls it belongs to, from 1.")
    author: str = Field(default="", description="The agent whose model wrote it.")
    text: str = ""
    reset: bool = Field(
        default=False,
        description="What came of this message before is void: its attempt died, it begins anew.",
    )


class StreamPage(ApiModel):
    """What is new of a turn's partial text; one with nothing new has the same ``next``."""

    turn: str = Field(default="", description="Its invocation id; empty: no turn has streamed.")
    chunks: list[StreamChunk] = []
    next: int = Field(default=0, description="The offset to ask for next.")
    ended: bool = Field(default=False, description="No more comes of this turn.")
    reason: str = Field(default="", description="Why no text came of it; usually empty.")


class Message(ApiModel):
    """One message of a session's history."""

    role: Literal["user", "agent", "error"]
    text: str
    at: datetime
    turn: int
    revision: str = ""


class History(ApiModel):
    """A session as people read it, oldest message first."""

    agent: str
    user: str = ""
    session: str
    messages: list[Message] = []


class SessionQuery(ApiModel):
    """Which of a session's events to return; with neither, all of them."""

    num_recent_events: int | None = Field(
        default=None, ge=0, description="At most so many, the latest; 0: none."
    )
    after_timestamp: datetime | None = Field(
        default=None, description="Those from then on: ISO 8601, or seconds since 1970."
    )


class SessionView(ApiModel):
    """A session as ADK has it."""

    agent: str
    user: str = ""
    session: str
    created_at: datetime
    updated_at: datetime
    turns: int = Field(description="How many turns there are, a running one included.")
    state: dict[str, Any] = Field(description="With the user's (user:) and the agent's (app:).")
    events: list[dict[str, Any]] = Field(description="ADK's events, oldest first.")


class SessionEntry(ApiModel):
    """One session in a list."""

    session: str
    key: str = Field(description="What calls to the agent name it by.")
    created_at: datetime
    updated_at: datetime = Field(description="When its latest turn began.")


class SessionList(ApiModel):
    """A user's sessions, the latest used first."""

    agent: str
    user: str
    sessions: list[SessionEntry] = []


class UserList(ApiModel):
    """The users that an agent has had sessions of, in alphabetical order."""

    agent: str
    users: list[str] = []


class ArtifactEntry(ApiModel):
    """An artifact's version."""

    name: str
    version: int = Field(description="From 0.")
    mime_type: str = Field(default="", description="Empty if it isn't known.")
    size: int = Field(default=0, description="Of the content in bytes.")
    created_at: datetime
    metadata: dict[str, Any] = Field(default={}, description="What the agent gave along.")


class ArtifactList(ApiModel):
    """A session's artifacts, each with its latest version, and then its user's."""

    agent: str
    user: str = ""
    session: str
    artifacts: list[ArtifactEntry] = []


class ArtifactQuery(ApiModel):
    """Which version of which artifact."""

    name: str
    version: int | None = Field(default=None, ge=0, description="The latest unless given.")


class ArtifactContent(ArtifactEntry):
    """An artifact's version with its content, in one of three forms."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    text: str | None = None
    data: bytes | None = Field(default=None, description="As base64 (of RFC 4648's URL alphabet).")
    uri: str | None = Field(default=None, description="Where a file is that is kept elsewhere.")


class MemoryQuery(ApiModel):
    """What to look for in a user's memory."""

    query: str


class MemoryItem(ApiModel):
    """One thing that is remembered."""

    id: str
    text: str
    author: str = ""
    at: str = Field(default="", description="ISO 8601.")


class MemoryList(ApiModel):
    """What fits best, at most ten."""

    agent: str
    memories: list[MemoryItem] = []


class ForgetRequest(ApiModel):
    """What to forget."""

    id: str | None = Field(default=None, description="One thing; without it, all of it.")


class DeleteReceipt(ApiModel):
    """Says what became of a session that was to be deleted."""

    deleted: bool = Field(description="False: there was none.")


class CancelReceipt(ApiModel):
    """Says what was cancelled; the turn ends at its next await."""

    cancelled: str = Field(description="The turn's invocation id; empty if none ran.")


class PendingApproval(ApiModel):
    """Something that a turn waits for a person to decide."""

    id: str = Field(description="Restate's awakeable id; it is what the answer names.")
    title: str
    details: str = ""
    choices: list[str] = Field(default=[], description="What can be chosen; none: yes or no.")
    who: list[str] = Field(default=[], description="Who may answer; none: anybody.")
    requested_at: datetime
    deadline: datetime | None = Field(
        default=None, description="When it goes on without an answer, or asks somebody else."
    )
    escalated: bool = Field(default=False, description="Whether others were asked first, in vain.")
    agent: str = Field(
        default="", description="Which agent asks, where it is another one that this one called."
    )
    session: str = Field(default="", description="The key of that agent's session.")


class PendingApprovals(RootModel[list[PendingApproval]]):
    """All of one session's pending approvals, oldest first."""


class ApprovalAnswer(ApiModel):
    """A person's answer to a pending approval."""

    id: str
    approved: bool
    choice: str = Field(default="", description="One of the request's choices, if it has any.")
    by: str = Field(default="", description="Who answers.")
    comment: str = ""
    data: Any = Field(default=None, description="What the request asks for besides yes or no.")


class AnswerReceipt(ApiModel):
    """Says that an answer was handed to the waiting turn."""

    id: str
    approved: bool


class Decision(ApiModel):
    """The answer as the waiting turn gets it, and as it stays on record."""

    model_config = ConfigDict(extra="ignore")

    approved: bool
    choice: str = ""
    by: str = ""
    comment: str = ""
    data: Any = None
    at: datetime | None = None
    timed_out: bool = Field(default=False, description="Nobody answered in time.")


class AnsweredApproval(ApiModel):
    """What stays on record of an approval: what was asked, and who decided what, when."""

    request: PendingApproval
    decision: Decision


class Approvals(ApiModel):
    """All of one session's approvals that have been answered, oldest first."""

    answered: list[AnsweredApproval] = []

"""What was seen: ``AgentDeployment.status``, written by the operator alone."""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from agent_operator.api.base import ApiModel, list_by

MESSAGE_LENGTH: Final = 32_768
"""What the API conventions give a condition's message."""


class Phase(StrEnum):
    """Where a revision is in its life."""

    PENDING = "Pending"
    CHECKING = "Checking"
    ACTIVE = "Active"
    DRAINING = "Draining"
    DORMANT = "Dormant"
    DRAINED = "Drained"
    FAILED = "Failed"


class PodCounts(ApiModel):
    """Pods of one revision."""

    desired: int = Field(0, description="Pods asked for.")
    ready: int = Field(0, description="Pods ready to serve.")


class InvocationCounts(ApiModel):
    """Invocations that need one revision, by their state in Restate; completed ones don't."""

    running: int = Field(0, description="An attempt is under way.")
    suspended: int = Field(0, description="Waiting for an approval, a timer, a call or a promise.")
    backing_off: int = Field(0, description="Failed, and will be tried again.")
    paused: int = Field(0, description="Stopped until somebody resumes or kills it.")
    waiting: int = Field(0, description="Not begun: inboxed, scheduled or ready to start.")

    @property
    def total(self) -> int:
        """All of them."""
        return self.awake + self.suspended + self.paused

    @property
    def awake(self) -> int:
        """Those that want to run, and so need a pod."""
        return self.running + self.backing_off + self.waiting


class OldestInvocation(ApiModel):
    """The invocation that has needed a revision for longest."""

    id: str = Field(description="Restate's id of the invocation.")
    target: str = Field(description="Service, key and handler that it runs.")
    since: str = Field(description="When it was made (RFC 3339).")


class GateState(StrEnum):
    """How a gate stands."""

    PENDING = "Pending"
    RUNNING = "Running"
    PASSED = "Passed"
    FAILED = "Failed"


class GateStatus(ApiModel):
    """One gate of a candidate, as last seen."""

    name: str = Field(description="Name of the gate.")
    state: GateState = Field(description="How it stands.")
    message: str | None = Field(None, description="Why it failed, or what it waits for.")

    @property
    def passed(self) -> bool:
        """Whether the candidate passed it."""
        return self.state is GateState.PASSED


class RevisionStatus(ApiModel):
    """One revision, as last seen."""

    name: str = Field(description="Name of its ReplicaSet and Service.")
    phase: Phase = Field(description="Where it is in its life.")
    image: str = Field(description="The agent image that it runs.")
    deployment_id: str | None = Field(
        None, alias="deploymentID", description="Id of its deployment in Restate, once registered."
    )
    pods: PodCounts = Field(default_factory=PodCounts, description="Its pods.")
    invocations: InvocationCounts | None = Field(
        None,
        description="Invocations that need it, by state; absent while Restate can't be asked.",
    )
    oldest: OldestInvocation | None = Field(
        None, description="The invocation that has needed it for longest."
    )
    created: str | None = Field(None, description="When it was made (RFC 3339).")
    gates: list[GateStatus] | None = Field(
        None,
        description="What became of its gates, in their order.",
        json_schema_extra=list_by("name"),
    )
    reason: str | None = Field(None, description="Why it failed or is held up, in one word.")
    message: str | None = Field(None, description="What it waits for or why it failed.")


def _cut(text: Any) -> Any:
    """What others say may be of any length, and must not keep a status from being written."""
    long = isinstance(text, str) and len(text) > MESSAGE_LENGTH
    return f"{text[: MESSAGE_LENGTH - 1]}…" if long else text


class Condition(ApiModel):
    """A condition, by Kubernetes API conventions."""

    type: str = Field(description="Name of the condition.", max_length=316)
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(description="Why, in one word.", min_length=1, max_length=1024)
    message: Annotated[str, BeforeValidator(_cut)] = Field(
        "", description="Why, in words.", max_length=MESSAGE_LENGTH
    )
    last_transition_time: str = Field("", description="When status changed last (RFC 3339).")
    observed_generation: int | None = Field(
        None, description="The metadata.generation that this was seen for."
    )


class AgentDeploymentStatus(ApiModel):
    """What was seen of an AgentDeployment."""

    observed_generation: int | None = Field(
        None, description="The metadata.generation that the operator has acted on."
    )
    active_revision: str | None = Field(
        None, description="The revision that Restate gives new turns to."
    )
    candidate_revision: str | None = Field(
        None, description="The revision that the spec asks for, until it is active."
    )
    history: list[str] = Field(
        default_factory=list,
        description="Revisions that have been active, the latest first: going back to one of them"
        " is never refused for what a newer one added.",
    )
    services: list[str] = Field(
        default_factory=list, description="Restate services of the active revision."
    )
    replicas: int = Field(0, description="Pods of the active revision, or of the first one to be.")
    ready_replicas: int = Field(0, description="Those of them that are ready.")
    selector: str | None = Field(
        None, description="Label selector of the pods that replicas counts."
    )
    draining_revisions: int = Field(
        0, description="Revisions kept only for the invocations that began on them."
    )
    dormant_revisions: int = Field(
        0, description="Those of them that have no pods, since all that needs them sleeps."
    )
    draining_invocations: int = Field(
        0, description="Invocations that hold the draining revisions."
    )
    revisions: list[RevisionStatus] = Field(
        default_factory=list,
        description="All revisions that exist, newest first.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Ready, Progressing, Registered, Draining, Stuck, RestateReachable.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )

    def dump(self) -> dict[str, Any]:
        """The status as the API server takes it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

"""What a plan may ask for. Each action may be repeated, and a crash between two is repaired."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agent_operator.api import names, times
from agent_operator.api.scaling import Autoscaler
from agent_operator.reconcile.move_record import Moves
from agent_operator.reconcile.revisions import Wanted
from agent_operator.reconcile.snapshot import Revision
from agent_operator.restate.server import Server


@dataclass(frozen=True)
class AddFinalizer:
    """Hold the object in deletion until Restate needs none of its revisions."""


@dataclass(frozen=True)
class RemoveFinalizer:
    """Let the object go: nothing of it is left."""


@dataclass(frozen=True)
class CreateRevision:
    """Make what is missing of a revision: its ReplicaSet, its Service."""

    wanted: Wanted


@dataclass(frozen=True)
class RestoreService:
    """Make the Service of a revision again: somebody deleted it."""

    revision: Revision


@dataclass(frozen=True)
class PublishUnready:
    """Let the Service of a revision lead to pods that aren't Ready, too, or no more."""

    revision: Revision
    early: bool


@dataclass(frozen=True)
class ScaleRevision:
    """Ask for another number of pods. From none to some, what waits is to be resumed later."""

    revision: Revision
    replicas: int


@dataclass(frozen=True)
class Annotate:
    """Keep something on record at a revision's ReplicaSet; ``None`` takes a note away.

    With a ``role``, new pods are labelled with it.
    """

    revision: Revision
    notes: Mapping[str, str | None]
    role: str | None = None


@dataclass(frozen=True)
class LabelPods:
    """Label pods that live with their revision's role."""

    revision: Revision
    pods: tuple[str, ...]
    role: str


@dataclass(frozen=True)
class PointService:
    """Let the Service named like the agent lead to a revision's pods."""

    revision: Revision
    port: int
    exists: bool


@dataclass(frozen=True)
class SetAutoscaler:
    """Let a revision have this autoscaler, or none."""

    revision: Revision
    autoscaler: Autoscaler | None


@dataclass(frozen=True)
class SetBudget:
    """Let a revision have a disruption budget, or none."""

    revision: Revision
    present: bool


@dataclass(frozen=True)
class LetSleep:
    """Look once more, then take the pods of an active revision that nobody talks to."""

    revision: Revision
    deployment_id: str
    since: datetime


Tending = PublishUnready | LabelPods | PointService | SetAutoscaler | SetBudget
"""What goes along with the main actions."""


@dataclass(frozen=True)
class CheckRevision:
    """Check a candidate by a dry run, before its gates or its promotion."""

    revision: Revision


@dataclass(frozen=True)
class StartGate:
    """Make the Job of one of a candidate's gates."""

    revision: Revision
    gate: str


@dataclass(frozen=True)
class TrustGate:
    """Let a candidate's pods take requests of a gate's own Restate server, by its public key.

    ``None``: no more.
    """

    revision: Revision
    key: str | None


@dataclass(frozen=True)
class RemoveGate:
    """Delete the Job of a gate that is over."""

    job: str


@dataclass(frozen=True)
class RegisterRevision:
    """Register with Restate, which gives the revision all new turns of its services."""

    revision: Revision


@dataclass(frozen=True)
class ResumeInvocations:
    """Let what waits for Restate's next try go on now: the pods are back."""

    revision: Revision
    deployment_id: str


@dataclass(frozen=True)
class EndInvocations:
    """Cancel or kill what needs a revision: a deadline is over, or the user wants it gone."""

    revision: Revision
    deployment_id: str
    how: Literal["cancel", "kill"]


@dataclass(frozen=True)
class MoveInvocations:
    """Go on with moving what holds a revision to the deployment of ``record``.

    Without ``begin`` only what is half moved is brought to an end.
    """

    revision: Revision
    deployment_id: str
    record: Moves
    begin: bool


@dataclass(frozen=True)
class RepinInvocations:
    """Let what is pinned to an id that Restate lost go on under the deployment's new id."""

    revision: Revision
    old_id: str
    new_id: str


@dataclass(frozen=True)
class ReopenServices:
    """Open what was closed to the ingress for a removal that did not come about."""

    revision: Revision


@dataclass(frozen=True)
class RemoveRevision:
    """Look once more, then deregister the revision and delete what it was made of.

    ``deployment_id`` is absent where Restate does not know it.
    """

    revision: Revision
    deployment_id: str | None


@dataclass(frozen=True)
class ForgetDeployment:
    """Deregister a deployment of this agent whose revision is gone, and that nothing needs."""

    restate: Server
    deployment_id: str


Action = (
    AddFinalizer
    | RemoveFinalizer
    | CreateRevision
    | RestoreService
    | Tending
    | LetSleep
    | ScaleRevision
    | Annotate
    | CheckRevision
    | StartGate
    | TrustGate
    | RemoveGate
    | RegisterRevision
    | ResumeInvocations
    | EndInvocations
    | MoveInvocations
    | RepinInvocations
    | ReopenServices
    | RemoveRevision
    | ForgetDeployment
)


def revision_of(action: Action) -> str | None:
    """The name of the revision that an action is about, if it is about one."""
    match action:
        case CreateRevision():
            return action.wanted.name
        case AddFinalizer() | RemoveFinalizer() | ForgetDeployment() | RemoveGate():
            return None
    return action.revision.name


def subject(action: Action) -> tuple[str, str]:
    """What an action is and about what: the same for its next attempt, whatever its details."""
    if isinstance(action, ForgetDeployment):
        return type(action).__name__, action.deployment_id
    if isinstance(action, RemoveGate):
        return type(action).__name__, action.job
    return type(action).__name__, revision_of(action) or ""


def mark_idle(revision: Revision, since: datetime | None) -> Annotate:
    """Since when nothing needs the revision; ``None``: something does again."""
    return Annotate(revision, {names.IDLE_SINCE_ANNOTATION: _text(since)})


def mark_quiet(revision: Revision, since: datetime | None) -> Annotate:
    """Since when all that needs the revision sleeps; ``None``: it doesn't."""
    return Annotate(revision, {names.QUIET_SINCE_ANNOTATION: _text(since)})


def mark_untouched(revision: Revision, since: datetime | None) -> Annotate:
    """Since when nobody has talked to an active revision; ``None``: nobody wants to know."""
    return Annotate(revision, {names.UNTOUCHED_SINCE_ANNOTATION: _text(since)})


def mark_draining(revision: Revision, since: datetime | None) -> Annotate:
    """Since when the revision takes no new turns; ``None``: it is wanted again."""
    return Annotate(revision, {names.DRAINING_SINCE_ANNOTATION: _text(since)})


def clear_failure(revision: Revision) -> Annotate:
    """A failure that holds no more: the spec changed, or it became active after all."""
    return Annotate(revision, {names.FAILURE_ANNOTATION: None})


def _text(moment: datetime | None) -> str | None:
    return times.rfc3339(moment) if moment else None

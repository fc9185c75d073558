"""What a plan may ask for. Each action may be repeated, and a crash between two is repaired."""

from dataclasses import dataclass
from datetime import datetime

from agent_operator.reconcile.revisions import Wanted
from agent_operator.reconcile.snapshot import Revision


@dataclass(frozen=True)
class AddFinalizer:
    """Hold the object in deletion until Restate needs none of its revisions."""


@dataclass(frozen=True)
class RemoveFinalizer:
    """Let the object go: nothing of it is left."""


@dataclass(frozen=True)
class CreateRevision:
    """Make what is missing of a revision: its Service, its ReplicaSet."""

    wanted: Wanted


@dataclass(frozen=True)
class ScaleRevision:
    """Ask for another number of pods. From none to some, what waits is to be resumed later."""

    revision: Revision
    replicas: int


@dataclass(frozen=True)
class RegisterRevision:
    """Register with Restate, which gives the revision all new turns of its services."""

    revision: Revision


@dataclass(frozen=True)
class MarkIdle:
    """Keep on record since when nothing needs the revision; ``None``: something does again."""

    revision: Revision
    since: datetime | None


@dataclass(frozen=True)
class MarkQuiet:
    """Keep on record since when all that needs the revision sleeps; ``None``: it doesn't."""

    revision: Revision
    since: datetime | None


@dataclass(frozen=True)
class ResumeInvocations:
    """Let what waits for Restate's next try go on now: the pods are back."""

    revision: Revision
    deployment_id: str


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

    admin_url: str
    deployment_id: str


Action = (
    AddFinalizer
    | RemoveFinalizer
    | CreateRevision
    | ScaleRevision
    | RegisterRevision
    | MarkIdle
    | MarkQuiet
    | ResumeInvocations
    | RemoveRevision
    | ForgetDeployment
)

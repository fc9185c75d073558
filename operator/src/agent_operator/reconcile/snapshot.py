"""Everything that ``plan`` may know: one immutable picture of an agent, its pods and Restate."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from agent_operator.api import AgentDeployment
from agent_operator.reconcile.gate_facts import GateJob, GateRecord
from agent_operator.reconcile.move_record import Moves
from agent_operator.reconcile.revisions import Wanted
from agent_operator.restate.server import Calling, Server
from agent_operator.restate.view import RestateView, Unreachable


@dataclass(frozen=True)
class Failure:
    """Why a revision will never be active: kept on its ReplicaSet, final until the spec changes."""

    reason: str
    message: str


@dataclass(frozen=True)
class Config:
    """What pods would find in Secrets and ConfigMaps, where a change of it makes a revision.

    ``digest`` is empty where that can't be told; ``trouble`` says why, or what is missing.
    """

    digest: str
    trouble: Failure | None = None


@dataclass(frozen=True)
class Revision:
    """A revision as found in the cluster.

    ``waking``: its pods were scaled away and come back (since when: ``waking_since``); what waits
    for them is to be resumed.
    ``trouble`` says why its pods don't start, if they don't, and ``waits_for`` what they wait for.
    ``deployment_id`` is what Restate gave it at its last registration; ``registering`` whether a
    registration was ever begun.
    ``published``: its Service leads to pods that aren't Ready, too. ``role`` is what new pods are
    labelled with, ``pod_roles`` what those that live are; ``autoscaled`` tells which autoscaler it
    has, ``budget`` whether it has a disruption budget; of an active one ``untouched_since`` notes
    since when nobody has talked to it.
    ``moves`` is the record of moving its invocations to the active revision. ``orphaned``: the
    AgentDeployment that made it went without it.
    ``trusted`` are the gates' keys that its pods trust (``None``: no key).
    ``calling`` is how Restate is told to call it. ``closed``: its services that the operator has
    closed to the ingress, before a removal. ``lost_ids`` are ids that Restate gave it and lost.
    """

    name: str
    image: str
    uri: str
    restate: Server
    created: datetime
    replicas: int = 0
    ready: int = 0
    has_service: bool = True
    published: bool | None = None
    deployment_id: str | None = None
    registering: bool = False
    failure: Failure | None = None
    idle_since: datetime | None = None
    draining_since: datetime | None = None
    quiet_since: datetime | None = None
    waking: bool = False
    waking_since: datetime | None = None
    moves: Moves | None = None
    orphaned: bool = False
    trouble: Failure | None = None
    calling: Calling = field(default_factory=Calling)
    closed: tuple[str, ...] = ()
    lost_ids: tuple[str, ...] = ()
    waits_for: str | None = None
    spec_hash: str | None = None
    checked: bool = False
    gates: GateRecord | None = None
    trusted: frozenset[str | None] = frozenset()
    role: str | None = None
    pod_roles: tuple[tuple[str, str], ...] = ()
    autoscaled: str | None = None
    budget: bool | None = None
    untouched_since: datetime | None = None


@dataclass(frozen=True)
class Front:
    """The Service named like the agent: where it leads, if there is one.

    ``taken``: there is one, but not the agent's.
    """

    revision: str | None = None
    port: int | None = None
    taken: bool = False


@dataclass(frozen=True)
class Setback:
    """Why the wanted revision could not be made or registered so far; it is tried again.

    ``final``: not until the spec changes, since the answer would be the same.
    """

    reason: str
    message: str
    final: bool = False


@dataclass(frozen=True)
class FailingAction:
    """An action, no step of a rollout, that failed several times in a row; it is tried again."""

    action: str
    revision: str | None
    message: str

    @property
    def reason(self) -> str:
        """In one word, such as ``RemoveRevisionFailed``."""
        return f"{self.action}Failed"

    @property
    def in_words(self) -> str:
        """What does not work, and why."""
        return f"{self.action} does not work: {self.message}"


@dataclass(frozen=True)
class Snapshot:
    """The agent, the revision it wants, those it has, and each Restate that one of them uses.

    ``setback``, ``failing``, and whether ``front`` is taken, are from the operator's memory: losing
    them loses a message until the next try. ``cluster`` is this cluster's id, as its registrations
    have it.
    """

    agent: AgentDeployment
    wanted: Wanted
    revisions: tuple[Revision, ...] = ()
    restates: Mapping[Server, RestateView | Unreachable] = field(default_factory=dict)
    setback: Setback | None = None
    config: Config | None = None
    jobs: tuple[GateJob, ...] = ()
    front: Front | None = None
    cluster: str = ""
    failing: tuple[FailingAction, ...] = ()

    @property
    def target(self) -> Revision | None:
        """The wanted revision, if it has been made."""
        return next((r for r in self.revisions if r.name == self.wanted.name), None)

    def failing_at(self, revision: str | None) -> FailingAction | None:
        """The first action that keeps failing of those about a revision, or about none."""
        return next((found for found in self.failing if found.revision == revision), None)

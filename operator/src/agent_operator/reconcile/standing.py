"""Where each revision stands: its phase, what needs it, and whether new turns go to it. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agent_operator.api import Phase, names
from agent_operator.reconcile import clusters, gates, lateness
from agent_operator.reconcile.last_active import last_active
from agent_operator.reconcile.pinned import loads
from agent_operator.reconcile.snapshot import Failure, Revision, Snapshot
from agent_operator.restate.view import Deployment, Load, RestateView, Unreachable

BREAKING_CHANGES: Final = "BreakingChanges"
"""Reason of a failure that is one no longer once the spec allows breaking changes."""


@dataclass(frozen=True)
class Standing:
    """One revision, judged. ``load`` and ``deployment`` are ``None`` while Restate can't be asked.

    ``routed``: new turns of at least one of its services go to it. ``failure`` says why it has
    failed, where it has. ``stranded`` are ids that Restate lost and work is pinned to.
    ``awaited``: it takes new turns, and work of another revision is due to be moved to it.
    """

    revision: Revision
    phase: Phase
    known: bool
    deployment: Deployment | None = None
    load: Load | None = None
    routed: bool = False
    failure: Failure | None = None
    stranded: tuple[str, ...] = ()
    awaited: bool = False

    @property
    def active(self) -> bool:
        """Whether it takes the agent's new turns."""
        return self.phase is Phase.ACTIVE

    @property
    def unneeded(self) -> bool:
        """Whether it is certain that no invocation needs it. Unknown is never certain."""
        if self.revision.moves and self.revision.moves.open:
            return False  # what is half moved may have to come back
        if self.load is None:
            return not self.known and not self.revision.registering
        return self.load.counts.total == 0


def judge_all(snapshot: Snapshot, now: datetime) -> tuple[Standing, ...]:
    """Judge every revision of an agent, in the snapshot's order."""
    target_active = target_takes_all_turns(snapshot)
    return tuple(_judge(revision, snapshot, target_active, now) for revision in snapshot.revisions)


def failure_of(snapshot: Snapshot, revision: Revision) -> Failure | None:
    """Why a revision will never be active, as far as that still holds."""
    allowed = snapshot.agent.spec.rollout.breaking_changes == "Allow"
    if revision.failure and revision.failure.reason == BREAKING_CHANGES and allowed:
        return None
    return None if gates.outdated(snapshot, revision) else revision.failure


def foreign_holder(snapshot: Snapshot, standing: Standing) -> Deployment | None:
    """A deployment of somebody else that took over a service of a revision, if there is one."""
    view = snapshot.restates.get(standing.revision.restate)
    if not isinstance(view, RestateView) or standing.deployment is None:
        return None
    ours = {revision.uri for revision in snapshot.revisions}
    for service in standing.deployment.services:
        holder = view.by_id(view.route(service))
        if holder and holder.uri not in ours and not is_of(snapshot, holder):
            return holder
    return None


def is_of(snapshot: Snapshot, deployment: Deployment) -> bool:
    """Whether a deployment was registered for this AgentDeployment."""
    return owner(deployment) == full_name(snapshot) and not clusters.of_another(
        snapshot, deployment
    )


def owner(deployment: Deployment) -> str | None:
    """The AgentDeployment that a deployment was registered for, as namespace/name."""
    return deployment.metadata.get(names.OWNER_KEY)


def full_name(snapshot: Snapshot) -> str:
    """The agent's namespace/name, as kept in the deployment's metadata."""
    return f"{snapshot.agent.metadata.namespace}/{snapshot.agent.metadata.name}"


def is_spare(snapshot: Snapshot, revision: Revision) -> bool:
    """Whether it took turns last and must be able to again, as the wanted one doesn't take them."""
    if snapshot.agent.deleting or revision is snapshot.target:
        return False
    took_them = revision.name == last_active(snapshot.agent)
    return took_them and not target_takes_all_turns(snapshot)


def target_takes_all_turns(snapshot: Snapshot) -> bool:
    """Whether the wanted revision is active."""
    target = snapshot.target
    if target is None:
        return False
    view = snapshot.restates.get(target.restate)
    if not isinstance(view, RestateView):
        return False
    deployment = clusters.own(snapshot, view, target.uri)
    return deployment is not None and view.holds_all_routes(deployment)


def _judge(revision: Revision, snapshot: Snapshot, target_active: bool, now: datetime) -> Standing:
    view = snapshot.restates.get(revision.restate)
    is_target = revision.name == snapshot.wanted.name and not snapshot.agent.deleting
    lasting = failure_of(snapshot, revision)
    failure = _failure(revision, snapshot, now) if is_target else lasting
    if view is None or isinstance(view, Unreachable):
        phase = _phase_unseen(revision, snapshot, is_target, failure)
        return Standing(revision, phase, known=False, failure=_if_failed(phase, failure))
    deployment = clusters.own(snapshot, view, revision.uri)
    load, stranded = loads(view, revision, deployment)
    routed = deployment is not None and view.holds_a_route(deployment.id)
    if is_target:
        phase = Phase.ACTIVE if target_active else _phase_of_candidate(revision, failure)
    elif routed and not target_active and not snapshot.agent.deleting:
        phase = Phase.ACTIVE
    elif load.counts.total or (revision.moves and revision.moves.open):
        phase = Phase.DRAINING if revision.replicas else Phase.DORMANT
    else:
        phase = Phase.FAILED if lasting else Phase.DRAINED
    return Standing(
        revision,
        phase,
        True,
        deployment,
        load,
        routed,
        failure=_if_failed(phase, failure),
        stranded=stranded,
    )


def _phase_of_candidate(revision: Revision, failure: Failure | None) -> Phase:
    if failure:
        return Phase.FAILED
    ready = revision.replicas > 0 and revision.ready >= revision.replicas
    return Phase.CHECKING if ready else Phase.PENDING


def _phase_unseen(
    revision: Revision, snapshot: Snapshot, is_target: bool, failure: Failure | None
) -> Phase:
    """While Restate can't be asked, what was last seen of it is still the best guess."""
    last = _last_phase(snapshot, revision.name)
    if last in {Phase.ACTIVE, Phase.DRAINING, Phase.DORMANT, Phase.DRAINED}:
        return Phase.DRAINING if last is Phase.ACTIVE and snapshot.agent.deleting else last
    if is_target:
        return _phase_of_candidate(revision, failure)
    return Phase.DRAINING if revision.registering else Phase.DRAINED


def _last_phase(snapshot: Snapshot, name: str) -> Phase | None:
    """The phase of a revision in the status as last written."""
    for entry in snapshot.agent.status.get("revisions", ()):
        if entry.get("name") == name:
            return Phase(entry["phase"])
    return None


def _failure(revision: Revision, snapshot: Snapshot, now: datetime) -> Failure | None:
    if lasting := failure_of(snapshot, revision):
        return lasting
    left = lateness.time_left(snapshot, revision, now)
    if left is None or left > timedelta(0):
        return None
    detail = revision.trouble or snapshot.setback or (snapshot.config and snapshot.config.trouble)
    words = detail.message if detail else revision.waits_for
    why = f": {words}" if words else ""
    seconds = int(lateness.deadline(snapshot).total_seconds())
    return Failure(
        "ProgressDeadlineExceeded",
        f"not active within {seconds} s{why}; it is still given its chance",
    )


def _if_failed(phase: Phase, failure: Failure | None) -> Failure | None:
    return failure if phase is Phase.FAILED else None

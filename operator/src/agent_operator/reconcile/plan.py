"""All policy: from a snapshot to what to do, what to show, and when to look again. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agent_operator.api import AgentDeploymentStatus, Phase, durations, names
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import status
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.reconcile.standing import Standing, failure_of, foreign_holder, is_of, judge_all
from agent_operator.restate.view import RestateView, Unreachable

SOON: Final = timedelta(seconds=1)
STEADY: Final = timedelta(seconds=60)


@dataclass(frozen=True)
class Plan:
    """What to do now, in order, what to show, and how long until the next look at the latest."""

    actions: tuple[do.Action, ...]
    status: AgentDeploymentStatus
    look_again: timedelta


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """Decide. The same snapshot and time always give the same plan."""
    standings = judge_all(snapshot, now)
    if snapshot.agent.deleting:
        actions = _delete(snapshot, standings, now)
    else:
        actions = _roll_out(snapshot, standings, now)
    return Plan(
        actions=(*_forget(snapshot), *actions),
        status=status.build(snapshot, standings, now),
        look_again=_look_again(snapshot, standings, now),
    )


def may_remove(standing: Standing, *, target_active: bool, deleting: bool) -> bool:
    """Whether a revision may go: nothing needs it, and new turns have somewhere else to go."""
    if not standing.unneeded:
        return False
    return deleting or target_active or not standing.routed


def _roll_out(
    snapshot: Snapshot, standings: tuple[Standing, ...], now: datetime
) -> list[do.Action]:
    if names.FINALIZER not in snapshot.agent.metadata.finalizers:
        return [do.AddFinalizer()]
    target = next((s for s in standings if s.revision is snapshot.target), None)
    actions = _pursue(snapshot, target, now)
    target_active = target is not None and target.known and target.active
    for standing in standings:
        if standing is not target:
            actions += _retire(snapshot, standing, target_active, now)
    return actions


def _pursue(snapshot: Snapshot, target: Standing | None, now: datetime) -> list[do.Action]:
    """Bring the wanted revision up and make it the active one."""
    held_up = _held_up(snapshot, now)
    if target is None or not target.revision.has_service:
        return [] if held_up else [do.CreateRevision(snapshot.wanted)]
    actions: list[do.Action] = []
    revision = target.revision
    if revision.idle_since:
        actions.append(do.MarkIdle(revision, None))
    # A refused revision holds no pods.
    replicas = 0 if failure_of(snapshot, revision) else snapshot.wanted.replicas
    if revision.replicas != replicas:
        actions.append(do.ScaleRevision(revision, replicas))
    elif _may_register(snapshot, target) and not held_up:
        actions.append(do.RegisterRevision(revision))
    elif revision.waking:
        actions += _resume(target)
    return actions


def _may_register(snapshot: Snapshot, target: Standing) -> bool:
    revision = target.revision
    if not target.known or target.active or failure_of(snapshot, revision):
        return False
    if revision.replicas == 0 or revision.ready < revision.replicas:
        return False
    # Once it was active and somebody else has taken over since: told in the status, not fought.
    return not (revision.deployment_id and foreign_holder(snapshot, target))


def _retire(
    snapshot: Snapshot, standing: Standing, target_active: bool, now: datetime
) -> list[do.Action]:
    """Let a revision that isn't wanted any more go, as soon as nothing needs it."""
    revision = standing.revision
    if not may_remove(standing, target_active=target_active, deleting=False):
        needed_again = standing.known and revision.idle_since
        return [
            *([do.MarkIdle(revision, None)] if needed_again else []),
            *_rest(snapshot, standing, now),
        ]
    if standing.deployment is None:
        return [do.RemoveRevision(revision, None)]
    delay = durations.parse(snapshot.agent.spec.drain.delay)
    if revision.idle_since is None and delay:
        return [do.MarkIdle(revision, now)]
    if revision.idle_since and now < revision.idle_since + delay:
        return []
    return [do.RemoveRevision(revision, standing.deployment.id)]


def _rest(snapshot: Snapshot, standing: Standing, now: datetime) -> list[do.Action]:
    """Sleeping work holds no pods; what wakes gets them back, and goes on when they are there."""
    revision = standing.revision
    if standing.load is None or standing.phase not in {Phase.DRAINING, Phase.DORMANT}:
        return []
    if standing.load.wants_pods and revision.replicas == 0:
        return [do.ScaleRevision(revision, max(snapshot.wanted.replicas, 1))]
    if revision.waking:
        return _resume(standing)
    asleep = revision.replicas > 0 and not standing.load.counts.awake
    if not asleep or snapshot.agent.spec.drain.idle == "Keep":
        return [do.MarkQuiet(revision, None)] if revision.quiet_since else []
    quiet = durations.parse(snapshot.agent.spec.drain.quiet)
    if revision.quiet_since is None and quiet:
        return [do.MarkQuiet(revision, now)]
    if revision.quiet_since and now < revision.quiet_since + quiet:
        return []
    return [do.ScaleRevision(revision, 0)]


def _resume(standing: Standing) -> list[do.Action]:
    if standing.revision.ready == 0 or standing.deployment is None:
        return []
    return [do.ResumeInvocations(standing.revision, standing.deployment.id)]


def _delete(snapshot: Snapshot, standings: tuple[Standing, ...], now: datetime) -> list[do.Action]:
    if names.FINALIZER not in snapshot.agent.metadata.finalizers:
        return []
    if not standings:
        return [do.RemoveFinalizer()]
    actions: list[do.Action] = []
    for standing in standings:
        if may_remove(standing, target_active=False, deleting=True):
            deployment_id = standing.deployment.id if standing.deployment else None
            actions.append(do.RemoveRevision(standing.revision, deployment_id))
        else:
            actions += _rest(snapshot, standing, now)
    return actions


def _forget(snapshot: Snapshot) -> list[do.Action]:
    """Registrations of ours without a revision: its ReplicaSet was deleted by hand, say."""
    known = {snapshot.wanted.uri, *(revision.uri for revision in snapshot.revisions)}
    return [
        do.ForgetDeployment(url, deployment.id)
        for url, view in snapshot.restates.items()
        if isinstance(view, RestateView)
        for deployment in view.deployments
        if is_of(snapshot, deployment)
        and deployment.uri not in known
        and not view.holds_a_route(deployment.id)
        and not view.load(deployment.id).counts.total
    ]


def _held_up(snapshot: Snapshot, now: datetime) -> bool:
    setback = snapshot.setbacks.get(snapshot.wanted.name)
    return setback is not None and now < setback.retry_at


def _look_again(snapshot: Snapshot, standings: tuple[Standing, ...], now: datetime) -> timedelta:
    waits = [STEADY]
    if any(isinstance(view, Unreachable) for view in snapshot.restates.values()):
        waits.append(SOON)
    waits += [setback.retry_at - now for setback in snapshot.setbacks.values()]
    settled = len(standings) == 1 and standings[0].active and not snapshot.agent.deleting
    if not settled:
        waits.append(SOON)
    waits += [_idle_left(snapshot, s.revision, now) for s in standings if s.revision.idle_since]
    return max(min(waits), timedelta(0))


def _idle_left(snapshot: Snapshot, revision: Revision, now: datetime) -> timedelta:
    delay = durations.parse(snapshot.agent.spec.drain.delay)
    return (revision.idle_since or now) + delay - now

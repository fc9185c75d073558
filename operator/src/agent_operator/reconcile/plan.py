"""All policy: from a snapshot to what to do, what to show, and when to look again. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from agent_operator.api import AgentDeploymentStatus, durations, names
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import (
    config_changes,
    deadlines,
    gates,
    history,
    idle,
    lateness,
    limits,
    lost,
    moves,
    orphaning,
    parked,
    scaling,
    status,
    suspension,
    tend,
)
from agent_operator.reconcile.asleep import only_asleep
from agent_operator.reconcile.ghosts import Ghost, ghosts_of
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.reconcile.standing import (
    Standing,
    failure_of,
    foreign_holder,
    is_spare,
    judge_all,
)
from agent_operator.restate.view import Unreachable

SOON: Final = timedelta(seconds=1)
SLOW: Final = timedelta(seconds=10)
ASLEEP: Final = timedelta(seconds=30)
STEADY: Final = timedelta(seconds=60)


@dataclass(frozen=True)
class Plan:
    """What to do now, in order, what to show, and how long until the next look at the latest."""

    actions: tuple[do.Action, ...]
    status: AgentDeploymentStatus
    look_again: timedelta


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """Decide. The same snapshot and time always give the same plan."""
    standings = moves.judge(snapshot, judge_all(snapshot, now), now)
    if snapshot.agent.suspended:
        seen = status.build(snapshot, standings, now)
        return Plan((), seen, suspension.LOOK_AGAIN)
    if snapshot.agent.deleting:
        actions = _delete(snapshot, standings, now)
    else:
        actions = _roll_out(snapshot, standings, now)
    return Plan(
        actions=tuple(tend.around(snapshot, standings, actions)),
        status=status.build(snapshot, standings, now),
        look_again=_look_again(snapshot, standings, now),
    )


def may_remove(snapshot: Snapshot, standing: Standing, *, target_active: bool) -> bool:
    """Whether a revision may go: nothing needs it, and new turns have somewhere else to go."""
    if not standing.unneeded:
        return False
    if snapshot.agent.deleting or target_active or not standing.revision.registering:
        return True
    # Somebody else may have taken its turns over for a while: nothing else could have them back.
    if is_spare(snapshot, standing.revision):
        return False
    # Not listed is not the same as not needed: a Restate may have lost its registrations.
    return standing.deployment is not None and not standing.routed


def _roll_out(snapshot: Snapshot, standings: Sequence[Standing], now: datetime) -> list[do.Action]:
    if names.FINALIZER not in snapshot.agent.metadata.finalizers:
        return [do.AddFinalizer()]
    target = next((s for s in standings if s.revision is snapshot.target), None)
    actions = [
        *orphaning.adopt(standings),
        *_record(standings),
        *gates.housekeeping(snapshot),
    ]
    if not limits.waits(snapshot, standings):
        actions += _pursue(snapshot, target, now)
    kept = history.kept(snapshot, standings)
    target_active = target is not None and target.known and target.active
    for standing in standings:
        if standing.revision.name in kept:
            actions += history.rest(snapshot, standing, now)
        elif standing is not target:
            actions += _retire(snapshot, standing, target_active, now)
    actions += moves.due(snapshot, standings, now)
    actions += lost.restore_active(snapshot, standings)
    actions += [_forget(ghost) for ghost in ghosts_of(snapshot) if ghost.forgettable]
    return actions


def _record(standings: Sequence[Standing]) -> list[do.Action]:
    """Keep on record what Restate says, however a registration ended for the operator."""
    actions: list[do.Action] = []
    for standing in standings:
        revision = standing.revision
        actions += lost.record(standing)
        if standing.known and standing.active and revision.failure:
            actions.append(do.clear_failure(revision))
    return actions


def _pursue(snapshot: Snapshot, target: Standing | None, now: datetime) -> list[do.Action]:
    """Bring the wanted revision up and make it the active one."""
    if target is None or not target.revision.has_service:
        wait = config_changes.must_wait(snapshot)
        first = replace(snapshot.wanted, replicas=scaling.start(snapshot))
        return [] if wait else [do.CreateRevision(first)]
    revision = target.revision
    if failure_of(snapshot, revision) and not target.active:
        return _give_up(snapshot, target, now)
    actions: list[do.Action] = []
    if revision.idle_since:
        actions.append(do.mark_idle(revision, None))
    if revision.draining_since:
        actions.append(do.mark_draining(revision, None))
    if (replicas := scaling.replicas_due(snapshot, target)) is not None:
        actions.append(do.ScaleRevision(revision, replicas))
    elif _may_register(snapshot, target):
        before = gates.before_turns(snapshot, revision)
        actions += [do.RegisterRevision(revision)] if before is None else before
        if before is not None and revision.waking:
            actions += _resume(target)
    elif revision.waking:
        actions += _resume(target)
    elif target.active:
        actions += idle.due(snapshot, target, now)
    return actions


def _give_up(snapshot: Snapshot, target: Standing, now: datetime) -> list[do.Action]:
    """A refused revision holds no pods, unless turns of an earlier time still need them."""
    if target.load is None or target.load.counts.total:
        return _rest(snapshot, target, now)
    return [do.ScaleRevision(target.revision, 0)] if target.revision.replicas else []


def _may_register(snapshot: Snapshot, target: Standing) -> bool:
    revision = target.revision
    if not target.known or target.active:
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
    if standing.known and standing.active:
        return _keep_active(snapshot, standing, now)
    if not may_remove(snapshot, standing, target_active=target_active):
        return _keep(snapshot, standing, now)
    if standing.deployment is None:
        return [do.RemoveRevision(revision, None)]
    delay = durations.parse(snapshot.agent.spec.drain.delay)
    if revision.idle_since is None and delay:
        return [do.mark_idle(revision, now)]
    if revision.idle_since and now < revision.idle_since + delay:
        return []
    return [do.RemoveRevision(revision, standing.deployment.id)]


def _keep_active(snapshot: Snapshot, standing: Standing, now: datetime) -> list[do.Action]:
    """It takes the new turns until the candidate does, so replicas are asked of it too."""
    replicas = scaling.replicas_due(snapshot, standing) if snapshot.wanted.replicas else None
    if replicas is not None:
        return [do.ScaleRevision(standing.revision, replicas)]
    return _resume(standing) if standing.revision.waking else idle.due(snapshot, standing, now)


def _keep(snapshot: Snapshot, standing: Standing, now: datetime) -> list[do.Action]:
    revision = standing.revision
    actions: list[do.Action] = []
    if not revision.has_service:
        actions.append(do.RestoreService(revision))
    if revision.failure:
        actions.append(do.clear_failure(revision))
    if standing.known and revision.idle_since:
        actions.append(do.mark_idle(revision, None))
    return [*actions, *_mark_draining(snapshot, standing, now), *_end(snapshot, standing, now)]


def _mark_draining(snapshot: Snapshot, standing: Standing, now: datetime) -> list[do.Action]:
    revision = standing.revision
    if revision.draining_since or not snapshot.agent.spec.drain.deadline:
        return []
    draining = standing.known and revision.registering and not snapshot.agent.deleting
    return [do.mark_draining(revision, now)] if draining else []


def _end(snapshot: Snapshot, standing: Standing, now: datetime) -> list[do.Action]:
    """End what holds a revision for too long; otherwise let it rest as it likes."""
    way = deadlines.way_out(snapshot, standing.revision, now)
    deployment, load = standing.deployment, standing.load
    if way is None or way == "move" or deployment is None or load is None or not load.counts.total:
        return _rest(snapshot, standing, now)
    end = do.EndInvocations(standing.revision, deployment.id, way)
    if way == "kill":
        return [end]
    # What is cancelled needs a pod to end its turn in: not one that goes since it slept till now.
    rest = _rest(snapshot, standing, now)
    return [end, *(a for a in rest if not isinstance(a, do.ScaleRevision) or a.replicas)]


def _rest(snapshot: Snapshot, standing: Standing, now: datetime) -> list[do.Action]:
    """Sleeping work holds no pods; what wakes gets them back, and goes on when they are there."""
    revision, load = standing.revision, standing.load
    if load is None or not load.counts.total:
        return []
    if lost.is_lost(standing):
        return lost.register(snapshot, standing)
    if load.wants_pods and revision.replicas == 0:
        return [do.ScaleRevision(revision, max(snapshot.wanted.replicas, 1))]
    if revision.waking:
        return _resume(standing)
    if snapshot.agent.spec.drain.idle == "Keep":
        return [do.mark_quiet(revision, None)] if revision.quiet_since else []
    # An autoscaler goes first: it would bring the pods back.
    stays = load.counts.awake or revision.autoscaled or is_spare(snapshot, revision)
    if not revision.replicas or stays:
        return []
    quiet = durations.parse(snapshot.agent.spec.drain.quiet)
    if revision.quiet_since is None and quiet:
        return [do.mark_quiet(revision, now)]
    # The mark stays while turns wake and fall asleep: when they last did is remembered.
    if revision.quiet_since:
        since = idle.since_when(snapshot, standing, revision.quiet_since)
        if now < since + quiet:
            return []
    return [do.ScaleRevision(revision, 0)]


def _resume(standing: Standing) -> list[do.Action]:
    if standing.revision.ready == 0 or standing.deployment is None:
        return []
    return [do.ResumeInvocations(standing.revision, standing.deployment.id)]


def _delete(snapshot: Snapshot, standings: Sequence[Standing], now: datetime) -> list[do.Action]:
    if names.FINALIZER not in snapshot.agent.metadata.finalizers:
        return []
    actions = gates.housekeeping(snapshot)
    if orphaning.wanted(snapshot):
        half_moved = moves.due(snapshot, standings, now)
        return [*actions, *half_moved, *orphaning.let_go(snapshot, standings, now)]
    if not standings:
        return actions or _let_go(snapshot)
    actions += _record(standings)
    for standing in standings:
        if may_remove(snapshot, standing, target_active=False):
            deployment_id = standing.deployment.id if standing.deployment else None
            actions.append(do.RemoveRevision(standing.revision, deployment_id))
        else:
            actions += _keep(snapshot, standing, now)
    return actions + moves.due(snapshot, standings, now)


def _let_go(snapshot: Snapshot) -> list[do.Action]:
    """The last revision is gone; so must be its registration, or others could never have it."""
    if status.blind(snapshot):
        return []
    left = ghosts_of(snapshot)
    if left:
        return [_forget(ghost) for ghost in left if ghost.forgettable]
    return [do.RemoveFinalizer()]


def _forget(ghost: Ghost) -> do.ForgetDeployment:
    return do.ForgetDeployment(ghost.restate, ghost.deployment.id)


def _look_again(snapshot: Snapshot, standings: Sequence[Standing], now: datetime) -> timedelta:
    waits = [_pace(snapshot, standings), *config_changes.look_again(snapshot)]
    waits += [_left(s.revision, snapshot, now) for s in standings if s.known]
    waits += [left for s in standings if (left := idle.time_left(snapshot, s, now))]
    waits += [left for r in snapshot.revisions if (left := lateness.time_left(snapshot, r, now))]
    # What is past is no reason to look again at once: it was acted on, or it can't be.
    return min(wait for wait in waits if wait > timedelta(0))


def _pace(snapshot: Snapshot, standings: Sequence[Standing]) -> timedelta:
    away = any(isinstance(view, Unreachable) for view in snapshot.restates.values())
    waits = parked.candidate(snapshot)
    slow = [s for s in standings if s.revision is not waits and _moves_slowly(snapshot, s)]
    done = waits is not None or bool(slow)
    active = any(s.active and (done or snapshot.target in {s.revision, None}) for s in standings)
    if done and len(standings) == 1:
        active = True  # nothing serves that could be lost
    if not standings:  # nothing moves until the user does something
        active = config_changes.must_wait(snapshot) or _refused_for_good(snapshot)
    deleting = snapshot.agent.deleting
    if not away and only_asleep(snapshot):
        called = any(_called(s) for s in standings if not s.revision.replicas)
        return SOON if called or not (active or deleting) else ASLEEP
    others = [s for s in standings if s.revision is not waits and s not in slow]
    settled = active and not deleting and history.settled(snapshot, others)
    if away or not settled:
        return SOON
    return SLOW if slow else STEADY


def _moves_slowly(snapshot: Snapshot, standing: Standing) -> bool:
    """Whether seconds don't matter, though only Restate tells when something is to do again."""
    if parked.held(snapshot, standing.revision):
        return not standing.unneeded and not _called(standing)
    if standing.revision is not snapshot.target or standing.active:
        return False
    # Refused for now, it is tried again at its own times.
    taken = standing.revision.deployment_id and foreign_holder(snapshot, standing)
    return bool(taken or snapshot.setback)


def _refused_for_good(snapshot: Snapshot) -> bool:
    return snapshot.setback is not None and snapshot.setback.final


def _called(standing: Standing) -> bool:
    if standing.active:
        return idle.called(standing)
    return standing.load is not None and standing.load.wants_pods


def _left(revision: Revision, snapshot: Snapshot, now: datetime) -> timedelta:
    """Until the next mark of a revision is due."""
    drain = snapshot.agent.spec.drain
    marks = [(revision.idle_since, drain.delay), (revision.quiet_since, drain.quiet)]
    left = [since + durations.parse(span) - now for since, span in marks if since]
    if deadline := deadlines.time_left(snapshot, revision, now):
        left.append(deadline)
    return min((wait for wait in left if wait > timedelta(0)), default=STEADY)

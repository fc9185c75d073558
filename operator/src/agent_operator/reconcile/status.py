"""What people see: revisions, counts and conditions, from a snapshot and its judgement. Pure.

Messages name no ages that change by themselves: a steady agent causes no writes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from agent_operator.api import (
    AgentDeploymentStatus,
    Condition,
    Phase,
    PodCounts,
    RevisionStatus,
    durations,
)
from agent_operator.api.times import rfc3339
from agent_operator.reconcile import (
    callers,
    config_changes,
    gates,
    ghosts,
    history,
    idle,
    limits,
    lost,
    manifests,
    moves,
    registered,
    suspension,
)
from agent_operator.reconcile.deadlines import draining_since
from agent_operator.reconcile.last_active import last_active
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.reconcile.standing import Standing, foreign_holder
from agent_operator.reconcile.words import counts_in_words, listed
from agent_operator.restate.view import Unreachable

Truth = Literal["True", "False", "Unknown"]

READY: Final = "Ready"
PROGRESSING: Final = "Progressing"
DRAINING: Final = "Draining"
STUCK: Final = "Stuck"
RESTATE_REACHABLE: Final = "RestateReachable"

NOTHING_ACTIVE: Final = ("NoActiveRevision", "no revision takes turns yet")
SERVICE_NAME_TAKEN: Final = "ServiceNameTaken"
REVISION_GONE: Final = "RevisionGone"

HISTORY_LENGTH: Final = 20
# Enough to know an error by; a trace of it is in Restate.
ERROR_LENGTH: Final = 300


def build(
    snapshot: Snapshot, standings: Sequence[Standing], now: datetime
) -> AgentDeploymentStatus:
    """The status to show for a snapshot."""
    target = next((s for s in standings if s.revision is snapshot.target), None)
    active = _active(snapshot, standings, target)
    serving = active or target
    draining = [s for s in standings if _drains(s, snapshot)]
    kept = history.kept(snapshot, standings)
    left = ghosts.in_words(snapshot)
    generation = snapshot.agent.metadata.generation
    conditions = [
        _ready(snapshot, standings, active),
        suspension.progress(snapshot, standings)
        or limits.progress(snapshot, standings)
        or _progressing(snapshot, target, draining, left),
        _draining(snapshot, draining, left),
        _stuck(standings, left),
        _restate_reachable(snapshot),
        registered.condition(snapshot, standings, active, target),
    ]
    return AgentDeploymentStatus(
        observed_generation=generation,
        active_revision=active.revision.name if active else None,
        candidate_revision=_candidate(snapshot, target),
        services=sorted(active.deployment.services) if active and active.deployment else [],
        history=_history(snapshot, standings, active),
        replicas=serving.revision.replicas if serving else 0,
        ready_replicas=serving.revision.ready if serving else 0,
        selector=manifests.selector_text(
            serving.revision.name if serving else snapshot.wanted.name
        ),
        draining_revisions=len(draining),
        dormant_revisions=sum(s.phase is Phase.DORMANT for s in draining),
        draining_invocations=sum(s.load.counts.total for s in draining if s.load),
        revisions=[
            _revision(s, snapshot, kept=s.revision.name in kept)
            for s in sorted(standings, key=lambda s: s.revision.created, reverse=True)
        ],
        conditions=_with_times(snapshot, conditions, now),
    )


def blind(snapshot: Snapshot) -> bool:
    """Whether an agent without revisions may be registered with a Restate that can't be asked."""
    away = any(isinstance(view, Unreachable) for view in snapshot.restates.values())
    return away and bool(snapshot.agent.status.get("history"))


def _active(
    snapshot: Snapshot, standings: Sequence[Standing], target: Standing | None
) -> Standing | None:
    if target and target.active:
        return target
    before = last_active(snapshot.agent)
    actives = [s for s in standings if s.active]
    # Of two that each hold a route, the one that was active holds all the others.
    return max(actives, key=lambda s: (s.revision.name == before, s.revision.created), default=None)


def _history(
    snapshot: Snapshot, standings: Sequence[Standing], active: Standing | None
) -> list[str]:
    before = list(snapshot.agent.status.get("history", ()))
    if active is None or active.revision.name in before[:1]:
        return before
    if lost.displaced(snapshot, standings):
        return before
    name = active.revision.name
    return [name, *(other for other in before if other != name)][:HISTORY_LENGTH]


def _candidate(snapshot: Snapshot, target: Standing | None) -> str | None:
    if snapshot.agent.deleting or (target and target.active):
        return None
    if config_changes.must_wait(snapshot):
        return None
    return snapshot.wanted.name


def _drains(standing: Standing, snapshot: Snapshot) -> bool:
    if standing.phase in {Phase.DRAINING, Phase.DORMANT}:
        return True
    return snapshot.agent.deleting and not standing.unneeded


def _revision(standing: Standing, snapshot: Snapshot, *, kept: bool) -> RevisionStatus:
    revision = standing.revision
    reason, message = _held_up_by(standing, snapshot)
    if kept and reason is None:
        message = history.MESSAGE
    return RevisionStatus(
        name=revision.name,
        phase=standing.phase,
        image=revision.image,
        deployment_id=standing.deployment.id if standing.deployment else revision.deployment_id,
        pods=PodCounts(desired=revision.replicas, ready=revision.ready),
        invocations=standing.load.counts if standing.load else None,
        oldest=standing.load.oldest if standing.load and _drains(standing, snapshot) else None,
        created=rfc3339(revision.created),
        gates=gates.status(snapshot, revision),
        reason=reason,
        message=message,
    )


def _held_up_by(standing: Standing, snapshot: Snapshot) -> tuple[str | None, str | None]:
    revision = standing.revision
    if standing.failure:
        return standing.failure.reason, standing.failure.message
    setback = snapshot.setback
    if setback and revision is snapshot.target and not standing.active:
        return setback.reason, setback.message
    if revision.trouble and revision.ready < revision.replicas:
        return revision.trouble.reason, revision.trouble.message
    if failing := snapshot.failing_at(revision.name):
        return failing.reason, failing.in_words
    return None, None


def _ready(snapshot: Snapshot, standings: Sequence[Standing], active: Standing | None) -> Condition:
    if snapshot.agent.deleting:
        return _condition(READY, "False", "Deleting", "being deleted")
    if active is None:
        taken = registered.taken_over(snapshot, standings)
        return _condition(READY, "False", *(taken or NOTHING_ACTIVE))
    name, pods = active.revision.name, f"{active.revision.ready}/{active.revision.replicas} pods"
    if resting := _resting(snapshot, active):
        return resting
    if active.revision.replicas == 0:
        return _condition(
            READY,
            "False",
            "ScaledToZero",
            f"{name} has no pods, since spec.replicas is 0: turns wait in Restate until it has",
        )
    if active.revision.ready == 0:
        why = f": {active.revision.trouble.message}" if active.revision.trouble else ""
        return _condition(READY, "False", "NoPodReady", f"{name} takes turns, but has {pods}{why}")
    if not active.known:
        return _last_seen(name)
    serving = f"{name} takes new turns with {pods} ready"
    if snapshot.front and snapshot.front.taken:
        service = snapshot.agent.metadata.name
        return _condition(
            READY,
            "True",
            SERVICE_NAME_TAKEN,
            f"{serving}; Service {service} is not this AgentDeployment's and was left alone, so"
            " none leads to the active revision: rename or delete it",
        )
    if failing := snapshot.failing_at(name):
        return _condition(READY, "True", failing.reason, f"{serving}; {failing.in_words}")
    return _condition(READY, "True", "Serving", serving)


def _resting(snapshot: Snapshot, active: Standing) -> Condition | None:
    """It sleeps, or comes back: a turn is answered all the same, a little later."""
    revision, name = active.revision, active.revision.name
    if idle.after(snapshot) is None or revision.ready or revision.trouble:
        return None
    # Only Restate's calls wake it.
    if not active.known and (revision.replicas == 0 or revision.waking):
        return _last_seen(name)
    if revision.replicas == 0 and idle.may_sleep(snapshot, active):
        return _condition(
            READY, "True", "Idle", f"{name} holds no pods since nobody talks to it: a turn wakes it"
        )
    if revision.replicas == 0 or revision.waking:
        return _condition(READY, "True", "Waking", f"{name} was called: its pods come back")
    return None


def _last_seen(name: str) -> Condition:
    return _condition(
        READY, "Unknown", "RestateUnreachable", f"{name} took turns when Restate was last seen"
    )


def _progressing(
    snapshot: Snapshot,
    target: Standing | None,
    draining: Sequence[Standing],
    left: Sequence[str],
) -> Condition:
    if snapshot.agent.deleting:
        return _deletion_progress(snapshot, draining, left)
    name = snapshot.wanted.name
    setback = snapshot.setback
    active = target is not None and target.active
    found = config_changes.trouble(snapshot, active=active)
    if found and not (target and target.failure):
        truth: Truth = "False" if active else "True"
        return _condition(PROGRESSING, truth, found.reason, found.message)
    if target is None:
        if setback:
            truth = "False" if setback.final else "True"
            return _condition(PROGRESSING, truth, setback.reason, setback.message)
        if failing := snapshot.failing_at(None):
            return _condition(PROGRESSING, "True", failing.reason, failing.in_words)
        return _condition(PROGRESSING, "True", "NewRevision", f"making revision {name}")
    if target.active:
        drain = _drain_in_words(draining)
        return _condition(PROGRESSING, "False", "RolledOut", f"{name} is active{drain}")
    if target.failure:
        return _condition(
            PROGRESSING, "False", target.failure.reason, f"{name} failed: {target.failure.message}"
        )
    return _candidate_progress(snapshot, target)


def _candidate_progress(snapshot: Snapshot, target: Standing) -> Condition:
    revision = target.revision
    if snapshot.wanted.replicas == 0:
        return _condition(
            PROGRESSING,
            "False",
            "ScaledToZero",
            f"{revision.name} can't become active without a pod: raise spec.replicas from 0",
        )
    pods = f"{revision.ready}/{revision.replicas} pods ready"
    if revision.ready < revision.replicas or revision.replicas == 0:
        if revision.trouble:
            message = f"{revision.name} does not start ({pods}): {revision.trouble.message}"
            return _condition(PROGRESSING, "True", revision.trouble.reason, message)
        return _condition(PROGRESSING, "True", "PodsStarting", f"{revision.name} starts: {pods}")
    view = snapshot.restates.get(revision.restate)
    if isinstance(view, Unreachable):
        return _condition(
            PROGRESSING,
            "True",
            "RestateUnreachable",
            f"{revision.name} waits for Restate, to register: {view.error}",
        )
    foreign = foreign_holder(snapshot, target)
    if revision.deployment_id and foreign:
        return _condition(
            PROGRESSING,
            "False",
            "ServiceTakenOver",
            f"services of {revision.name} were taken over by deployment {foreign.id} at"
            f" {foreign.uri}, not of this AgentDeployment; deregister it to take them back",
        )
    setback = snapshot.setback
    if setback:
        return _condition(
            PROGRESSING, "True", setback.reason, f"{revision.name}: {setback.message}"
        )
    if waits := gates.explain(snapshot, revision):
        truth: Truth = "False" if waits[0] == gates.WAITS_FOR_PROMOTION else "True"
        return _condition(PROGRESSING, truth, *waits)
    return _condition(
        PROGRESSING, "True", "Registering", f"registering {revision.name} with Restate"
    )


def _deletion_progress(
    snapshot: Snapshot, draining: Sequence[Standing], left: Sequence[str]
) -> Condition:
    away = [v for v in snapshot.restates.values() if isinstance(v, Unreachable)]
    if away and (draining or blind(snapshot)):
        return _condition(
            PROGRESSING,
            "True",
            "DeletionWaitsForRestate",
            f"being deleted; can't tell whether turns still run: {away[0].error}. If that Restate"
            " is gone for good, remove the finalizer",
        )
    if snapshot.failing:
        failing = snapshot.failing[0]
        about = f"{failing.revision}: " if failing.revision else ""
        return _condition(
            PROGRESSING, "True", failing.reason, f"being deleted; {about}{failing.in_words}"
        )
    if draining:
        return _condition(
            PROGRESSING,
            "True",
            "DeletionWaitsForInvocations",
            f"being deleted once its turns are done{_drain_in_words(draining)}",
        )
    if left:
        return _condition(
            PROGRESSING, "True", "DeletionWaitsForInvocations", f"being deleted; {left[0]}"
        )
    return _condition(PROGRESSING, "True", "Deleting", "being deleted")


def _drain_in_words(draining: Sequence[Standing]) -> str:
    known = [
        f"{s.revision.name} is kept for {counts_in_words(s.load.counts)}"
        for s in draining
        if s.load
    ]
    return f"; {listed(known)}" if known else ""


def _draining(snapshot: Snapshot, draining: Sequence[Standing], left: Sequence[str]) -> Condition:
    parts = list(left)
    if not draining and not parts:
        return _condition(DRAINING, "False", "NothingToDrain", "no old revision is needed")
    for standing in draining:
        if standing.load is None:
            parts.append(f"{standing.revision.name}: Restate can't be asked what needs it")
            continue
        text = f"{standing.revision.name} is kept for {counts_in_words(standing.load.counts)}"
        if oldest := standing.load.oldest:
            text += f", the oldest {oldest.target} ({oldest.id}) since {oldest.since}"
        text += _deadline_in_words(snapshot, standing)
        text += callers.in_words(snapshot, standing)
        parts.append(text)
    reason = "DeletionWaitsForInvocations" if snapshot.agent.deleting else "InvocationsInFlight"
    return _condition(DRAINING, "True", reason, listed(parts))


def _deadline_in_words(snapshot: Snapshot, standing: Standing) -> str:
    drain, since = snapshot.agent.spec.drain, draining_since(snapshot, standing.revision)
    if not drain.deadline or since is None:
        return ""
    due = since + durations.parse(drain.deadline)
    return f" (deadline {rfc3339(due)}, then {drain.on_deadline})"


def _stuck(standings: Sequence[Standing], left: Sequence[str]) -> Condition:
    """Invocations that don't get on by themselves. Without pods to answer, that is no wonder."""
    found = [
        (standing.revision.name, stuck)
        for standing in standings
        if standing.load
        for stuck in standing.load.stuck
        if standing.revision.ready or not stuck.unanswered
    ]
    if not found and left:
        return _condition(STUCK, "True", REVISION_GONE, "; ".join(left))
    if not found:
        return moves.stays(standings) or _condition(
            STUCK, "False", "NothingStuck", "no invocation is paused or keeps failing"
        )
    name, oldest = found[0]
    paused = sum(stuck.paused for _, stuck in found)
    error = f", last error: {oldest.error[:ERROR_LENGTH]}" if oldest.error else ""
    more = "".join(f"; {words}" for words in left)
    return _condition(
        STUCK,
        "True",
        "InvocationsPaused" if paused else "InvocationsKeepFailing",
        f"{paused} paused, {len(found) - paused} failing for long; the oldest is {oldest.target}"
        f" ({oldest.id}) on {name}{error}. Mend the cause, then resume or kill it in Restate"
        f"{more}",
    )


def _restate_reachable(snapshot: Snapshot) -> Condition:
    away = [v for v in snapshot.restates.values() if isinstance(v, Unreachable)]
    if away:
        return _condition(
            RESTATE_REACHABLE,
            "False",
            away[0].reason,
            "; ".join(view.error for view in away)
            + ". No revision is registered or removed until it answers",
        )
    urls = ", ".join(sorted(server.url for server in snapshot.restates))
    return _condition(RESTATE_REACHABLE, "True", "Reachable", f"{urls} answers")


def _condition(kind: str, truth: Truth, reason: str, message: str) -> Condition:
    return Condition(type=kind, status=truth, reason=reason, message=message)


def _with_times(
    snapshot: Snapshot, conditions: Sequence[Condition], now: datetime
) -> list[Condition]:
    before = {c.get("type"): c for c in snapshot.agent.status.get("conditions", ())}
    dated = []
    for condition in conditions:
        old = before.get(condition.type, {})
        same = old.get("status") == condition.status and old.get("lastTransitionTime")
        dated.append(
            condition.model_copy(
                update={
                    "last_transition_time": old["lastTransitionTime"] if same else rfc3339(now),
                    "observed_generation": snapshot.agent.metadata.generation,
                }
            )
        )
    return dated

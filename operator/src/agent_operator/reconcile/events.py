"""Facts worth an event: the differences between two statuses, so each is told once. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from agent_operator.api import AgentDeploymentStatus, Condition, Phase, RevisionStatus
from agent_operator.reconcile.gates import WAITS_FOR_PROMOTION
from agent_operator.reconcile.status import (
    DRAINING,
    PROGRESSING,
    READY,
    RESTATE_REACHABLE,
    REVISION_GONE,
    SERVICE_NAME_TAKEN,
    STUCK,
)

WAITING_REASONS: Final = frozenset({"MaxRevisions", "Suspended"})
SPEC_REASONS: Final = frozenset({"TemplateRefused", "ConfigMissing", "ConfigUnreadable"})
_DRAINS: Final = frozenset({Phase.DRAINING, Phase.DORMANT})
# Those about a revision are told with its own reason.
FAILING_REASONS: Final = frozenset(
    {"AddFinalizerFailed", "RemoveFinalizerFailed", "ForgetDeploymentFailed"}
)


@dataclass(frozen=True)
class Event:
    """What ``kubectl describe`` shows under Events."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


def between(
    before: AgentDeploymentStatus, after: AgentDeploymentStatus, ghosts: Collection[str] = ()
) -> list[Event]:
    """What happened from one status to the next.

    ``ghosts`` are revisions that are registered though they are gone: not the operator's doing.
    """
    return [
        *_revisions(before, after),
        *_gone(before, after, ghosts),
        *_restate(before, after),
        *_stuck(before, after),
        *_front(before, after),
        *_deletion(before, after),
        *_promotion(before, after),
        *_held(before, after),
    ]


def _revisions(before: AgentDeploymentStatus, after: AgentDeploymentStatus) -> Iterator[Event]:
    old = {revision.name: revision for revision in before.revisions}
    new = {revision.name: revision for revision in after.revisions}
    for name, revision in new.items():
        yield from _change(old.get(name), revision)
        yield from _gates(old.get(name), revision)


def _gone(
    before: AgentDeploymentStatus, after: AgentDeploymentStatus, ghosts: Collection[str]
) -> Iterator[Event]:
    there = {revision.name for revision in after.revisions}
    for name in (r.name for r in before.revisions if r.name not in there):
        if name in ghosts:
            yield Event("Warning", REVISION_GONE, f"{name} is gone: its ReplicaSet was deleted")
        else:
            yield Event("Normal", "RevisionRemoved", f"nothing needs {name} any more: removed")


def _change(old: RevisionStatus | None, new: RevisionStatus) -> Iterator[Event]:
    if old and old.phase is new.phase:
        if new.reason and new.reason != old.reason and new.phase is not Phase.FAILED:
            yield Event("Warning", new.reason, f"{new.name}: {new.message}")
        return
    if new.phase is Phase.ACTIVE:
        yield Event(
            "Normal", "RevisionActive", f"{new.name} takes new turns as {new.deployment_id}"
        )
    elif new.phase is Phase.FAILED and new.reason:
        yield Event("Warning", new.reason, f"{new.name} failed: {new.message}")
    elif new.invocations and new.phase in _DRAINS and not (old and old.phase in _DRAINS):
        # Not each time that a sleeper wakes.
        count = new.invocations.total
        yield Event(
            "Normal",
            "RevisionDraining",
            f"{new.name} takes no new turns; it is kept for {count} invocations under way",
        )


def _gates(old: RevisionStatus | None, new: RevisionStatus) -> Iterator[Event]:
    passed = {gate.name for gate in (old.gates if old else None) or () if gate.passed}
    for gate in new.gates or ():
        if gate.passed and gate.name not in passed:
            yield Event("Normal", "GatePassed", f"{new.name} passed gate {gate.name}")


def _promotion(before: AgentDeploymentStatus, after: AgentDeploymentStatus) -> Iterator[Event]:
    old, new = _condition(before, PROGRESSING), _condition(after, PROGRESSING)
    if new and new.reason == WAITS_FOR_PROMOTION and (not old or old.message != new.message):
        yield Event("Normal", new.reason, new.message)


def _restate(before: AgentDeploymentStatus, after: AgentDeploymentStatus) -> Iterator[Event]:
    old, new = _condition(before, RESTATE_REACHABLE), _condition(after, RESTATE_REACHABLE)
    if new is None or (old and old.status == new.status):
        return
    if new.status == "False":
        yield Event("Warning", "RestateUnreachable", new.message)
    elif old:
        yield Event("Normal", "RestateReachable", new.message)


def _stuck(before: AgentDeploymentStatus, after: AgentDeploymentStatus) -> Iterator[Event]:
    old, new = _condition(before, STUCK), _condition(after, STUCK)
    if new and new.status == "True" and (not old or old.status != "True"):
        yield Event("Warning", new.reason, new.message)


def _front(before: AgentDeploymentStatus, after: AgentDeploymentStatus) -> Iterator[Event]:
    old, new = _condition(before, READY), _condition(after, READY)
    if new and new.reason == SERVICE_NAME_TAKEN and (not old or old.reason != new.reason):
        yield Event("Warning", new.reason, new.message)


def _deletion(before: AgentDeploymentStatus, after: AgentDeploymentStatus) -> Iterator[Event]:
    old, new = _condition(before, PROGRESSING), _condition(after, PROGRESSING)
    if (
        new
        and new.reason == "DeletionWaitsForInvocations"
        and (not old or old.reason != new.reason)
    ):
        draining = _condition(after, DRAINING)
        yield Event("Normal", new.reason, draining.message if draining else new.message)


def _held(before: AgentDeploymentStatus, after: AgentDeploymentStatus) -> Iterator[Event]:
    """What waits as the user asked, can't be made of the spec, or is refused to the operator."""
    old, new = _condition(before, PROGRESSING), _condition(after, PROGRESSING)
    if new is None or (old and old.reason == new.reason):
        return
    if new.reason in WAITING_REASONS | SPEC_REASONS | FAILING_REASONS:
        kind: Literal["Normal", "Warning"] = (
            "Normal" if new.reason in WAITING_REASONS else "Warning"
        )
        yield Event(kind, new.reason, new.message)


def _condition(status: AgentDeploymentStatus, kind: str) -> Condition | None:
    return next((c for c in status.conditions if c.type == kind), None)

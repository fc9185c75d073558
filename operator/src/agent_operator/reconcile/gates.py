"""Gates and promotion: what stands between a checked candidate and users' turns. Pure.

Gates are for a revision's first time: one that has been active is not tried again when somebody
goes back to it. A promotion is asked for each time.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from agent_operator.api import names
from agent_operator.api.gates import Gate
from agent_operator.api.status import GateState, GateStatus
from agent_operator.reconcile import actions as do
from agent_operator.reconcile.gate_facts import (
    GateJob,
    GateRecord,
    GateResult,
    hash_of,
    job_name,
)
from agent_operator.reconcile.last_active import last_active
from agent_operator.reconcile.snapshot import Failure, Revision, Snapshot

GATE_FAILED: Final = "GateFailed"
"""Reason of a failure that is one no longer once the spec has other gates."""

WAITS_FOR_PROMOTION: Final = "WaitsForPromotion"
GATE_RUNNING: Final = "GateRunning"


def before_turns(snapshot: Snapshot, revision: Revision) -> list[do.Action] | None:
    """What is due before a candidate may be registered; ``None``: nothing stands in its way."""
    gates = _gates_for(snapshot, revision)
    manual = snapshot.agent.spec.rollout.strategy == "Manual"
    if not gates and not manual:
        return _trust(revision, None) or None
    if not revision.checked:
        return [do.CheckRevision(revision)]
    due = _next_gate(snapshot, revision, gates)
    if due is not None:
        return due
    if waits_for_promotion(snapshot, revision):
        return []
    # What only a candidate may trust must be forgotten before it is none any more.
    return _trust(revision, None) or None


def housekeeping(snapshot: Snapshot) -> list[do.Action]:
    """Take back what gates that are over have left: their Jobs, and the trust of pods."""
    expected = _expected_jobs(snapshot)
    actions: list[do.Action] = [
        do.RemoveGate(job.name) for job in snapshot.jobs if job.name not in expected
    ]
    for revision in snapshot.revisions:
        if revision is not snapshot.target or revision.deployment_id or snapshot.agent.deleting:
            actions += _trust(revision, None)
    return actions


def outdated(snapshot: Snapshot, revision: Revision) -> bool:
    """Whether a revision failed at gates that the spec doesn't have any more."""
    failed = revision.failure is not None and revision.failure.reason == GATE_FAILED
    record = revision.gates
    return failed and (record is None or record.gates != _hash(snapshot))


def holds(snapshot: Snapshot, revision: Revision) -> bool:
    """Whether a candidate waits for its gates or for somebody: no reason to fail it.

    That it has no pod for a while (an eviction, say) is none either, except before its next gate.
    """
    waits = explain(snapshot, revision)
    if waits is None or revision.ready:
        return waits is not None
    under_way = any(g.state is GateState.RUNNING for g in status(snapshot, revision) or ())
    return waits[0] == WAITS_FOR_PROMOTION or under_way


def explain(snapshot: Snapshot, revision: Revision) -> tuple[str, str] | None:
    """Reason and message of what a candidate waits for; ``None``: for nothing of this kind."""
    if revision.checked:
        for gate in status(snapshot, revision) or ():
            if gate.state in {GateState.PENDING, GateState.RUNNING}:
                detail = f": {gate.message}" if gate.message else ""
                return GATE_RUNNING, f"{revision.name}: gate {gate.name} runs{detail}"
        if waits_for_promotion(snapshot, revision):
            agent = snapshot.agent.metadata
            return WAITS_FOR_PROMOTION, (
                f"{revision.name} has passed its checks and waits; let it take new turns with:"
                f" kubectl annotate agd {agent.name} -n {agent.namespace} --overwrite"
                f" {names.PROMOTE_ANNOTATION}={revision.name}"
            )
    return None


def waits_for_promotion(snapshot: Snapshot, revision: Revision) -> bool:
    """Whether somebody has to let a revision take new turns.

    The first one needs nobody, since nothing that serves is at stake; nor does the one that was
    active last and only has to be registered anew.
    """
    if snapshot.agent.spec.rollout.strategy != "Manual" or not snapshot.agent.status.get("history"):
        return False
    if last_active(snapshot.agent) == revision.name:
        return False
    return snapshot.agent.metadata.annotations.get(names.PROMOTE_ANNOTATION) != revision.name


def status(snapshot: Snapshot, revision: Revision) -> list[GateStatus] | None:
    """What to show of a revision's gates; ``None`` where it has none."""
    results = {result.name: result for result in _results(snapshot, revision)}
    if revision is not snapshot.target or revision.deployment_id:
        found = [_ended(result) for result in (revision.gates.results if revision.gates else ())]
        return found or None
    shown = []
    for gate in snapshot.agent.spec.rollout.gates or ():
        job = _job(snapshot, revision, gate)
        if gate.name in results:
            shown.append(_ended(results[gate.name]))
        elif job:
            message = job.message or None if job.state is GateState.RUNNING else None
            shown.append(GateStatus(name=gate.name, state=GateState.RUNNING, message=message))
        else:
            shown.append(GateStatus(name=gate.name, state=GateState.PENDING))
    return shown or None


def record(snapshot: Snapshot, revision: Revision, gate: str, job: GateJob) -> do.Annotate:
    """Write down how a gate ended; a failed one is the revision's failure."""
    passed = job.state is GateState.PASSED
    result = GateResult(gate, passed, "" if passed else job.message)
    return _record(snapshot, revision, result, _log_of(snapshot, job))


def refuse(snapshot: Snapshot, revision: Revision, gate: str, why: str) -> do.Annotate:
    """Write down that a gate can't even begin, and never will as it is."""
    return _record(snapshot, revision, GateResult(gate, passed=False, message=why), "")


def _record(snapshot: Snapshot, revision: Revision, result: GateResult, log: str) -> do.Annotate:
    others = tuple(r for r in _results(snapshot, revision) if r.name != result.name)
    found = GateRecord(_hash(snapshot), (*others, result))
    notes: dict[str, str | None] = {names.GATES_ANNOTATION: json.dumps(asdict(found))}
    if result.passed:
        # One of other gates, before the spec changed.
        notes[names.FAILURE_ANNOTATION] = None
    else:
        failure = Failure(GATE_FAILED, f"gate {result.name} failed: {result.message}{log}")
        notes[names.FAILURE_ANNOTATION] = json.dumps(asdict(failure))
    return do.Annotate(revision, notes)


def _log_of(snapshot: Snapshot, job: GateJob) -> str:
    where = f"kubectl logs job/{job.name} -n {snapshot.agent.metadata.namespace}"
    return f". Its log: {where}" if job.logged else ""


def _next_gate(
    snapshot: Snapshot, revision: Revision, gates: Sequence[Gate]
) -> list[do.Action] | None:
    """What is due of the first gate that isn't passed; ``None`` where all are."""
    passed = {result.name for result in _results(snapshot, revision) if result.passed}
    gate = next((gate for gate in gates if gate.name not in passed), None)
    if gate is None:
        return None
    job = _job(snapshot, revision, gate)
    if job is None:
        return [do.StartGate(revision, gate.name)]
    if job.state is GateState.RUNNING:
        return _trust(revision, job.key)
    return [record(snapshot, revision, gate.name, job)]


def _gates_for(snapshot: Snapshot, revision: Revision) -> Sequence[Gate]:
    gates = snapshot.agent.spec.rollout.gates or ()
    return () if revision.deployment_id else gates


def _expected_jobs(snapshot: Snapshot) -> set[str]:
    """Jobs of the candidate's gates, as long as it is one: their logs say why it failed."""
    revision = snapshot.target
    if revision is None or revision.deployment_id or snapshot.agent.deleting:
        return set()
    gates = snapshot.agent.spec.rollout.gates or ()
    return {job_name(revision.name, gate.name, hash_of(gates)) for gate in gates}


def _job(snapshot: Snapshot, revision: Revision, gate: Gate) -> GateJob | None:
    name = job_name(revision.name, gate.name, _hash(snapshot))
    return next((job for job in snapshot.jobs if job.name == name), None)


def _trust(revision: Revision, key: str | None) -> list[do.Action]:
    return [do.TrustGate(revision, key)] if revision.trusted - {key} else []


def _results(snapshot: Snapshot, revision: Revision) -> tuple[GateResult, ...]:
    """The results on record, if they are of the gates that the spec has now."""
    found = revision.gates
    return found.results if found and found.gates == _hash(snapshot) else ()


def _ended(result: GateResult) -> GateStatus:
    state = GateState.PASSED if result.passed else GateState.FAILED
    return GateStatus(name=result.name, state=state, message=result.message or None)


def _hash(snapshot: Snapshot) -> str:
    return hash_of(snapshot.agent.spec.rollout.gates)

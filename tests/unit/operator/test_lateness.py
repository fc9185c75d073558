"""The progress deadline is for what is brought up: its time runs at no other."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from agent_operator.api import Phase, names
from agent_operator.api.times import rfc3339
from agent_operator.reconcile import gates
from agent_operator.reconcile.gate_facts import GateRecord, GateResult
from agent_operator.reconcile.plan import plan
from agent_operator.reconcile.snapshot import Failure, Revision, Snapshot
from tests.unit.operator.build import NOW, agent, fresh, registered, revision, snapshot, view, wish

V1, V2 = "claims:1", "claims:2"
LONG_AGO = NOW - timedelta(hours=1)
LATE = fresh(V2, created=LONG_AGO, ready=0)


def progressing(status: str, reason: str, since: datetime = LONG_AGO) -> dict[str, Any]:
    return {
        "type": "Progressing",
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": rfc3339(since),
    }


def seen(candidate: Revision, shown: dict[str, Any] | None = None, **spec: Any) -> Snapshot:
    """A candidate beside an active revision, and what ``Progressing`` said before."""
    name = wish(V1).name
    status = {"activeRevision": name, "history": [name], "conditions": [shown] if shown else []}
    return snapshot(
        agent(V2, status=status, **spec), revision(V1), candidate, restate=view(registered(V1))
    )


def suspended(given: Snapshot) -> Snapshot:
    given.agent.metadata.annotations[names.SUSPEND_ANNOTATION] = "true"
    return given


AFTER_OTHER_GATES = replace(
    LATE,
    failure=Failure(gates.GATE_FAILED, "no"),
    gates=GateRecord("other", (GateResult("smoke", passed=False),)),
)
MANUAL = {"strategy": "Manual"}

INNOCENT: dict[str, Snapshot] = {
    "a pod evicted while it waits for a promotion": seen(
        replace(LATE, checked=True), progressing("False", "WaitsForPromotion"), rollout=MANUAL
    ),
    "just promoted": seen(
        replace(LATE, checked=True), progressing("False", "WaitsForPromotion"), rollout={}
    ),
    "made at replicas: 0": seen(replace(LATE, replicas=0), replicas=0),
    "raised from there": seen(replace(LATE, replicas=0)),
    "and starting since then": seen(
        replace(LATE, waking=True, waking_since=NOW - timedelta(minutes=9))
    ),
    "other gates after it failed": seen(replace(AFTER_OTHER_GATES, replicas=0)),
    "and starting since then, for those": seen(
        replace(AFTER_OTHER_GATES, waking=True, waking_since=NOW - timedelta(minutes=1))
    ),
    "suspended": suspended(seen(LATE)),
    "suspended no more": seen(LATE, progressing("Unknown", "Suspended")),
    "and since then": seen(LATE, progressing("True", "PodsStarting", NOW - timedelta(minutes=9))),
}
GUILTY: dict[str, Snapshot] = {
    "since it was made": seen(LATE),
    "since it was given pods": seen(
        replace(LATE, waking=True, waking_since=NOW - timedelta(minutes=10))
    ),
    "since a suspension ended": seen(
        LATE, progressing("True", "PodsStarting", NOW - timedelta(minutes=11))
    ),
    "told once, it stays so": seen(LATE, progressing("False", "ProgressDeadlineExceeded", NOW)),
}


def phase(given: Snapshot) -> Phase:
    return next(r.phase for r in plan(given, NOW).status.revisions if r.image == V2)


@pytest.mark.parametrize("given", INNOCENT.values(), ids=INNOCENT)
def test_not_late(given: Snapshot) -> None:
    assert phase(given) is Phase.PENDING


@pytest.mark.parametrize("given", GUILTY.values(), ids=GUILTY)
def test_late(given: Snapshot) -> None:
    assert phase(given) is Phase.FAILED

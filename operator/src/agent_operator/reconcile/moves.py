"""Moving what holds an old revision to the active one, after a deadline. Pure.

Of its own accord an invocation goes on where it began. ``onDeadline: MoveToActive`` asks for more:
each is handed to the active deployment, which goes on with its journal if its code takes the same
steps. Where it doesn't, Restate says so before anything is done, and the invocation goes back, or
is restarted as new where the user allowed that.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from agent_operator.api import Condition
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import deadlines
from agent_operator.reconcile.move_record import Moves
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.reconcile.standing import Standing

REASON = "InvocationsStay"


def due(snapshot: Snapshot, standings: Sequence[Standing], now: datetime) -> list[do.Action]:
    """The next step of each revision's moves."""
    active = _active(standings)
    steps = (_step(snapshot, standing, active, now) for standing in standings)
    return [step for step in steps if step]


def judge(
    snapshot: Snapshot, standings: tuple[Standing, ...], now: datetime
) -> tuple[Standing, ...]:
    """The standings, with whether the active revision is awaited: it must have pods for a move."""
    active = _active(standings)
    if active is None or not any(_to_move(snapshot, s, active, now) for s in standings):
        return standings
    return tuple(replace(s, awaited=True) if s is active else s for s in standings)


def _active(standings: Sequence[Standing]) -> Standing | None:
    return next((s for s in standings if s.active and s.known), None)


def _step(
    snapshot: Snapshot, standing: Standing, active: Standing | None, now: datetime
) -> do.MoveInvocations | None:
    revision, record = standing.revision, standing.revision.moves
    if not standing.known or revision.deployment_id is None:
        return None
    # Without a pod that answers, nobody could tell whether it goes on there.
    there = active if active and active.revision.ready else None
    if record and record.open:
        # What is half moved is brought to an end, whatever is wanted by now.
        restart = record.restart and bool(snapshot.agent.spec.drain.restart_as_new)
        begin = _destination(snapshot, standing, there, now) == record.to
        record = replace(record, restart=restart)
        return do.MoveInvocations(revision, revision.deployment_id, record, begin=begin)
    begun = _to_move(snapshot, standing, there, now)
    if begun is None:
        return None
    return do.MoveInvocations(revision, revision.deployment_id, begun, begin=True)


def _to_move(
    snapshot: Snapshot, standing: Standing, active: Standing | None, now: datetime
) -> Moves | None:
    """The record of what is to move to the active revision by now, if anything is."""
    to, record = _destination(snapshot, standing, active, now), standing.revision.moves
    if to is None or not standing.load or not standing.load.counts.total:
        return None
    restart = bool(snapshot.agent.spec.drain.restart_as_new)
    if record is None or record.to != to or (restart and not record.restart):
        record = Moves(to, restart)
    return None if record.done else record


def _destination(
    snapshot: Snapshot, standing: Standing, active: Standing | None, now: datetime
) -> str | None:
    """The deployment that a revision's invocations are to move to, if they are to by now."""
    if active is None or active is standing or active.deployment is None:
        return None
    # A Restate knows its own deployments alone, and the agent may have changed to another one.
    if standing.deployment is None or active.revision.restate.url != standing.revision.restate.url:
        return None
    way = deadlines.way_out(snapshot, standing.revision, now)
    return active.deployment.id if way == "move" else None


def stays(standings: Sequence[Standing]) -> Condition | None:
    """What the condition Stuck says of invocations that could not be moved."""
    for standing in standings:
        record, load = standing.revision.moves, standing.load
        if standing.active or not record or not load or not load.counts.total:
            continue
        if record.done and record.stayed.count:
            name, first = standing.revision.name, ", ".join(record.stayed.first)
            return Condition(
                type="Stuck",
                status="True",
                reason=REASON,
                message=f"invocations of {name} can't move to the active revision, which does not"
                f" take the steps that their journals have, or lacks their handler ({first}): they"
                f" stay until they end. Answer, cancel or kill them, or set drain.restartAsNew",
            )
    return None

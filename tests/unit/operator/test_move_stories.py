"""An operator that dies after any number of requests while it moves invocations.

Random stories come to these moments too seldom; here each of them is met, with each thing that may
happen next.
"""

from datetime import timedelta
from typing import Any

import pytest

from agent_operator.reconcile import actions as do
from agent_operator.reconcile.plan import plan
from tests.unit.operator.build import SERVICE
from tests.unit.operator.story_world import Turn, World
from tests.unit.operator.test_plan_properties import Story

NEXT: dict[str, dict[str, Any]] = {
    "nothing else happens": {},
    "moving is wanted no more": {"drain": {"idle": "Keep"}},
    "it is deleted": {"deleting": True},
    "it is orphaned": {"deleting": True, "deletionPolicy": "Orphan"},
    "going back": {"image": "claims:0"},
    "a newer one rolls out": {"image": "claims:2"},
}


@pytest.mark.parametrize("then", NEXT, ids=str)
@pytest.mark.parametrize("restart", [False, True], ids=["stays", "restarts"])
@pytest.mark.parametrize("requests", range(9))
def test_an_operator_that_dies_while_it_moves(then: str, restart: bool, requests: int) -> None:
    """After any number of requests; whatever comes next, no turn is lost or runs twice."""
    story = Story()
    world = story.world
    world.last_requests = requests

    def looks(number: int) -> None:
        for _ in range(number):
            if world.gone:
                return
            half = next(
                (n for n, a in enumerate(planned(world)) if isinstance(a, do.MoveInvocations)), None
            )
            world.look(killed_after=half, half=True)
            check()
            story.pods_come_up()

    def check() -> None:
        story.every_turn_has_its_code()
        story.nothing_runs_twice()
        story.nothing_killed_for_a_restart_is_forgotten()

    for _ in range(4):
        world.look()
        story.pods_come_up()
    world.turns += [
        Turn(SERVICE, "dp_claims:0", state, home="dp_claims:0")
        for state in ("suspended", "running")
    ]
    world.spec["drain"] = {
        "deadline": "0s", "onDeadline": "MoveToActive", "restartAsNew": restart, "idle": "Keep",
    }  # fmt: skip
    world.image = "claims:1"
    looks(6)
    changes = dict(NEXT[then])
    world.image = changes.pop("image", world.image)
    world.deleting = changes.pop("deleting", False)
    world.spec |= changes
    for _ in range(12):
        if world.gone:
            break
        world.look()
        check()
        story.pods_come_up()
        for turn in world.turns:
            turn.state = "suspended" if turn.state == "running" else turn.state
        world.now += timedelta(seconds=11)
    assert len(world.turns) == 2, "a turn was lost, or runs twice"
    assert not any(turn.lost for turn in world.turns)
    assert not any(r.moves and r.moves.open for r in world.revisions.values())


def test_an_agent_that_sleeps_wakes_for_a_move_and_sleeps_again() -> None:
    story = Story()
    world = story.world
    world.spec |= {
        "drain": {"deadline": "60s", "onDeadline": "MoveToActive"},
        "scaling": {"idle": {"after": "20s"}},
    }

    def pods_of_the_active_one(looks: int) -> int:
        for _ in range(looks):
            world.look()
            story.every_turn_has_its_code()
            story.pods_come_up()
            world.now += timedelta(seconds=2)
            for turn in world.turns:
                turn.state = "suspended" if turn.state == "running" else turn.state
        return next(r.replicas for r in world.revisions.values() if r.image == world.image)

    pods_of_the_active_one(4)
    world.turns.append(Turn(SERVICE, "dp_claims:0", "suspended", home="dp_claims:0"))
    world.image = "claims:2"
    assert pods_of_the_active_one(24) == 0
    assert [turn.pinned for turn in world.turns] == ["dp_claims:0"]
    assert pods_of_the_active_one(12) == 1
    assert [turn.pinned for turn in world.turns] == ["dp_claims:2"]
    assert pods_of_the_active_one(24) == 0


def planned(world: World) -> tuple[do.Action, ...]:
    return plan(world.snapshot(), world.now).actions

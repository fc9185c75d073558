"""Whatever happens, in whatever order: nothing that an invocation needs goes, and all settles.

Random stories are played against ``plan`` in a small world (``story_world``): specs change, pods
come up or don't, registrations are refused, turns start, sleep and end, deadlines pass, Restate
goes away, and the operator is killed after any single action, or in the middle of it.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent_operator.api import Phase
from agent_operator.reconcile.config_changes import LOOK
from agent_operator.reconcile.plan import plan
from agent_operator.reconcile.snapshot import Config
from tests.unit.operator.build import SERVICE
from tests.unit.operator.story_gates import ROLLOUTS
from tests.unit.operator.story_world import (
    EXTRA,
    IMAGES,
    MISSING,
    READ,
    SPEC,
    STRANGER,
    UNREADABLE,
    Turn,
    World,
)

SCALING: list[dict[str, Any] | None] = [
    None,
    {"idle": {"after": "20s"}},
    {"autoscaler": {"minReplicas": 2, "maxReplicas": 5}},
    {"autoscaler": {"maxReplicas": 3}, "idle": {"after": "20s"}},
]
DRAINS: list[dict[str, Any]] = [
    {},
    {"delay": "0s"},
    {"idle": "Keep", "quiet": "0s"},
    {"deadline": "10s", "onDeadline": "Kill"},
    {"deadline": "10s", "onDeadline": "Cancel"},
    {"deadline": "10s", "onDeadline": "MoveToActive"},
    {"deadline": "0s", "onDeadline": "MoveToActive", "quiet": "0s"},
    {"deadline": "0s", "onDeadline": "MoveToActive", "restartAsNew": True, "delay": "0s"},
]

REQUESTS = st.integers(0, 5)


class Story(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(image=st.sampled_from(IMAGES))
    def change_the_image(self, image: str) -> None:
        self.world.image = image

    @rule(drain=st.sampled_from(DRAINS))
    def change_the_drain(self, drain: dict[str, Any]) -> None:
        self.world.spec["drain"] = drain

    @rule(replicas=st.sampled_from([0, 1, 1, 2]))
    def change_the_replicas(self, replicas: int) -> None:
        self.world.replicas = replicas

    @rule(history=st.integers(0, 2), most=st.sampled_from([None, 2, 3]))
    def change_the_limits(self, history: int, most: int | None) -> None:
        self.world.spec["revisionHistoryLimit"] = history
        self.world.spec["maxRevisions"] = most

    @rule(suspended=st.integers(0, 5))
    def somebody_suspends_it(self, suspended: int) -> None:
        self.world.suspended = suspended == 0

    @rule(rollout=st.sampled_from(ROLLOUTS))
    def change_the_rollout(self, rollout: dict[str, Any]) -> None:
        self.world.spec["rollout"] = {**SPEC["rollout"], **rollout}

    @rule(passed=st.booleans())
    def gates_end(self, passed: bool) -> None:
        self.world.gates.end(passed=passed)

    @precondition(lambda self: not self.world.gone)
    @rule(image=st.sampled_from(IMAGES), rollout=st.sampled_from(ROLLOUTS), passed=st.booleans())
    def a_candidate_is_tried(self, image: str, rollout: dict[str, Any], passed: bool) -> None:
        """Without it, few random stories would get through a gate."""
        self.world.image = image
        self.change_the_rollout(rollout)
        for _ in range(6):
            if self.world.gone:
                return
            self.world.look()
            self.pods_come_up()
        self.gates_end(passed)

    @rule()
    def somebody_promotes(self) -> None:
        self.world.gates.promoted = self.world.snapshot().wanted.name

    @rule(config=st.sampled_from([READ, READ, MISSING, UNREADABLE]))
    def secrets_come_and_go(self, config: Config) -> None:
        self.world.config = config

    @rule(image=st.sampled_from(IMAGES))
    def an_image_turns_out_bad(self, image: str) -> None:
        self.world.bad_images.add(image)

    @rule(image=st.sampled_from(IMAGES[1:]))
    def an_image_will_be_refused(self, image: str) -> None:
        self.world.refused.add(image)

    @rule()
    def pods_come_up(self) -> None:
        for name, revision in self.world.revisions.items():
            if revision.image not in self.world.bad_images:
                has = dict(revision.pod_roles)
                pods = [f"{name}-{number}" for number in range(revision.replicas)]
                self.world.revisions[name] = replace(
                    revision,
                    ready=revision.replicas,
                    pod_roles=tuple((pod, has.get(pod, revision.role or "")) for pod in pods),
                )

    @rule(scaling=st.sampled_from(SCALING))
    def change_the_scaling(self, scaling: dict[str, Any] | None) -> None:
        self.world.spec["scaling"] = scaling

    @rule(replicas=st.integers(1, 5))
    def the_autoscaler_acts(self, replicas: int) -> None:
        for name, revision in self.world.revisions.items():
            if revision.autoscaled and revision.replicas:
                ready = min(revision.ready, replicas)
                self.world.revisions[name] = replace(revision, replicas=replicas, ready=ready)

    @precondition(lambda self: self.world.routes)
    @rule(data=st.data(), at_once=st.booleans(), workflow=st.booleans())
    def a_turn_starts(self, data: st.DataObject, at_once: bool, workflow: bool) -> None:
        service = data.draw(st.sampled_from(sorted(self.world.routes)))
        place = self.world.routes[service] if at_once else None
        if place == STRANGER.id:
            return
        self.world.turns.append(Turn(service, place, home=place or "", workflow=workflow))

    @precondition(lambda self: self.world.turns)
    @rule(data=st.data(), asleep=st.booleans())
    def a_turn_falls_asleep_or_wakes(self, data: st.DataObject, asleep: bool) -> None:
        turn = data.draw(st.sampled_from(self.world.turns))
        if turn.state in {"running", "suspended"}:
            turn.state = "suspended" if asleep else "running"

    @precondition(lambda self: self.world.turns)
    @rule(data=st.data())
    def a_turn_ends(self, data: st.DataObject) -> None:
        self.world.turns.remove(data.draw(st.sampled_from(self.world.turns)))

    @rule(away=st.booleans())
    def restate_goes_or_comes(self, away: bool) -> None:
        self.world.away = away

    # Restored from an older backup, a Restate knows nothing of what was moved since.
    @precondition(lambda self: not any(r.moves for r in self.world.revisions.values()))
    @rule()
    def restate_loses_its_registrations(self) -> None:
        """What is pinned stays pinned."""
        self.world.deployments.clear()
        self.world.routes.clear()

    @rule(service=st.sampled_from([SERVICE, EXTRA]))
    def somebody_else_takes_a_service(self, service: str) -> None:
        """An endpoint of somebody's own, registered by hand."""
        self.world.somebody_else_takes(service)

    @rule()
    def somebody_else_goes(self) -> None:
        self.world.somebody_else_goes()

    @rule(seconds=st.sampled_from([1, 9, 11, 700]))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @precondition(lambda self: not self.world.gone)
    @rule(
        killed_after=st.none() | st.integers(0, 2), half=st.booleans(), requests=st.integers(0, 5)
    )
    def the_operator_looks(self, killed_after: int | None, half: bool, requests: int) -> None:
        self.world.last_requests = requests
        self.world.look(killed_after=killed_after, half=half)

    @precondition(lambda self: not self.world.gone)
    @rule()
    def a_quiet_while(self) -> None:
        """Without it, few random stories would get as far as a removal."""
        for _ in range(3):
            self.world.look()
            if self.world.gone:
                return
            self.pods_come_up()
        self.world.now += timedelta(seconds=31)
        self.world.look()

    @rule(sure=st.integers(0, 9), policy=st.sampled_from(["Drain", "Cancel", "Kill", "Orphan"]))
    def somebody_deletes_it(self, sure: int, policy: str) -> None:
        if sure == 0 and self.world.finalizer and not self.world.deleting:
            self.world.deleting = True
            self.world.spec["deletionPolicy"] = policy

    @precondition(lambda self: self.world.gone)
    @rule(image=st.sampled_from(IMAGES))
    def it_is_made_again(self, image: str) -> None:
        """What an earlier one left is taken over."""
        world = self.world
        world.image, world.spec, world.status = image, dict(SPEC), {}
        world.gone = world.deleting = world.finalizer = False

    def what_served_serves_again(self) -> None:
        """Whatever the candidate lacks, once Restate is there and nobody else takes the turns."""
        world = self.world
        world.away = world.suspended = False
        world.replicas = max(world.replicas, 1)
        world.somebody_else_goes()
        for _ in range(8):
            world.look()
            self.pods_come_up()
            if world.gone:
                return
        last = next((r for r in world.revisions.values() if r.name == world.served_last), None)
        if last and last.image not in world.bad_images and not world.deleting:
            assert world.now_serving() & {last.name, world.snapshot().wanted.name}, "nobody serves"

    def what_is_half_moved_finds_a_place(self) -> None:
        """Once every turn has come to a point where it waits."""
        for _ in range(8):
            self.world.look()
            self.pods_come_up()
            for turn in self.world.turns:
                turn.state = "suspended" if turn.state == "running" else turn.state
        assert not any(turn.lost for turn in self.world.turns)
        assert not any(r.moves and r.moves.open for r in self.world.revisions.values())

    def every_turn_that_is_awake_gets_pods(self) -> None:
        for turn in self.world.turns:
            turn.state = "running"
        for _ in range(4):
            self.world.look()
            self.pods_come_up()
        for revision in self.world.revisions.values():
            assert revision.ready or not self.world.awake_at(revision)

    @invariant()
    def every_turn_has_its_code(self) -> None:
        """Where it is pinned; and where it could go back to, if that place can't go on with it."""
        there = {f"dp_{revision.image}" for revision in self.world.revisions.values()}
        assert {turn.pinned for turn in self.world.turns if turn.pinned} <= there
        assert {turn.home for turn in self.world.turns if turn.lost} <= there

    @invariant()
    def nothing_runs_twice(self) -> None:
        turns = self.world.turns
        sources = [turn.restarted_from for turn in turns if turn.restarted_from]
        assert len(sources) == len(set(sources))
        assert not {turn.id for turn in turns} & set(sources)

    @invariant()
    def nothing_killed_for_a_restart_is_forgotten(self) -> None:
        again = {turn.restarted_from for turn in self.world.turns}
        expected = {
            invocation
            for revision in self.world.revisions.values()
            if revision.moves
            for invocation in revision.moves.restarting
        }
        for turn in self.world.ended:
            if turn.id in self.forgiven:
                continue
            if turn.id in again:
                self.forgiven.add(turn.id)
            else:
                assert turn.id in expected

    @property
    def forgiven(self) -> set[str]:
        """Ids of what was restarted at some time: the restarted one may have ended by now."""
        found: set[str] = self.__dict__.setdefault("_forgiven", set())
        return found

    def teardown(self) -> None:
        """Once the world is kind again, every story ends well, and then nothing is done."""
        world = self.world
        if world.gone:
            return
        self.what_served_serves_again()
        if world.gone:
            return
        world.away, world.bad_images, world.suspended = False, set(), False
        world.replicas, world.config = max(world.replicas, 1), READ
        if world.image in world.refused:
            world.image = "claims:mended"
        # What failed is tried again with other gates only: none, here.
        self.change_the_rollout({**world.spec["rollout"], "gates": []})
        self.somebody_promotes()
        self.what_is_half_moved_finds_a_place()
        if world.gone:
            return
        self.every_turn_that_is_awake_gets_pods()
        for _ in range(12):
            world.look()
            if world.gone:
                return
            self.pods_come_up()
            world.turns.clear()
            world.now += timedelta(seconds=11)
        assert not world.deleting
        self.a_sleeping_agent_rests()
        self.all_is_settled()

    def a_sleeping_agent_rests(self) -> None:
        """One that may sleep does, and is done with; then all pods are wanted again."""
        world = self.world
        if (world.spec.get("scaling") or {}).get("idle"):
            for seconds in (0, 31, 0):
                world.now += timedelta(seconds=seconds)
                world.look()
            due = plan(world.snapshot(), world.now)
            assert due.actions == ()
            assert due.status.replicas == 0
        world.spec["scaling"] = None
        for _ in range(3):
            world.look()
            self.pods_come_up()

    def all_is_settled(self) -> None:
        world = self.world
        due = plan(world.snapshot(), world.now)
        assert due.actions == ()
        assert not world.gates.jobs
        assert due.look_again == LOOK, "nothing but what Secrets say can change"
        active, *kept = sorted(due.status.revisions, key=lambda r: r.phase is not Phase.ACTIVE)
        assert (active.image, active.phase) == (world.image, Phase.ACTIVE)
        assert len(kept) <= world.spec.get("revisionHistoryLimit", 0)
        assert {(r.phase, r.pods.desired) for r in kept} <= {(Phase.DRAINED, 0)}
        serving = next(r for r in world.revisions.values() if r.image == world.image)
        assert (serving.replicas, serving.ready) == (world.replicas, world.replicas)
        assert (serving.role, {role for _, role in serving.pod_roles}) == ("active", {"active"})
        assert (serving.autoscaled, serving.budget, serving.published) == (
            None,
            world.replicas > 1,
            False,
        )
        assert world.front.revision == serving.name
        # And a status that is steady is not written again, however much time passes.
        later = plan(world.snapshot(), world.now + timedelta(days=1))
        assert later.status.dump() == due.status.dump() == world.status


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_the_stories_get_as_far_as_a_move() -> None:
    """What random stories should come to, by hand: one that can't move, and then can."""
    story = Story()
    world = story.world

    def roll_out(image: str) -> set[str | None]:
        world.image = image
        for _ in range(15):
            world.look()
            story.pods_come_up()
            world.now += timedelta(seconds=3)
            for turn in world.turns:
                turn.state = "suspended" if turn.state == "running" else turn.state
        return {turn.pinned for turn in world.turns}

    roll_out("claims:0")
    world.turns += [
        Turn(service, "dp_claims:0", "suspended", home="dp_claims:0")
        for service in (SERVICE, EXTRA)
    ]
    world.spec["drain"] = {"deadline": "5s", "onDeadline": "MoveToActive", "idle": "Keep"}
    assert roll_out("claims:1") == {"dp_claims:0"}
    assert roll_out("claims:2") == {"dp_claims:2"}
    assert [revision.image for revision in world.revisions.values()] == ["claims:2"]

"""Whatever happens, in whatever order: nothing that an invocation needs goes, and all settles.

A small world (a cluster and a Restate, by their measured rules) plays random stories against
``plan``: specs change, pods come up or don't, turns start and end, Restate goes away, and the
operator is killed after any single action.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent_operator.api import Phase, names, times
from agent_operator.reconcile import actions as do
from agent_operator.reconcile.plan import Plan, plan
from agent_operator.reconcile.revisions import wanted
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.restate.view import Deployment, Load, RestateView, Service, Unreachable
from tests.unit.operator.build import (
    NOW,
    RESTATE,
    SERVICE,
    SETTINGS,
    URL,
    agent,
    fresh,
    load,
    registered,
)

TIMES = (names.IDLE_SINCE_ANNOTATION, names.QUIET_SINCE_ANNOTATION)
IMAGES = [f"claims:{n}" for n in range(4)]


@dataclass
class Turn:
    """An invocation. Unpinned, it goes to whatever deployment its service routes to."""

    pinned: str | None = None
    asleep: bool = False


@dataclass
class World:
    now: datetime = NOW
    image: str = IMAGES[0]
    deleting: bool = False
    finalizer: bool = False
    gone: bool = False
    away: bool = False
    bad_images: set[str] = field(default_factory=set)
    revisions: dict[str, Revision] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    latest: str | None = None
    turns: list[Turn] = field(default_factory=list)

    def snapshot(self) -> Snapshot:
        finalizers = ("durableagents.dev/drain",) if self.finalizer else ()
        owner = agent(self.image, deleting=self.deleting, finalizers=finalizers, status=self.status)
        restate: RestateView | Unreachable = self.view()
        if self.away:
            restate = Unreachable(URL, "away")
        return Snapshot(
            owner, wanted(owner, SETTINGS), tuple(self.revisions.values()), {RESTATE: restate}
        )

    status: dict[str, object] = field(default_factory=dict)

    def view(self) -> RestateView:
        loads: dict[str, Load] = {}
        for deployment_id in {self.place_of(turn) for turn in self.turns} - {None}:
            here = [turn for turn in self.turns if self.place_of(turn) == deployment_id]
            asleep = sum(turn.asleep for turn in here)
            loads[str(deployment_id)] = load(suspended=asleep, running=len(here) - asleep)
        services = (Service(SERVICE, self.latest),) if self.latest else ()
        return RestateView(tuple(self.deployments.values()), services, loads)

    def place_of(self, turn: Turn) -> str | None:
        return turn.pinned or self.latest

    def awake_at(self, revision: Revision) -> bool:
        here = f"dp_{revision.image}"
        return any(self.place_of(turn) == here and not turn.asleep for turn in self.turns)

    def needed(self, revision: Revision) -> bool:
        return any(self.place_of(turn) == f"dp_{revision.image}" for turn in self.turns)

    def act(self, action: do.Action) -> None:  # noqa: C901 - one case for each action
        match action:
            case do.AddFinalizer():
                self.finalizer = True
            case do.RemoveFinalizer():
                assert not self.revisions, "the object went before its revisions"
                self.gone = True
            case do.CreateRevision():
                self.revisions.setdefault(
                    action.wanted.name,
                    fresh(action.wanted.image, ready=0, created=self.now, published=True),
                )
            case do.ScaleRevision():
                self._scale(action.revision, action.replicas)
            case do.PublishUnready():
                self._change(action.revision, published=action.early)
            case do.Annotate():
                self._annotate(action)
            case do.ResumeInvocations():
                assert action.revision.ready, "resumed before there were pods"
                self._change(action.revision, waking=False)
            case do.RegisterRevision():
                self._register(action.revision)
            case do.RemoveRevision():
                self._remove(action.revision)
            case do.ForgetDeployment() | do.RestoreService() | do.EndInvocations():
                raise AssertionError("nobody deletes by hand or sets deadlines in these stories")

    def _annotate(self, action: do.Annotate) -> None:
        """As observe reads it back."""
        ((key, text),) = action.notes.items()
        moment = times.parse(text) if text and key in TIMES else None
        match key:
            case names.IDLE_SINCE_ANNOTATION:
                self._change(action.revision, idle_since=moment)
            case names.QUIET_SINCE_ANNOTATION:
                self._change(action.revision, quiet_since=moment)
            case names.DEPLOYMENT_ID_ANNOTATION:
                self._change(action.revision, deployment_id=text)
            case _:
                raise AssertionError(f"no story writes {key}")

    def _change(self, revision: Revision, **changes: object) -> None:
        self.revisions[revision.name] = replace(self.revisions[revision.name], **changes)  # type: ignore[arg-type]

    def _scale(self, revision: Revision, replicas: int) -> None:
        assert replicas or not self.awake_at(revision), "the pods of a turn at work were taken"
        waking = replicas > 0 and revision.replicas == 0
        ready = min(revision.ready, replicas)
        self._change(revision, replicas=replicas, ready=ready, waking=waking, quiet_since=None)

    def _register(self, revision: Revision) -> None:
        assert revision.ready >= revision.replicas > 0, "registered before its pods were ready"
        deployment = registered(revision.image)
        self.deployments[deployment.id] = deployment
        self.latest = deployment.id
        self._change(revision, registering=True, deployment_id=deployment.id)

    def _remove(self, revision: Revision) -> None:
        assert not self.needed(revision), f"{revision.image} was removed while a turn needed it"
        if revision.registering:
            assert not self.away, "removed what may be registered while Restate was away"
        deployment_id = f"dp_{revision.image}"
        if self.latest == deployment_id:
            assert self.deleting, "the revision that takes new turns was removed"
            self.latest = None
        self.deployments.pop(deployment_id, None)
        del self.revisions[revision.name]

    def look(self, *, killed_after: int | None = None) -> Plan:
        due = plan(self.snapshot(), self.now)
        assert due.look_again >= timedelta(milliseconds=100), "a hot loop"
        for number, action in enumerate(due.actions):
            if killed_after is not None and number >= killed_after:
                return due
            if self.away and isinstance(action, do.RegisterRevision):
                raise AssertionError("registered while Restate was away")
            self.act(action)
        self.status = due.status.dump()
        return due


class Story(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(image=st.sampled_from(IMAGES))
    def change_the_image(self, image: str) -> None:
        self.world.image = image

    @rule(image=st.sampled_from(IMAGES))
    def an_image_turns_out_bad(self, image: str) -> None:
        self.world.bad_images.add(image)

    @rule()
    def pods_come_up(self) -> None:
        for name, revision in self.world.revisions.items():
            if revision.image not in self.world.bad_images:
                self.world.revisions[name] = replace(revision, ready=revision.replicas)

    @precondition(lambda self: self.world.latest)
    @rule(at_once=st.booleans())
    def a_turn_starts(self, at_once: bool) -> None:
        self.world.turns.append(Turn(self.world.latest if at_once else None))

    @precondition(lambda self: self.world.turns)
    @rule(data=st.data(), asleep=st.booleans())
    def a_turn_falls_asleep_or_wakes(self, data: st.DataObject, asleep: bool) -> None:
        data.draw(st.sampled_from(self.world.turns)).asleep = asleep

    @precondition(lambda self: self.world.turns)
    @rule(data=st.data())
    def a_turn_ends(self, data: st.DataObject) -> None:
        self.world.turns.remove(data.draw(st.sampled_from(self.world.turns)))

    @rule(away=st.booleans())
    def restate_goes_or_comes(self, away: bool) -> None:
        self.world.away = away

    @rule()
    def restate_loses_its_registrations(self) -> None:
        """Restored from an older backup, say; what is pinned stays pinned."""
        self.world.deployments.clear()
        self.world.latest = None

    @rule(seconds=st.sampled_from([1, 9, 11, 700]))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @precondition(lambda self: not self.world.gone)
    @rule(killed_after=st.none() | st.integers(0, 2))
    def the_operator_looks(self, killed_after: int | None) -> None:
        self.world.look(killed_after=killed_after)

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

    @rule(sure=st.integers(0, 9))
    def somebody_deletes_it(self, sure: int) -> None:
        self.world.deleting = self.world.deleting or (sure == 0 and self.world.finalizer)

    def every_turn_that_is_awake_gets_pods(self) -> None:
        for turn in self.world.turns:
            turn.asleep = False
        for _ in range(4):
            self.world.look()
            self.pods_come_up()
        for revision in self.world.revisions.values():
            assert revision.ready or not self.world.awake_at(revision)

    @invariant()
    def every_turn_has_its_pods(self) -> None:
        images = {f"dp_{revision.image}" for revision in self.world.revisions.values()}
        assert {turn.pinned for turn in self.world.turns if turn.pinned} <= images

    def teardown(self) -> None:
        """Once the world is kind again, every story ends well, and then nothing is done."""
        world = self.world
        if world.gone:
            return
        world.away, world.bad_images = False, set()
        self.every_turn_that_is_awake_gets_pods()
        for _ in range(12):
            world.look()
            if world.gone:
                return
            self.pods_come_up()
            world.turns.clear()
            world.now += timedelta(seconds=11)
        assert not world.deleting
        due = plan(world.snapshot(), world.now)
        assert due.actions == ()
        (only,) = due.status.revisions
        assert (only.image, only.phase) == (world.image, Phase.ACTIVE)


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)

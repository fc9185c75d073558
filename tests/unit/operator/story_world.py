"""A small world, a cluster and a Restate by their measured rules, that plans are carried out in.

It knows the truth, so it can tell at once when an action harms an invocation.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

from pydantic import TypeAdapter

from agent_operator.api import names, times
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import config_changes, parked
from agent_operator.reconcile.asleep import only_asleep
from agent_operator.reconcile.errors import NotNowError
from agent_operator.reconcile.gate_facts import GateRecord
from agent_operator.reconcile.move_record import Moves
from agent_operator.reconcile.mover import Mover
from agent_operator.reconcile.plan import SOON, Plan, plan
from agent_operator.reconcile.registration import lost_last
from agent_operator.reconcile.scaling import digest
from agent_operator.reconcile.snapshot import Config, Failure, Front, Revision, Snapshot
from agent_operator.restate.client import UNANSWERED, RestateUnavailableError
from agent_operator.restate.invocations import Invocation, Invocations
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
from tests.unit.operator.story_gates import Gates

EXTRA: Final = "Extra"
MISMATCH: Final = "RT0016"
IMAGES: Final = [f"claims:{n}" for n in range(4)]
# Somebody's own endpoint, registered by hand.
STRANGER: Final = Deployment("dp_dev", "http://dev.test:9080", (SERVICE, EXTRA), {})
# This one no longer has the second service.
DROPS_EXTRA: Final = IMAGES[3]
TIMES: Final = (
    names.IDLE_SINCE_ANNOTATION,
    names.QUIET_SINCE_ANNOTATION,
    names.DRAINING_SINCE_ANNOTATION,
    names.UNTOUCHED_SINCE_ANNOTATION,
)
SPEC: Final[dict[str, Any]] = {"rollout": {"breakingChanges": "Allow"}}
# What Secrets and ConfigMaps say: all that pods need, less than that, or what nobody may read.
READ: Final = Config("d1")
MISSING: Final = Config("d1", Failure("ConfigMissing", "it is gone"))
UNREADABLE: Final = Config("", Failure("ConfigUnreadable", "it may not be read"))

_numbers = count()


def services_of(image: str) -> tuple[str, ...]:
    return (SERVICE,) if image == DROPS_EXTRA else (SERVICE, EXTRA)


def goes_on_at(journal: str, image: str) -> bool:
    """Whether an image's code takes the steps of a journal that another one began."""
    odd = {IMAGES[1]}
    return (journal in odd) == (image in odd)


@dataclass
class Turn:
    """An invocation. Unpinned, it goes to whatever deployment its service routes to.

    ``home`` is where its journal was written last.
    """

    service: str = SERVICE
    pinned: str | None = None
    state: str = "running"
    code: str = ""
    home: str = ""
    restarted_from: str | None = None
    workflow: bool = False
    id: str = field(default_factory=lambda: f"inv_{next(_numbers)}")

    @property
    def awake(self) -> bool:
        return self.state in {"running", "backing-off"} and not self.lost

    @property
    def lost(self) -> bool:
        """It can't go on where it is."""
        return self.code == MISMATCH


@dataclass
class World:
    now: datetime = NOW
    image: str = IMAGES[0]
    spec: dict[str, Any] = field(default_factory=lambda: dict(SPEC))
    replicas: int = 1
    deleting: bool = False
    finalizer: bool = False
    suspended: bool = False
    gone: bool = False
    away: bool = False
    bad_images: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    revisions: dict[str, Revision] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    config: Config = READ
    routes: dict[str, str] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    ended: list[Turn] = field(default_factory=list)
    status: dict[str, object] = field(default_factory=dict)
    gates: Gates = field(default_factory=Gates)
    front: Front = field(default_factory=Front)
    serving: set[str] = field(default_factory=set)
    # How many requests an operator makes that is killed in the middle of moving invocations.
    last_requests: int = 2

    def snapshot(self) -> Snapshot:
        finalizers = (names.FINALIZER,) if self.finalizer else ()
        owner = agent(
            self.image,
            deleting=self.deleting,
            finalizers=finalizers,
            status=self.status,
            replicas=self.replicas,
            **self.spec,
        )
        if self.suspended:
            owner.metadata.annotations[names.SUSPEND_ANNOTATION] = "true"
        owner.metadata.annotations[names.PROMOTE_ANNOTATION] = self.gates.promoted
        restate: RestateView | Unreachable = self.view()
        if self.away:
            restate = Unreachable(URL, "away")
        revisions = tuple(self.revisions.values())
        target = config_changes.target(owner, SETTINGS, self.config, revisions)
        return Snapshot(
            owner,
            target,
            revisions,
            {RESTATE: restate},
            config=self.config,
            jobs=tuple(self.gates.jobs.values()),
            front=self.front,
        )

    def view(self) -> RestateView:
        loads: dict[str, Load] = {}
        for deployment_id in {self.place_of(turn) for turn in self.turns} - {None}:
            here = [turn for turn in self.turns if self.place_of(turn) == deployment_id]
            states = [turn.state.replace("-", "_") for turn in here]
            loads[str(deployment_id)] = load(**{state: states.count(state) for state in states})
        services = tuple(
            Service(name, holder, handlers={"turn": ""}) for name, holder in self.routes.items()
        )
        return RestateView(tuple(self.deployments.values()), services, loads)

    def place_of(self, turn: Turn) -> str | None:
        return turn.pinned or self.routes.get(turn.service)

    def revision_at(self, deployment_id: str | None) -> Revision | None:
        found = (r for r in self.revisions.values() if f"dp_{r.image}" == deployment_id)
        return next(found, None)

    def awake_at(self, revision: Revision) -> bool:
        here = f"dp_{revision.image}"
        return any(self.place_of(turn) == here and turn.awake for turn in self.turns)

    def needed(self, revision: Revision) -> bool:
        here = f"dp_{revision.image}"
        return any(
            self.place_of(turn) == here or (turn.lost and turn.home == here) for turn in self.turns
        )

    def is_lost(self, revision: Revision) -> bool:
        return bool(revision.deployment_id) and f"dp_{revision.image}" not in self.deployments

    @property
    def served_last(self) -> str | None:
        """What took the turns last, as far as the operator has seen it."""
        history = self.status.get("history")
        return str(history[0]) if isinstance(history, list) and history else None

    def is_spare(self, revision: Revision) -> bool:
        """Whether it is the one to take turns again, as the wanted one doesn't take them."""
        wanted = self.snapshot().wanted.name
        last = revision.name == self.served_last
        return last and wanted != revision.name and wanted not in self.serving

    def somebody_else_takes(self, service: str) -> None:
        self.deployments[STRANGER.id] = STRANGER
        self.routes[service] = STRANGER.id

    def somebody_else_goes(self) -> None:
        self._deregister(STRANGER.id)

    def act(self, action: do.Action, *, half: bool = False) -> None:  # noqa: C901
        """Carry one action out; ``half`` of it, where it has parts: then the operator dies."""
        match action:
            case do.AddFinalizer():
                self.finalizer = True
            case do.RemoveFinalizer():
                self._let_go()
            case do.CreateRevision():
                self._create(action, half=half)
            case do.RestoreService():
                self._change(action.revision, has_service=True, published=True)
            case do.ScaleRevision():
                self._scale(action.revision, action.replicas)
            case do.LetSleep():
                assert action.revision.name in self.serving, "one that takes no turns let sleep"
                self._scale(action.revision, 0)
            case do.Annotate():
                self._annotate(action)
            case do.ResumeInvocations():
                self._resume(action, half=half)
            case do.EndInvocations():
                self._end(action)
            case do.MoveInvocations():
                self._move(action, half=half)
            case do.CheckRevision():
                self._check(action.revision)
            case do.StartGate():
                self.gates.start(action, self.snapshot())
            case do.TrustGate():
                self._change(action.revision, trusted=frozenset({action.key}))
            case do.RemoveGate():
                del self.gates.jobs[action.job]
            case do.RegisterRevision():
                revision = self.revisions[action.revision.name]
                again = self.is_lost(revision) and self.needed(revision)
                self.gates.check_turns(revision, self.snapshot(), again=again)
                self._register(action.revision, half=half)
            case do.RemoveRevision():
                self._remove(action.revision, half=half)
            case do.ForgetDeployment():
                self._forget(action)
            case do.RepinInvocations() | do.ReopenServices():
                raise AssertionError("ids stay, and nobody closes services, in these stories")
            case _:
                self._tend(action, half=half)

    def _tend(self, action: do.Tending, *, half: bool) -> None:
        match action:
            case do.PublishUnready():
                self._change(action.revision, published=action.early)
            case do.LabelPods():
                pods = dict(self.revisions[action.revision.name].pod_roles)
                labelled = dict.fromkeys(action.pods[: 1 if half else None], action.role)
                self._change(action.revision, pod_roles=tuple((pods | labelled).items()))
            case do.PointService():
                assert action.revision.name in self.serving, "it leads to what takes no turns"
                self.front = Front(action.revision.name, action.port)
            case do.SetAutoscaler(autoscaler=wish):
                assert wish is None or action.revision.name in self.serving
                self._change(action.revision, autoscaled=digest(wish) if wish else None)
            case do.SetBudget():
                self._change(action.revision, budget=action.present)

    def now_serving(self) -> set[str]:
        """The revisions that new turns of any service go to."""
        routed = self.routes.values()
        return {r.name for r in self.revisions.values() if f"dp_{r.image}" in routed}

    def _let_go(self) -> None:
        if self.spec.get("deletionPolicy") == "Orphan":
            for revision in self.revisions.values():
                assert revision.orphaned, "left behind without a mark, and so removed"
                assert revision.replicas or not self.needed(revision), "left asleep for ever"
                served = revision.name in self.now_serving() and self.replicas
                assert revision.replicas or not served, "its next turn would wake nobody"
            assert not any(turn.lost for turn in self.turns), "left half moved"
        else:
            assert not self.revisions, "the object went before its revisions"
        self.gone = True

    def _create(self, action: do.CreateRevision, *, half: bool) -> None:
        name, limit = action.wanted.name, self.spec.get("maxRevisions")
        # Of one that was half made, only the Service is.
        known = self.config.digest or name in self.revisions
        assert known, "made from what nobody could read"
        if limit and name not in self.revisions:
            active = self.routes.get(SERVICE)
            holders = [
                r for r in self.revisions.values() if f"dp_{r.image}" == active or self.needed(r)
            ]
            assert len(holders) < limit, "more revisions than are allowed"
        made = fresh(
            action.wanted.image,
            ready=0,
            replicas=action.wanted.replicas,
            created=self.now,
            has_service=False,
            published=None,
            trusted=frozenset({None}),
            role="candidate",
            budget=False,
            name=name,
            uri=action.wanted.uri,
            spec_hash=action.wanted.spec_hash,
        )
        self.revisions.setdefault(name, made)
        if not half:
            self._change(made, has_service=True, published=True)

    def _annotate(self, action: do.Annotate) -> None:
        """As observe reads it back."""
        if action.role:
            self._change(action.revision, role=action.role)
        for key, text in action.notes.items():
            self._note(action.revision, key, text)

    def _note(self, revision: Revision, key: str, text: str | None) -> None:
        moment = times.parse(text) if text and key in TIMES else None
        match key:
            case names.IDLE_SINCE_ANNOTATION:
                self._change(revision, idle_since=moment)
            case names.QUIET_SINCE_ANNOTATION:
                self._change(revision, quiet_since=moment)
            case names.DRAINING_SINCE_ANNOTATION:
                self._change(revision, draining_since=moment)
            case names.UNTOUCHED_SINCE_ANNOTATION:
                self._change(revision, untouched_since=moment)
            case names.DEPLOYMENT_ID_ANNOTATION:
                self._change(revision, deployment_id=text)
            case names.ORPHANED_ANNOTATION:
                self._change(revision, orphaned=text is not None)
            case names.GATES_ANNOTATION:
                found = TypeAdapter(GateRecord).validate_json(text or "")
                self._change(revision, gates=found)
            case names.FAILURE_ANNOTATION:
                failure = TypeAdapter(Failure).validate_json(text) if text else None
                self._change(revision, failure=failure)
            case _:
                raise AssertionError(f"no story writes {key}")

    def _change(self, revision: Revision, **changes: object) -> None:
        self.revisions[revision.name] = replace(self.revisions[revision.name], **changes)  # type: ignore[arg-type]

    def _scale(self, revision: Revision, replicas: int) -> None:
        by_the_user = self.replicas == 0 and revision.image == self.image
        allowed = by_the_user or not self.awake_at(revision)
        assert replicas or allowed, "the pods of a turn at work were taken"
        now = self.revisions[revision.name]
        if now.autoscaled and now.replicas:
            scaling = self.spec.get("scaling") or {}
            fought = replicas and scaling.get("autoscaler") and self.replicas
            assert not fought, "fought with the autoscaler"
            assert replicas or revision.name in self.serving, "it may bring the pods back"
        sleeps = revision.name in self.serving
        assert replicas or sleeps or not self.is_spare(revision), "all that could serve was taken"
        waking = replicas > 0 and revision.replicas == 0
        self._change(
            revision,
            replicas=replicas,
            ready=min(revision.ready, replicas),
            waking=waking,
            waking_since=self.now if waking else None,
            quiet_since=None,
            untouched_since=None,
        )

    def _resume(self, action: do.ResumeInvocations, *, half: bool) -> None:
        assert action.revision.ready, "resumed before there were pods"
        for turn in self.turns:
            if turn.pinned == action.deployment_id and turn.code == UNANSWERED:
                self._attempt(turn)
        if not half:
            self._change(action.revision, waking=False)

    def _attempt(self, turn: Turn) -> None:
        """What becomes of an invocation that is tried where it is pinned."""
        place = self.revision_at(turn.pinned)
        if place is None or not place.ready:
            turn.state, turn.code = "backing-off", UNANSWERED
        elif not goes_on_at(turn.home.removeprefix("dp_"), place.image):
            turn.state, turn.code = "backing-off", MISMATCH
        else:
            turn.state, turn.code, turn.home = "running", "", str(turn.pinned)

    def _end(self, action: do.EndInvocations) -> None:
        here = [turn for turn in self.turns if self.place_of(turn) == action.deployment_id]
        for turn in here:
            if action.how == "kill":
                self.turns.remove(turn)
            elif turn.state == "suspended":
                turn.state = "running"

    def _move(self, action: do.MoveInvocations, *, half: bool) -> None:
        """The real mover, on this Restate; it may be killed after any request."""
        restate = StoryRestate(self, killed=half)
        name = action.revision.name

        async def write(record: Moves) -> None:
            restate.step()
            self._change(self.revisions[name], moves=record)

        async def tell(record: Moves) -> None:
            assert record.in_words()

        mover = Mover(action, self.snapshot(), restate, write, tell)
        with contextlib.suppress(NotNowError, RestateUnavailableError):
            asyncio.run(mover.run())

    def _check(self, revision: Revision) -> None:
        assert self.revisions[revision.name].ready, "checked before there were pods"
        if not self._waits_for_the_last(revision) and not self._refuses(revision):
            self._change(revision, checked=True)

    def _waits_for_the_last(self, revision: Revision) -> bool:
        """As if no breaking changes were allowed."""
        now = self.revisions[revision.name]
        return lost_last(now, self.view(), self.snapshot()) is not None

    def _refuses(self, revision: Revision) -> bool:
        before = self.revisions[revision.name].failure
        assert not before or before.reason != "RegistrationRefused", "a final word was asked again"
        # What Restate has taken before, it is made to take again.
        if revision.image not in self.refused or revision.deployment_id:
            return False
        self._change(revision, failure=Failure("RegistrationRefused", "META0006"))
        return True

    def _register(self, revision: Revision, *, half: bool) -> None:
        needed = 1 if revision.name == self.served_last else max(revision.replicas, 1)
        assert revision.ready >= needed, "registered before its pods were ready"
        if self._waits_for_the_last(revision) or self._refuses(revision):
            return
        self._change(revision, registering=True)
        if half:
            return
        deployment = registered(revision.image, services_of(revision.image))
        self.deployments[deployment.id] = replace(deployment, uri=revision.uri)
        self._change(revision, deployment_id=revision.deployment_id or deployment.id)
        self.routes |= dict.fromkeys(deployment.services, deployment.id)

    def _remove(self, revision: Revision, *, half: bool) -> None:
        assert not self.needed(revision), f"{revision.image} was removed while a turn needed it"
        if revision.registering:
            assert not self.away, "removed what may be registered while Restate was away"
        here = f"dp_{revision.image}"
        assert self.deleting or self.routes.get(SERVICE) != here, (
            "the revision that takes new turns was removed"
        )
        assert self.deleting or not self.is_spare(revision), "all that could serve was removed"
        self._deregister(here)
        self._change(revision, has_service=False)
        if not half:
            del self.revisions[revision.name]

    def _forget(self, action: do.ForgetDeployment) -> None:
        assert not any(self.place_of(turn) == action.deployment_id for turn in self.turns)
        assert self.deleting or action.deployment_id not in self.routes.values()
        self._deregister(action.deployment_id)

    def _deregister(self, deployment_id: str) -> None:
        self.routes = {s: d for s, d in self.routes.items() if d != deployment_id}
        self.deployments.pop(deployment_id, None)

    def look(self, *, killed_after: int | None = None, half: bool = False) -> Plan:
        """One look of an operator that remembers nothing, and may die in the course of it."""
        due, self.serving = plan(self.snapshot(), self.now), self.now_serving()
        assert due.look_again >= timedelta(milliseconds=100), "a hot loop"
        assert not (self.suspended and due.actions), "hands off"
        self._looks_are_in_time(due)
        for number, action in enumerate(due.actions):
            dies = killed_after == number
            if dies and not half:
                return due
            if self.away and isinstance(action, do.RegisterRevision | do.MoveInvocations):
                raise AssertionError(f"{type(action).__name__} while Restate was away")
            self.act(action, half=dies)
            if dies:
                return due
        self.status = due.status.dump()
        return due

    def _looks_are_in_time(self, due: Plan) -> None:
        """Whoever is called without pods is noticed soon, and no old look decides on turns."""
        seen = self.snapshot()
        if parked.candidate(seen):
            steps = do.CheckRevision | do.RegisterRevision
            going = [a.revision.name for a in due.actions if isinstance(a, steps)]
            assert seen.wanted.name not in going, "it waits no more"
        if due.actions or self.suspended or due.status.dump() != self.status:
            return
        for revision in seen.revisions:
            stopped = revision is seen.target and not self.replicas
            if not revision.replicas and self.needed(revision) and not stopped:
                watched = due.look_again <= SOON or revision in only_asleep(seen)
                assert watched, "nobody would notice that it is called"


class StoryRestate(Invocations):
    """Restate's invocations, as the mover sees and moves them."""

    def __init__(self, world: World, *, killed: bool) -> None:
        object.__setattr__(self, "world", world)
        object.__setattr__(self, "left", [world.last_requests if killed else 1000])

    world: World
    left: list[int]

    def step(self) -> None:
        """Something is about to change: is the operator still there to do it?"""
        self.left[0] -= 1
        if self.left[0] < 0:
            raise RestateUnavailableError("killed")

    async def pinned_to(self, deployment_id: str) -> list[Invocation]:
        return [_seen(turn) for turn in self.world.turns if turn.pinned == deployment_id]

    async def by_id(self, ids: Iterable[str]) -> dict[str, Invocation]:
        wanted = set(ids)
        living = {t.id: _seen(t) for t in self.world.turns if t.id in wanted}
        return living | {t.id: _seen(t, killed=True) for t in self.world.ended if t.id in wanted}

    async def starting_on(self, deployment_id: str) -> int:
        return 0

    async def restarts_of(self, ids: Iterable[str]) -> dict[str, str]:
        return {t.restarted_from: t.id for t in self.world.turns if t.restarted_from in set(ids)}

    async def pause(self, invocation: str) -> None:
        self.step()
        turn = self._turn(invocation)
        if turn and turn.state in {"running", "backing-off"}:
            turn.state = "paused"

    async def resume(self, invocation: str, deployment_id: str) -> bool | None:
        self.step()
        turn = self._turn(invocation)
        if turn is None or turn.state not in {"suspended", "paused"}:
            return None
        if deployment_id not in self.world.deployments:
            return False
        asleep = turn.state == "suspended"
        turn.pinned = deployment_id
        self.world._attempt(turn)
        if asleep and turn.state == "running":
            turn.state = "suspended"
        return True

    async def kill(self, invocation: str) -> None:
        self.step()
        if turn := self._turn(invocation):
            self.world.turns.remove(turn)
            self.world.ended.append(turn)

    async def restart(self, invocation: str) -> str:
        self.step()
        (old,) = (t for t in self.world.ended if t.id == invocation)
        assert not await self.restarts_of([invocation]), "it would run twice"
        place = self.world.routes[old.service]
        again = Turn(old.service, place, home=place, restarted_from=old.id)
        self.world.turns.append(again)
        return again.id

    def _turn(self, invocation: str) -> Turn | None:
        return next((t for t in self.world.turns if t.id == invocation), None)


def _seen(turn: Turn, *, killed: bool = False) -> Invocation:
    return Invocation(
        id=turn.id,
        status="completed" if killed else turn.state,
        service=turn.service,
        handler="turn",
        pinned=turn.pinned,
        code=turn.code,
        killed=killed,
        restartable=not turn.workflow,
    )

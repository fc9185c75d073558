"""What waits for days is not looked at each second; what gets on is, and what wakes, still is."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from agent_operator.api import names
from agent_operator.api.status import GateState
from agent_operator.kube.client import AGENT_DEPLOYMENTS, REPLICA_SETS, Body, Kube
from agent_operator.kube.store import Store
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import gates, manifests, parked
from agent_operator.reconcile.asleep import only_asleep
from agent_operator.reconcile.contents import Contents
from agent_operator.reconcile.gate_facts import (
    GateJob,
    GateRecord,
    GateResult,
    hash_of,
    job_name,
)
from agent_operator.reconcile.observe import observe
from agent_operator.reconcile.plan import ASLEEP, SLOW, SOON, STEADY, plan
from agent_operator.reconcile.revisions import wanted
from agent_operator.reconcile.snapshot import Failure, Revision, Setback, Snapshot
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import Server
from agent_operator.restate.sleepers import Ids, Sleepers
from agent_operator.restate.view import Deployment, RestateView, Service
from tests.unit.operator.build import (
    NOW,
    RESTATE,
    SERVICE,
    SETTINGS,
    agent,
    fresh,
    load,
    registered,
    revision,
    snapshot,
    view,
    wish,
)
from tests.unit.operator.test_observer import Clock, Counting

V0, V1, V2 = "claims:0", "claims:1", "claims:2"
KEY = ("team", "claims")
MANUAL = {"strategy": "Manual"}
GATES = {"gates": [{"name": "smoke", "smoke": {"message": "hello"}}]}
PROMOTED = {names.PROMOTE_ANNOTATION: wish(V2).name}
OLD = timedelta(days=1)
NO_PODS: dict[str, Any] = {"replicas": 0, "ready": 0}

CHECKED = fresh(V2, checked=True)
PULLS = fresh(V2, created=NOW - OLD, ready=0, trouble=Failure("ImageCantBePulled", "no"))
REFUSED = fresh(V2, failure=Failure("BreakingChanges", "no"), **NO_PODS)
DIGEST = hash_of(agent(rollout=GATES).spec.rollout.gates)
GATE_FAILED = replace(
    REFUSED,
    failure=Failure(gates.GATE_FAILED, "no"),
    gates=GateRecord(DIGEST, (GateResult("smoke", passed=False),)),
)
BACK = revision(V2, checked=True)


def seen(
    candidate: Revision,
    *others: Revision,
    active: Revision | None = None,
    restate: RestateView | None = None,
    setback: Setback | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Snapshot:
    """A candidate beside an active revision that serves."""
    serving = active or revision(V1)
    status = {"activeRevision": serving.name, "history": [serving.name]}
    owner = agent(V2, status=status, **spec)
    owner.metadata.annotations.update(annotations or {})
    known = restate or view(registered(V1))
    return snapshot(owner, *others, serving, candidate, restate=known, setback=setback)


def gate(state: GateState) -> GateJob:
    return GateJob(job_name(wish(V2).name, "smoke", DIGEST), wish(V2).name, state)


GATED = seen(CHECKED, rollout=GATES)
BOTH = view(registered(V1), registered(V2), latest=V1)

PARKED: dict[str, Snapshot] = {
    "its image can't be pulled": seen(PULLS),
    "the first one's can't": snapshot(agent(V2), PULLS),
    "it breaks callers": seen(REFUSED),
    "a gate failed": seen(GATE_FAILED, rollout=GATES),
    "no pods are wanted": seen(fresh(V2, **NO_PODS), replicas=0),
    "it waits for a promotion": seen(CHECKED, rollout=MANUAL),
    "as it does when going back": seen(BACK, restate=BOTH, rollout=MANUAL),
    "and while its pod is away": seen(replace(CHECKED, ready=0), rollout=MANUAL),
    "a gate runs": replace(GATED, jobs=(gate(GateState.RUNNING),)),
}
GETS_ON: dict[str, Snapshot] = {
    "its pods are there": seen(replace(PULLS, ready=1)),
    "it has passed the checks": seen(CHECKED),
    "it is promoted": seen(CHECKED, rollout=MANUAL, annotations=PROMOTED),
    "breaking changes are allowed now": seen(REFUSED, rollout={"breakingChanges": "Allow"}),
    "its gates are other ones now": seen(GATE_FAILED, rollout={}),
    "pods are wanted again": seen(fresh(V2, **NO_PODS)),
    "it failed, and has pods yet": seen(replace(REFUSED, replicas=1, ready=1)),
    "it failed, but old turns may need it": seen(
        replace(BACK, failure=Failure("RegistrationRefused", "no"), **NO_PODS), restate=BOTH
    ),
    "its moves are open": seen(replace(BACK, lost_ids=("dp_0",)), restate=BOTH, rollout=MANUAL),
    "being deleted": snapshot(agent(V2, deleting=True), PULLS),
}


@pytest.mark.parametrize("given", PARKED.values(), ids=PARKED)
def test_what_waits_is_looked_at_seldom(given: Snapshot) -> None:
    assert parked.candidate(given) is given.target
    due = plan(given, NOW)
    assert due.actions == ()
    assert due.look_again == STEADY


@pytest.mark.parametrize("given", GETS_ON.values(), ids=GETS_ON)
def test_what_gets_on_does_not_wait(given: Snapshot) -> None:
    assert parked.candidate(given) is None


def test_a_deadline_is_not_missed() -> None:
    late_soon = replace(PULLS, created=NOW - timedelta(minutes=9, seconds=58))
    assert plan(seen(late_soon), NOW).look_again == timedelta(seconds=2)


def test_other_revisions_that_drain_are_watched_all_the_same() -> None:
    restate = view(registered(V0), registered(V1), loads={V0: load(running=1)})
    assert plan(seen(PULLS, revision(V0), restate=restate), NOW).look_again == SOON


DORMANT = revision(V0, **NO_PODS)
IDLE = {"idle": {"after": "1h"}}


BESIDE = {name: given for name, given in PARKED.items() if given.agent.status}


@pytest.mark.parametrize("given", BESIDE.values(), ids=BESIDE)
def test_beside_it_what_sleeps_is_asked_for_cheaply(given: Snapshot) -> None:
    asleep = view(registered(V0), registered(V1), loads={V0: load(suspended=1)})
    beside = replace(given, revisions=(DORMANT, *given.revisions), restates={RESTATE: asleep})
    assert only_asleep(beside) == (DORMANT,)
    assert plan(beside, NOW).look_again == ASLEEP
    woken = view(registered(V0), registered(V1), loads={V0: load(backing_off=1)})
    called = plan(replace(beside, restates={RESTATE: woken}), NOW)
    wanted_pods = max(given.wanted.replicas, 1)
    assert called.actions == (do.ScaleRevision(DORMANT, wanted_pods),)
    assert called.look_again == SOON


def test_so_is_the_active_one_that_is_idle() -> None:
    idle = revision(V1, **NO_PODS)
    for candidate in (PULLS, REFUSED):
        given = seen(candidate, active=idle, scaling=IDLE)
        assert only_asleep(given) == (idle,)
        assert plan(given, NOW).look_again == ASLEEP
    assert only_asleep(seen(CHECKED, active=idle, scaling=IDLE)) == ()


# Seldom, though only Restate tells


def keeping(old: Revision, shown: dict[str, int], now: dict[str, int], **drain: Any) -> Snapshot:
    """After a rollout, an old revision whose pods stay; what was shown of it, and what is so."""
    entry = {"name": old.name, "phase": "Draining", "invocations": shown}
    name = wish(V2).name
    status = {"activeRevision": name, "history": [name], "revisions": [entry]}
    owner = agent(V2, status=status, drain={"idle": "Keep", **drain})
    restate = view(registered(V1), registered(V2), loads={V1: load(**now)} if now else None)
    return snapshot(owner, old, revision(V2), restate=restate)


def test_pods_kept_for_turns_that_sleep() -> None:
    asleep, at_work = {"suspended": 2}, {"suspended": 1, "running": 1}
    assert plan(keeping(revision(V1), asleep, asleep), NOW).look_again == SLOW
    assert plan(keeping(revision(V1), asleep, at_work), NOW).look_again == SOON
    assert plan(keeping(revision(V1), at_work, at_work), NOW).look_again == SOON
    assert plan(keeping(revision(V1), asleep, {}), NOW).look_again == SOON
    assert plan(keeping(revision(V1, ready=0), asleep, asleep), NOW).look_again == SOON
    over = keeping(revision(V1), asleep, asleep, deadline="1h", onDeadline="Kill")
    assert parked.moving(over) == list(over.revisions)


def test_a_service_that_somebody_else_took() -> None:
    theirs = Deployment("dp_dev", "http://dev:9080", (SERVICE,), {})
    restate = RestateView((registered(V2), theirs), (Service(SERVICE, "dp_dev"),), {})
    given = snapshot(agent(V2), revision(V2), restate=restate)
    assert (plan(given, NOW).actions, plan(given, NOW).look_again) == ((), SLOW)
    gone = view(registered(V2))
    assert plan(replace(given, restates={RESTATE: gone}), NOW).look_again == STEADY


def test_what_was_refused_for_now_is_tried_again_at_its_own_times() -> None:
    given = seen(fresh(V2), setback=Setback("DiscoveryFailed", "no answer"))
    assert plan(given, NOW).look_again == SLOW


# How old a look at Restate may be


class Noting(Sleepers):
    """Only notes what it is to watch."""

    def __init__(self, usual: Sleepers, noted: list[Mapping[Server, frozenset[str]]]) -> None:
        super().__init__(usual.ask, usual.outdated)
        self.noted = noted
        self.witnesses: Ids = {}

    def put(self, key: tuple[str, str], asleep: Ids, witnesses: Ids | None = None) -> None:
        assert key == KEY
        self.noted.append(asleep)
        self.witnesses = witnesses or {}


class Agent:
    """An object of which only Restate is asked, at a time that stands still until it is moved."""

    def __init__(self, **spec: Any) -> None:
        self.clock, self.restate = Clock(), Counting(RESTATE.url)
        self.observer = RestateObserver(lambda _: self.restate, self.clock)
        self.store, self.version = Store(), 0
        self.asleep: list[Mapping[Server, frozenset[str]]] = []
        self.noting = self.observer.sleepers = Noting(self.observer.sleepers, self.asleep)
        self.owner = agent(V2, status={"activeRevision": wish(V1).name}, **spec)

    def put(self, **changes: Any) -> None:
        """The object, with other annotations."""
        self.owner.metadata.annotations.update(changes.get("annotations", {}))
        self._put(AGENT_DEPLOYMENTS, self.owner.model_dump(mode="json", by_alias=True))

    def replica_set(
        self,
        image: str,
        *,
        replicas: int = 1,
        ready: int = 0,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        made = manifests.replica_set(self.owner, wanted(agent(image), SETTINGS))
        made["metadata"]["annotations"] |= notes or {}
        made["metadata"]["creationTimestamp"] = "2026-05-04T11:00:00Z"
        made["spec"]["replicas"] = replicas
        self._put(REPLICA_SETS, {**made, "status": {"readyReplicas": ready}})

    def _put(self, resource: Any, body: Body) -> None:
        self.version += 1
        body["metadata"] |= {"resourceVersion": str(self.version)}
        body["metadata"].setdefault("uid", body["metadata"]["name"])
        assert self.store.put(resource, body)

    async def look(self, later: float = 0.0) -> int:
        """How often Restate was asked in all, after a look so many seconds later."""
        self.clock.now += later
        contents = Contents(cast("Kube", None))  # no agent here asks for any
        assert await observe(KEY, self.store, self.observer, SETTINGS, None, contents)
        return self.restate.looks


PASSED = {names.CHECKED_ANNOTATION: "2026-05-04T11:00:00Z"}
ID = {names.DEPLOYMENT_ID_ANNOTATION: "dp_1"}


async def test_a_look_for_what_waits_may_be_older_but_not_once_it_is_ready() -> None:
    it = Agent()
    it.put()
    it.replica_set(V1, ready=1, notes=ID)
    it.replica_set(V2)
    assert [await it.look(1.0) for _ in range(9)] == [1] * 9
    it.replica_set(V2, ready=1)
    assert await it.look() == 2


async def test_nor_once_it_is_promoted() -> None:
    it = Agent(rollout=MANUAL)
    it.owner.status["history"] = [wish(V1).name]
    it.put()
    it.replica_set(V1, ready=1, notes=ID)
    it.replica_set(V2, ready=1, notes=PASSED)
    assert [await it.look(1.0) for _ in range(9)] == [1] * 9
    it.put(annotations=PROMOTED)
    assert await it.look() == 2


async def test_while_it_is_suspended_nothing_that_sleeps_is_watched() -> None:
    it = Agent()
    it.put(annotations={names.SUSPEND_ANNOTATION: "true"})
    it.replica_set(V1, replicas=0, notes=ID)
    it.replica_set(V2, ready=1)
    assert [await it.look(1.0) for _ in range(9)] == [1] * 9
    assert not any(it.asleep)
    it.put(annotations={names.SUSPEND_ANNOTATION: "false"})
    assert await it.look() == 2


async def test_what_sleeps_beside_what_waits_is_watched() -> None:
    it = Agent(scaling=IDLE)
    it.put()
    it.replica_set(V1, replicas=0, notes=ID)
    it.replica_set(V2)
    await it.look()
    assert it.asleep == [{RESTATE: frozenset({"dp_1"})}]


async def test_what_holds_pods_is_watched_by_one_of_its_turns() -> None:
    it = Agent(drain={"idle": "Keep"})
    shown = {"name": wish(V1).name, "phase": "Draining", "invocations": {"suspended": 2}}
    it.owner.status.update(activeRevision=wish(V2).name, revisions=[shown])
    it.put()
    it.replica_set(V1, ready=1, notes=ID)
    it.replica_set(V2, ready=1, notes={names.DEPLOYMENT_ID_ANNOTATION: "dp_2"})
    it.restate.held = {"dp_1": load(suspended=2), "dp_2": load(suspended=1)}
    assert [await it.look(1.0) for _ in range(9)] == [1] * 9
    assert it.noting.witnesses == {RESTATE: frozenset({"inv_1"})}
    it.restate.held = {}
    assert await it.look(10.0) == 2
    assert it.noting.witnesses == {}

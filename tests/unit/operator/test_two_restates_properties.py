"""Stories of an agent that is pointed to and fro between two Restates, which lose what they knew.

Registered anew, a deployment has another id, as measured; what was pinned to the old one can't go
on until it is told. Whatever happens, a revision stays, with pods, for as long as it is needed or
nobody can tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent_operator.api import AgentDeployment, Phase, names, times
from agent_operator.reconcile import actions as do
from agent_operator.reconcile.lost import ids_to_note
from agent_operator.reconcile.plan import Plan, plan
from agent_operator.reconcile.revisions import wanted
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.restate.server import Server
from agent_operator.restate.view import Deployment, Load, RestateView, Service, Unreachable
from tests.unit.operator.build import NOW, SERVICE, SETTINGS, agent, load

URLS = ["http://one.test:9070", "http://two.test:9070"]
IMAGES = ["claims:1", "claims:2"]
FIELDS = {
    names.IDLE_SINCE_ANNOTATION: "idle_since",
    names.QUIET_SINCE_ANNOTATION: "quiet_since",
}


@dataclass
class Turn:
    """An invocation that is pinned to ``place``, and began on the revision ``home``."""

    place: str
    home: str
    asleep: bool = False


@dataclass
class Site:
    """One Restate."""

    deployments: dict[str, Deployment] = field(default_factory=dict)
    latest: str | None = None
    turns: list[Turn] = field(default_factory=list)
    away: bool = False

    def view(self) -> RestateView:
        loads: dict[str, Load] = {}
        for place in {turn.place for turn in self.turns}:
            here = [turn for turn in self.turns if turn.place == place]
            asleep = sum(turn.asleep for turn in here)
            loads[place] = load(suspended=asleep, running=len(here) - asleep)
        services = (Service(SERVICE, self.latest),) if self.latest else ()
        return RestateView(tuple(self.deployments.values()), services, loads)


@dataclass
class World:
    now: datetime = NOW
    image: str = IMAGES[0]
    url: str = URLS[0]
    finalizer: bool = False
    revisions: dict[str, Revision] = field(default_factory=dict)
    sites: dict[str, Site] = field(default_factory=lambda: {url: Site() for url in URLS})
    status: dict[str, object] = field(default_factory=dict)
    ids: "count[int]" = field(default_factory=count)

    def agent(self) -> AgentDeployment:
        finalizers = (names.FINALIZER,) if self.finalizer else ()
        return agent(
            self.image,
            finalizers=finalizers,
            status=self.status,
            restate={"adminURL": self.url},
            revisionHistoryLimit=0,
        )

    def snapshot(self) -> Snapshot:
        owner = self.agent()
        target = wanted(owner, SETTINGS)
        servers = {target.restate, *(r.restate for r in self.revisions.values())}
        looks = {server: self.seen(server) for server in servers}
        return Snapshot(owner, target, tuple(self.revisions.values()), looks)

    def seen(self, server: Server) -> RestateView | Unreachable:
        site = self.sites[server.url]
        return Unreachable(server.url, "away") if site.away else site.view()

    def site(self, revision: Revision) -> Site:
        return self.sites[revision.restate.url]

    def turns_of(self, revision: Revision) -> list[Turn]:
        return [turn for turn in self.site(revision).turns if turn.home == revision.name]

    def change(self, revision: Revision, **changes: object) -> None:
        self.revisions[revision.name] = replace(self.revisions[revision.name], **changes)  # type: ignore[arg-type]

    def act(self, action: do.Action) -> None:
        match action:
            case do.AddFinalizer():
                self.finalizer = True
            case do.CreateRevision():
                made = action.wanted
                self.revisions[made.name] = Revision(
                    made.name, made.image, made.uri, made.restate, self.now, made.replicas
                )
            case do.ScaleRevision():
                self._scale(action.revision, action.replicas)
            case do.Annotate():
                self._annotate(action)
            case do.ResumeInvocations():
                self.change(action.revision, waking=False)
            case do.RegisterRevision():
                self._register(action.revision)
            case do.RepinInvocations():
                self._repin(action)
            case do.RemoveRevision():
                self._remove(action.revision)
            case _:
                raise AssertionError(f"no story does {action}")

    def _annotate(self, action: do.Annotate) -> None:
        if action.role is not None:
            self.change(action.revision, role=action.role)
        self._note(action.revision, action.notes)

    def _note(self, revision: Revision, notes: Mapping[str, str | None]) -> None:
        """As observe reads it back."""
        for key, text in notes.items():
            if key == names.DEPLOYMENT_ID_ANNOTATION:
                self.change(revision, deployment_id=text)
            elif key == names.LOST_IDS_ANNOTATION:
                self.change(revision, lost_ids=tuple(text.split(",")) if text else ())
            else:
                self.change(revision, **{FIELDS[key]: times.parse(text) if text else None})

    def _scale(self, revision: Revision, replicas: int) -> None:
        if not replicas:
            assert not self.site(revision).away, "scaled to zero what can't be seen"
            assert all(turn.asleep for turn in self.turns_of(revision))
        waking = replicas > 0 and revision.replicas == 0
        ready = min(revision.ready, replicas)
        self.change(revision, replicas=replicas, ready=ready, waking=waking, quiet_since=None)

    def _register(self, revision: Revision) -> None:
        assert revision.ready, "discovered without a pod"
        site = self.site(revision)
        assert not site.away
        known = next((d for d in site.deployments.values() if d.uri == revision.uri), None)
        owner = {names.OWNER_KEY: "team/claims"}
        made = known or Deployment(f"dp_{next(self.ids)}", revision.uri, (SERVICE,), owner)
        site.deployments[made.id] = made
        site.latest = made.id
        self.change(revision, registering=True)
        self._note(revision, ids_to_note(revision, made.id))

    def _repin(self, action: do.RepinInvocations) -> None:
        site = self.site(action.revision)
        assert site.deployments[action.new_id].uri == action.revision.uri
        for turn in site.turns:
            if turn.place == action.old_id:
                turn.place = action.new_id

    def _remove(self, revision: Revision) -> None:
        assert not self.turns_of(revision), "removed while a turn needed it"
        site = self.site(revision)
        assert not (revision.registering and site.away), "removed what can't be seen"
        for gone in [d.id for d in site.deployments.values() if d.uri == revision.uri]:
            del site.deployments[gone]
            site.latest = None if site.latest == gone else site.latest
        del self.revisions[revision.name]

    def look(self, killed_after: int | None = None) -> Plan:
        due = plan(self.snapshot(), self.now)
        for action in due.actions[:killed_after]:
            self.act(action)
        if killed_after is None:
            self.status = due.status.dump()
        return due

    def pods_come_up(self) -> None:
        for name, revision in self.revisions.items():
            self.revisions[name] = replace(revision, ready=revision.replicas)


class Story(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(image=st.sampled_from(IMAGES), url=st.sampled_from(URLS))
    def change_the_spec(self, image: str, url: str) -> None:
        self.world.image, self.world.url = image, url

    @rule()
    def pods_come_up(self) -> None:
        self.world.pods_come_up()

    @rule(url=st.sampled_from(URLS), away=st.booleans())
    def a_restate_goes_or_comes(self, url: str, away: bool) -> None:
        self.world.sites[url].away = away

    @rule(url=st.sampled_from(URLS))
    def a_restate_loses_its_registrations(self, url: str) -> None:
        self.world.sites[url].deployments.clear()
        self.world.sites[url].latest = None

    @rule(url=st.sampled_from(URLS), asleep=st.booleans())
    def a_turn_starts(self, url: str, asleep: bool) -> None:
        site = self.world.sites[url]
        if site.latest and not site.away:
            uri = site.deployments[site.latest].uri
            home = next(r.name for r in self.world.revisions.values() if r.uri == uri)
            site.turns.append(Turn(site.latest, home, asleep))

    @rule(url=st.sampled_from(URLS), data=st.data(), ends=st.booleans())
    def a_turn_wakes_or_ends(self, url: str, data: st.DataObject, ends: bool) -> None:
        turns = self.world.sites[url].turns
        if turns:
            turn = data.draw(st.sampled_from(turns))
            turn.asleep = False
            if ends:
                turns.remove(turn)

    @rule(seconds=st.sampled_from([1, 11, 31]))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule(killed_after=st.none() | st.integers(0, 2))
    def the_operator_looks(self, killed_after: int | None) -> None:
        self.world.look(killed_after)

    @precondition(lambda self: not any(site.away for site in self.world.sites.values()))
    @rule()
    def a_quiet_while(self) -> None:
        for _ in range(4):
            self.world.look()
            self.world.pods_come_up()
            self.world.now += timedelta(seconds=11)

    @invariant()
    def every_turn_has_its_revision(self) -> None:
        homes = {turn.home for site in self.world.sites.values() for turn in site.turns}
        assert homes <= set(self.world.revisions)

    def teardown(self) -> None:
        """Once both Restates are there, what waits goes on; when it has, one revision is left."""
        world = self.world
        for site in world.sites.values():
            site.away = False
            for turn in site.turns:
                turn.asleep = False
        self.settle()
        for site in world.sites.values():
            assert {turn.place for turn in site.turns} <= set(site.deployments)
        for revision in world.revisions.values():
            assert revision.ready or not world.turns_of(revision)
        for site in world.sites.values():
            site.turns.clear()
        self.settle()
        due = plan(world.snapshot(), world.now)
        assert due.actions == ()
        (only,) = due.status.revisions
        assert only.phase is Phase.ACTIVE
        (revision,) = world.revisions.values()
        assert (revision.restate.url, revision.image) == (world.url, world.image)

    def settle(self) -> None:
        for _ in range(16):
            self.world.look()
            self.world.pods_come_up()
            self.world.now += timedelta(seconds=11)


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)

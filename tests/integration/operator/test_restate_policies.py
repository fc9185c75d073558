"""Against a real Restate: lost registrations, closed services, other clusters, how it calls."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from agent_operator.api import names
from agent_operator.kube.client import Body, Kube, Resource
from agent_operator.kube.store import Store
from agent_operator.reconcile import actions as do
from agent_operator.reconcile.apply import Applier
from agent_operator.reconcile.errors import AddressTakenError, NotNowError, ServiceTakenError
from agent_operator.reconcile.plan import plan
from agent_operator.reconcile.registration import Registrar
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import Calling, Header, Server
from agent_operator.restate.view import RestateView
from hack.restate import RestateServer
from tests.integration.operator.endpoint import keyed, serving
from tests.unit.operator.build import agent, revision, snapshot

pytestmark = pytest.mark.integration
PATIENCE = 60.0


class Notes(Kube):
    """An API server that has only ReplicaSets' annotations."""

    def __init__(self) -> None:
        self.annotations: dict[str, dict[str, str]] = {}

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Body) -> Body:
        kept = self.annotations.setdefault(name, {})
        for key, value in patch["metadata"]["annotations"].items():
            kept.pop(key, None)
            if value is not None:
                kept[key] = value
        return {"metadata": {"name": name, "namespace": namespace}}


@dataclass
class Stage:
    """An operator, its notes, and a Restate; ``cluster`` is the id of the operator's cluster."""

    server: RestateServer
    observer: RestateObserver
    http: httpx.AsyncClient
    cluster: str = "this"
    kube: Notes = field(default_factory=Notes)

    @property
    def restate(self) -> Server:
        return Server(self.server.admin_url)

    def revision(self, uri: str, image: str = "claims:1", **changes: Any) -> Revision:
        return revision(image, uri=uri, restate=self.restate, **{"deployment_id": None, **changes})

    async def snapshot(self, *revisions: Revision, image: str = "claims:1") -> Snapshot:
        view = await self.observer.fresh_view(self.restate)
        given = snapshot(agent(image), *(self.noted(r) for r in revisions))
        wanted = replace(given.wanted, restate=self.restate)
        return replace(given, wanted=wanted, restates={self.restate: view}, cluster=self.cluster)

    def noted(self, made: Revision) -> Revision:
        """As observe reads it back."""
        kept = self.kube.annotations.get(made.name, {})
        closed = kept.get(names.CLOSED_ANNOTATION, "")
        return replace(
            made,
            deployment_id=kept.get(names.DEPLOYMENT_ID_ANNOTATION, made.deployment_id),
            closed=tuple(filter(None, closed.split(","))),
            lost_ids=tuple(filter(None, kept.get(names.LOST_IDS_ANNOTATION, "").split(","))),
        )

    async def look(self, *revisions: Revision, image: str) -> Sequence[do.Action]:
        """One look by an operator that remembers nothing."""
        given = await self.snapshot(*revisions, image=image)
        due = plan(given, datetime.now(UTC)).actions
        for action in due:
            try:
                await Applier(self.kube, Store(), self.observer).apply(action, given)
            except NotNowError:
                await asyncio.sleep(0.1)
        return due

    async def register(self, made: Revision) -> None:
        registrar = Registrar(self.kube, self.observer)
        given = await self.snapshot(made)
        await registrar.check(made, given)
        deployment = await registrar.register(made, given)
        note = {"metadata": {"annotations": {names.DEPLOYMENT_ID_ANNOTATION: deployment.id}}}
        await self.kube.merge(None, "team", made.name, note)  # type: ignore[arg-type]

    async def until(self, what: Callable[[RestateView], bool]) -> RestateView:
        async def ask() -> RestateView:
            while not what(view := await self.observer.fresh_view(self.restate)):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            return view

        return await asyncio.wait_for(ask(), PATIENCE)

    async def send(self, path: str) -> str:
        answer = await self.http.post(f"{self.server.ingress_url}/{path}/send")
        return str(answer.json()["invocationId"])

    async def answer(self, key: str) -> None:
        sql = f"select value_utf8 from state where service_key = '{key}' and key = 'awakeable'"
        (row,) = await self.observer.client(self.restate).query(sql)
        path = f"restate/awakeables/{json.loads(row['value_utf8'])}/resolve"
        answer = await self.http.post(f"{self.server.ingress_url}/{path}", json="yes")
        answer.raise_for_status()


@pytest.fixture
async def stage(server: RestateServer) -> AsyncIterator[Stage]:
    observer = RestateObserver()
    async with httpx.AsyncClient(trust_env=False) as http:
        yield Stage(server, observer, http)
    await observer.close()


async def test_lost_registrations_come_back_and_what_was_pinned_goes_on(stage: Stage) -> None:
    async with serving(keyed("ClaimAgent")) as one, serving(keyed("ClaimAgent")) as two:
        old, new = stage.revision(one), stage.revision(two, "claims:2")
        await stage.register(old)
        turn = await stage.send("ClaimAgent/a/wait_after_a_step")
        before = stage.noted(old).deployment_id or ""
        await stage.until(lambda v: v.load(before).counts.suspended == 1)
        await stage.send("ClaimAgent/b/fail")
        await stage.until(lambda v: v.load(before).counts.backing_off == 1)
        await stage.register(new)
        for made in (old, new):
            client = stage.observer.client(stage.restate)
            await client.deregister(stage.noted(made).deployment_id or "")

        async def settled() -> None:
            while await stage.look(old, new, image="claims:2"):
                pass

        await asyncio.wait_for(settled(), PATIENCE)
        view = await stage.observer.fresh_view(stage.restate)
        latest = view.by_uri(two)
        assert latest
        assert view.holds_all_routes(latest)
        after = stage.noted(old).deployment_id or ""
        assert after != before
        assert not view.load(before).counts.total
        assert view.load(after).counts.total == 2

        await stage.answer("a")
        path = f"{stage.server.ingress_url}/restate/invocation/{turn}/attach"
        done = await stage.http.get(path, timeout=PATIENCE)
        assert done.json() == "yes"


async def test_what_is_to_be_closed_is_on_record_before_it_is_closed(stage: Stage) -> None:
    async with serving(keyed("ClaimAgent")) as uri:
        await stage.register(stage.revision(uri))
        recorded: list[tuple[list[str], bool]] = []

        async def closing(services: Sequence[str]) -> None:
            view = await stage.observer.fresh_view(stage.restate)
            recorded.append((list(services), all(s.public for s in view.services)))

        looks = iter([True, False])
        with pytest.raises(NotNowError):
            await Registrar(stage.kube, stage.observer).deregister(
                stage.restate, stage.noted(stage.revision(uri)).deployment_id or "",
                lambda _: next(looks), closing,
            )  # fmt: skip
        assert recorded == [(["ClaimAgent"], True)]
        view = await stage.observer.fresh_view(stage.restate)
        assert [s.public for s in view.services] == [True]


async def test_what_a_killed_operator_closed_is_opened_and_what_its_users_closed_is_not(
    stage: Stage,
) -> None:
    async with serving(keyed("ClaimAgent"), keyed("Internal")) as uri:
        made = stage.revision(uri)
        await stage.register(made)
        note = {"metadata": {"annotations": {names.CLOSED_ANNOTATION: "ClaimAgent"}}}
        await stage.kube.merge(None, "team", made.name, note)  # type: ignore[arg-type]
        for service in ("ClaimAgent", "Internal"):
            await stage.observer.client(stage.restate).set_public(service, public=False)
        assert await stage.look(made, image="claims:1")
        view = await stage.observer.fresh_view(stage.restate)
        assert {s.name: s.public for s in view.services} == {"ClaimAgent": True, "Internal": False}
        assert await stage.look(made, image="claims:1") == ()


async def test_clusters_leave_each_others_registrations_alone(stage: Stage) -> None:
    async with serving(keyed("ClaimAgent")) as one, serving(keyed("ClaimAgent")) as two:
        theirs = replace(stage, cluster="other", kube=Notes())
        await theirs.register(stage.revision(one))
        with pytest.raises(AddressTakenError, match="by cluster other, and this is this"):
            await stage.register(stage.revision(one))
        with pytest.raises(ServiceTakenError, match="team/claims of cluster other"):
            await stage.register(stage.revision(two))
        view = await stage.observer.fresh_view(stage.restate)
        assert [d.uri for d in view.deployments] == [one]


async def test_how_restate_is_told_to_call(stage: Stage) -> None:
    calling = Calling(http11=True, headers=(Header("x-tenant", "shop"),))

    async def told() -> dict[str, Any]:
        answer = await stage.http.get(f"{stage.restate.url}/deployments")
        (deployment,) = answer.json()["deployments"]
        return dict(deployment)

    async with serving(keyed("ClaimAgent")) as uri:
        await stage.register(stage.revision(uri, calling=calling))
        first = await told()
        assert first["protocol_type"] == "RequestResponse"
        assert first["additional_headers"] == {"x-tenant": "shop"}
        await stage.register(stage.revision(uri))
        assert (await told()).get("additional_headers", {}) == {}


async def test_re_pointed_the_old_restate_keeps_what_it_needs(
    stage: Stage, restate_server: RestateServer
) -> None:
    """Two real servers: the old revision stays on the first one until its turn has ended there."""
    there = Server(restate_server.admin_url)
    async with serving(keyed("ClaimAgent")) as one, serving(keyed("ClaimAgent")) as two:
        old = stage.revision(one)
        await stage.register(old)
        await stage.send("ClaimAgent/a/wait_after_a_step")
        await stage.until(lambda v: bool(v.loads))
        new = revision("claims:2", uri=two, restate=there, deployment_id=None)
        made = await stage.observer.client(there).register(two, {names.OWNER_KEY: "team/claims"})
        new = replace(new, deployment_id=made.id)

        async def due() -> Sequence[do.Action]:
            given = await stage.snapshot(old, new, image="claims:2")
            wanted = replace(given.wanted, restate=there)
            looks = {
                server: await stage.observer.view(server, 0) for server in (old.restate, there)
            }
            return plan(replace(given, wanted=wanted, restates=looks), datetime.now(UTC)).actions

        try:
            assert not any(isinstance(action, do.RemoveRevision) for action in await due())
            await stage.answer("a")
            await stage.until(lambda v: not v.loads)
            assert do.Annotate in {type(action) for action in await due()}  # idle from now on
            await asyncio.to_thread(stage.server.stop)
            idle = replace(old, idle_since=datetime(2025, 1, 1, tzinfo=UTC))
            view = await stage.observer.view(there, 0)
            away = await stage.observer.view(old.restate, 0)
            given = snapshot(agent("claims:2"), stage.noted(idle), new)
            wanted = replace(given.wanted, restate=there)
            blind = replace(given, wanted=wanted, restates={old.restate: away, there: view})
            assert plan(blind, datetime.now(UTC)).actions == ()
        finally:
            await stage.observer.client(there).deregister(made.id)

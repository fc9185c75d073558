"""Moving what holds an old revision to the active one, on a real Restate and two real endpoints."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import restate

from agent_operator.api import AgentDeploymentStatus, names
from agent_operator.kube.client import Body, Kube, Resource
from agent_operator.kube.store import Store
from agent_operator.reconcile import move_record
from agent_operator.reconcile.actions import MoveInvocations
from agent_operator.reconcile.apply import Applier
from agent_operator.reconcile.errors import NotNowError
from agent_operator.reconcile.move_record import Moves
from agent_operator.reconcile.plan import Plan, plan
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.restate.client import RestateUnavailableError
from agent_operator.restate.invocations import Invocations, RestartRefusedError
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import Server
from hack.restate import RestateServer
from tests.integration.operator.endpoint import serving
from tests.unit.operator.build import agent, revision, snapshot

pytestmark = pytest.mark.integration

PATIENCE = 60.0
MOVE = {"deadline": "1m", "onDeadline": "MoveToActive", "idle": "Keep"}
RESTART = {**MOVE, "restartAsNew": True}


def claims(version: str, *, retention: timedelta | None = None) -> restate.VirtualObject:
    """v1 and v2 take the same steps; ``other`` takes others, and lacks a handler."""
    policy = restate.InvocationRetryPolicy(initial_interval=timedelta(milliseconds=300))
    service = restate.VirtualObject(
        "Claims", invocation_retry_policy=policy, journal_retention=retention
    )

    @service.handler()
    async def turn(ctx: restate.ObjectContext) -> str:
        if version == "other":
            await ctx.run_typed("first", lambda: "another step")
        await ctx.run_typed("step", lambda: "made")
        awakeable, answer = ctx.awakeable(type_hint=str)
        ctx.set("awakeable", awakeable)
        return f"{await answer} by {version}"

    @service.handler()
    async def fail(ctx: restate.ObjectContext) -> str:
        await ctx.run_typed("step", lambda: "made")
        if version == "v1":
            raise RuntimeError("mended in v2")
        return version

    @service.handler()
    async def work(ctx: restate.ObjectContext) -> str:
        for number in range(40):
            await ctx.run_typed(f"step {number}", _a_moment)
        return version

    if version != "other":

        @service.handler()
        async def dropped(ctx: restate.ObjectContext) -> str:
            await ctx.run_typed("step", lambda: "made")
            _, answer = ctx.awakeable(type_hint=str)
            return await answer

    return service


async def _a_moment() -> str:
    await asyncio.sleep(0.2)
    return "worked"


class Notes(Kube):
    """An API server that keeps annotations and events, and nothing else."""

    def __init__(self) -> None:
        self.annotations: dict[str, str] = {}
        self.events: list[Body] = []

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Body) -> Body:
        self.annotations |= patch["metadata"]["annotations"]
        return {"metadata": {"namespace": namespace, "name": name, "resourceVersion": "1"}}

    async def create(self, resource: Resource, namespace: str | None, body: Body) -> Body:
        self.events.append(body)
        return body


@dataclass
class Stage:
    """An old revision, an active one, and an operator that may be replaced at any time."""

    server: RestateServer
    http: httpx.AsyncClient
    observer: RestateObserver
    drain: dict[str, Any]
    old: Revision
    new: Revision
    kube: Notes = field(default_factory=Notes)

    async def send(self, path: str) -> str:
        answer = await self.http.post(f"{self.server.ingress_url}/{path}/send")
        return str(answer.json()["invocationId"])

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.client.query(sql)]

    @property
    def client(self) -> Any:
        return self.observer.client(Server(self.server.admin_url))

    async def row(self, invocation: str) -> dict[str, Any]:
        sql = (
            "select status, pinned_deployment_id as pinned, completion_failure as failure"
            f" from sys_invocation where id = '{invocation}'"
        )
        (row,) = await self.rows(sql)
        return row

    async def in_state(self, invocation: str, status: str) -> None:
        async def wait() -> None:
            while (await self.row(invocation))["status"] != status:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        await asyncio.wait_for(wait(), PATIENCE)

    async def register(self, which: Revision) -> Revision:
        deployment = await self.client.register(which.uri, {names.OWNER_KEY: "team/claims"})
        return replace(which, deployment_id=deployment.id)

    async def roll_out(self) -> None:
        self.new = await self.register(self.new)

    async def seen(self) -> Snapshot:
        record = move_record.load(self.kube.annotations.get(names.MOVES_ANNOTATION))
        owner = agent("claims:2", drain=self.drain)
        given = snapshot(owner, replace(self.old, moves=record), self.new)
        view = await self.observer.fresh_view(Server(self.server.admin_url))
        return replace(
            given,
            wanted=replace(given.wanted, restate=Server(self.server.admin_url)),
            restates={Server(self.server.admin_url): view},
        )

    async def look(self) -> Plan:
        """One look by an operator that remembers nothing."""
        given = await self.seen()
        due = plan(given, datetime.now(UTC))
        applier = Applier(self.kube, Store(), self.observer)
        for action in due.actions:
            if isinstance(action, MoveInvocations):
                try:
                    await applier.apply(action, given)
                except (NotNowError, RestateUnavailableError):
                    await asyncio.sleep(0.2)
        return due

    async def settle(self) -> AgentDeploymentStatus:
        """Look until no move is due any more."""

        async def looks() -> AgentDeploymentStatus:
            while True:
                due = await self.look()
                if not any(isinstance(action, MoveInvocations) for action in due.actions):
                    return due.status

        return await asyncio.wait_for(looks(), PATIENCE)

    @property
    def record(self) -> Moves:
        found = move_record.load(self.kube.annotations[names.MOVES_ANNOTATION])
        assert found
        return found

    async def answer(self, key: str) -> None:
        sql = f"select value_utf8 from state where service_key = '{key}' and key = 'awakeable'"
        (row,) = await self.rows(sql)
        awakeable = json.loads(row["value_utf8"])
        path = f"{self.server.ingress_url}/restate/awakeables/{awakeable}/resolve"
        (await self.http.post(path, json="yes")).raise_for_status()

    async def output(self, invocation: str) -> httpx.Response:
        path = f"{self.server.ingress_url}/restate/invocation/{invocation}/attach"
        return await asyncio.wait_for(self.http.get(path, timeout=PATIENCE), PATIENCE)


@asynccontextmanager
async def stage(
    server: RestateServer,
    drain: dict[str, Any],
    new: str = "v2",
    *,
    retention: timedelta | None = None,
) -> AsyncIterator[Stage]:
    observer = RestateObserver()
    late = datetime.now(UTC) - timedelta(hours=1)
    async with (
        serving(claims("v1", retention=retention)) as first,
        serving(claims(new, retention=retention)) as second,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        restate = Server(server.admin_url)
        made = Stage(
            server,
            http,
            observer,
            drain,
            revision("claims:1", uri=first, restate=restate, draining_since=late),
            revision("claims:2", uri=second, restate=restate),
        )
        made.old = await made.register(made.old)
        try:
            yield made
        finally:
            await observer.close()


async def test_all_that_can_go_on_moves(server: RestateServer) -> None:
    async with stage(server, MOVE) as on:
        waits = await on.send("Claims/a/turn")
        fails = await on.send("Claims/b/fail")
        works = await on.send("Claims/c/work")
        await on.in_state(waits, "suspended")
        await on.in_state(fails, "backing-off")
        await on.in_state(works, "running")
        inboxed = await on.send("Claims/a/turn")
        await on.roll_out()
        await on.settle()

        assert (await on.row(waits))["pinned"] == on.new.deployment_id
        assert (await on.output(fails)).json() == "v2"
        assert (await on.output(works)).json() == "v2"
        # The approval that was asked for before is still the one that is waited for.
        await on.answer("a")
        assert (await on.output(waits)).json() == "yes by v2"
        await on.in_state(inboxed, "suspended")
        await on.answer("a")
        assert (await on.output(inboxed)).json() == "yes by v2"

        assert on.record.done
        assert (on.record.moved.count, on.record.stayed.count) == (3, 0)
        (event,) = on.kube.events
        assert (event["type"], event["reason"]) == ("Normal", "InvocationsMoved")
        assert waits in event["message"]


async def test_what_cannot_go_on_stays_and_is_not_tried_again(server: RestateServer) -> None:
    async with stage(server, MOVE, "other") as on:
        waits = await on.send("Claims/a/turn")
        dropped = await on.send("Claims/b/dropped")
        await on.in_state(waits, "suspended")
        await on.in_state(dropped, "suspended")
        await on.roll_out()
        status = await on.settle()

        await on.in_state(waits, "suspended")
        assert (await on.row(waits))["pinned"] == on.old.deployment_id
        assert (await on.row(dropped))["pinned"] == on.old.deployment_id
        assert on.record.stayed.count == 2
        stuck = next(c for c in status.conditions if c.type == "Stuck")
        assert (stuck.status, stuck.reason) == ("True", "InvocationsStay")
        assert waits in stuck.message
        (event,) = on.kube.events
        assert (event["type"], event["reason"]) == ("Warning", "InvocationsStay")

        failures = f"select count(1) as n from sys_journal_events where id = '{waits}'"
        before = await on.rows(failures)
        for _ in range(5):
            due = await on.look()
            assert not any(isinstance(action, MoveInvocations) for action in due.actions)
        assert await on.rows(failures) == before
        assert len(on.kube.events) == 1
        await on.answer("a")
        assert (await on.output(waits)).json() == "yes by v1"


async def test_where_allowed_it_begins_again_and_runs_once(server: RestateServer) -> None:
    async with stage(server, RESTART, "other") as on:
        old = await on.send("Claims/a/turn")
        await on.in_state(old, "suspended")
        await on.roll_out()
        await on.settle()

        assert "killed" in (await on.row(old))["failure"]
        sql = f"select id from sys_invocation where restarted_from = '{old}'"
        (row,) = await on.rows(sql)
        assert on.record.restarted.first == (row["id"],)
        await on.in_state(row["id"], "suspended")
        assert (await on.row(row["id"]))["pinned"] == on.new.deployment_id
        await on.answer("a")
        assert (await on.output(row["id"])).json() == "yes by other"
        assert "restarted as new: 1" in on.kube.events[0]["message"]


async def test_without_a_journal_to_begin_from_it_is_not_killed(server: RestateServer) -> None:
    async with stage(server, RESTART, "other", retention=timedelta(0)) as on:
        old = await on.send("Claims/a/turn")
        await on.in_state(old, "suspended")
        await on.roll_out()
        await on.settle()
        await on.in_state(old, "suspended")
        assert (await on.row(old))["pinned"] == on.old.deployment_id
        assert (on.record.restarted.count, on.record.stayed.count) == (0, 1)


async def test_what_left_no_journal_is_never_restarted(server: RestateServer) -> None:
    async with stage(server, RESTART, retention=timedelta(0)) as on:
        old = await on.send("Claims/a/turn")
        await on.in_state(old, "suspended")
        invocations = Invocations(on.client)
        with pytest.raises(RestateUnavailableError):
            await invocations.restart(old)
        await invocations.kill(old)
        with pytest.raises(RestartRefusedError, match="journal was already purged"):
            await invocations.restart(old)


@pytest.mark.parametrize("restart", [False, True])
async def test_an_operator_killed_after_any_request_loses_nothing(
    server: RestateServer, monkeypatch: pytest.MonkeyPatch, restart: bool
) -> None:
    """Each of the first requests that change something is the last one of its operator."""
    async with stage(server, RESTART if restart else MOVE, "other") as on:
        waits = await on.send("Claims/a/turn")
        await on.in_state(waits, "suspended")
        await on.roll_out()
        control = type(on.client).control
        calls = 0

        async def crashing(self: Any, *arguments: str, **params: str) -> Any:
            nonlocal calls
            answer = await control(self, *arguments, **params)
            calls += 1
            if calls <= 6:
                raise RestateUnavailableError("the operator was killed here")
            return answer

        monkeypatch.setattr(type(on.client), "control", crashing)
        await on.settle()
        assert calls >= 3
        live = [
            row["id"]
            for row in await on.rows(
                "select id from sys_invocation where status != 'completed'"
                " and target_service_key = 'a'"
            )
        ]
        assert len(live) == 1
        await on.in_state(live[0], "suspended")
        place = (await on.row(live[0]))["pinned"]
        assert place == (on.new if restart else on.old).deployment_id
        await on.answer("a")
        version = "other" if restart else "v1"
        assert (await on.output(live[0])).json() == f"yes by {version}"

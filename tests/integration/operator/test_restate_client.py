"""The operator's view of a real Restate: what is registered, where turns go, what needs what."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Literal

import httpx
import pytest

from agent_operator.restate.client import (
    DiscoveryError,
    RegistrationRefusedError,
    RestateClient,
    RestateUnavailableError,
    stuck_sql,
)
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import Server
from agent_operator.restate.view import RestateView, Unreachable
from hack.restate import RestateServer, free_ports
from tests.integration.operator.endpoint import keyed, plain, serving

pytestmark = pytest.mark.integration

OWNER = {"durableagents.dev/agent-deployment": "team/claims"}
PATIENCE = 60.0


@pytest.fixture
async def client(server: RestateServer) -> AsyncIterator[RestateClient]:
    async with RestateClient(server.admin_url) as found:
        yield found


async def send(server: RestateServer, path: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{server.ingress_url}/{path}/send")
        answer.raise_for_status()


async def look(client: RestateClient) -> RestateView:
    return await RestateObserver(lambda _: client).fresh_view(Server(client.url))


async def until(client: RestateClient, what: Callable[[RestateView], bool]) -> RestateView:
    async def ask() -> RestateView:
        while not what(view := await look(client)):  # noqa: ASYNC110 - Restate tells nobody
            await asyncio.sleep(0.1)
        return view

    return await asyncio.wait_for(ask(), PATIENCE)


async def test_registration_moves_all_new_turns(client: RestateClient) -> None:
    async with serving(keyed("Claims")) as first, serving(keyed("Claims")) as second:
        one = await client.register(first, OWNER)
        assert (await look(client)).holds_all_routes(one)
        two = await client.register(second, OWNER)
        view = await look(client)
        assert view.holds_all_routes(two)
        assert not view.holds_a_route(one.id)
        assert view.by_uri(first) == one
        assert dict(one.metadata) == OWNER


async def test_going_back_keeps_the_id_and_takes_the_turns(client: RestateClient) -> None:
    async with serving(keyed("Claims")) as first, serving(keyed("Claims")) as second:
        one = await client.register(first, OWNER)
        await client.register(second, OWNER)
        again = await client.register(first, OWNER, again=True)
        assert again.id == one.id
        assert (await look(client)).holds_all_routes(one)


async def test_a_dry_run_changes_nothing(client: RestateClient) -> None:
    async with serving(keyed("Claims"), plain("Other")) as uri:
        offered = {service.name: service for service in await client.discover(uri)}
        assert set(offered) == {"Claims", "Other"}
        assert offered["Claims"].type == "VirtualObject"
        assert offered["Claims"].handlers["quick"] == "Exclusive"
        assert offered["Other"].handlers == {"quick": ""}
        assert (await look(client)).deployments == ()


async def test_a_changed_type_is_refused_and_the_old_one_serves(client: RestateClient) -> None:
    async with serving(keyed("Claims")) as first, serving(plain("Claims")) as second:
        one = await client.register(first, OWNER)
        with pytest.raises(RegistrationRefusedError, match="META0006"):
            await client.discover(second)
        with pytest.raises(RegistrationRefusedError, match="META0006"):
            await client.register(second, OWNER)
        assert (await look(client)).holds_all_routes(one)
        two = await client.register(second, OWNER, allow_breaking=True)
        assert (await look(client)).holds_all_routes(two)


async def test_an_endpoint_that_is_not_there_may_come_yet(client: RestateClient) -> None:
    with pytest.raises(DiscoveryError):
        await client.register("http://127.0.0.1:9", OWNER)


async def test_what_needs_a_deployment(server: RestateServer, client: RestateClient) -> None:
    async with serving(keyed("Claims")) as first, serving(keyed("Claims")) as second:
        one = await client.register(first, OWNER)
        await send(server, "Claims/pinned/wait_after_a_step")
        await send(server, "Claims/unpinned/wait_at_once")
        await send(server, "Claims/failing/fail")
        await until(
            client,
            lambda v: (
                v.load(one.id).counts.suspended == 2 and v.load(one.id).counts.backing_off == 1
            ),
        )
        await send(server, "Claims/pinned/quick")  # inboxed behind the one that waits
        view = await until(client, lambda v: v.load(one.id).counts.waiting == 1)
        assert view.load(one.id).counts.total == 4

        # Only what is pinned stays; what isn't goes where its service routes to.
        two = await client.register(second, OWNER)
        view = await until(client, lambda v: v.load(one.id).counts.total == 2)
        assert view.load(one.id).counts.suspended == 1
        assert view.load(one.id).counts.backing_off == 1
        assert view.load(two.id).counts.suspended == 1
        assert view.load(two.id).counts.waiting == 1
        oldest = view.load(one.id).oldest
        assert oldest is not None
        assert oldest.target == "Claims/pinned/wait_after_a_step"


async def test_deregistering_twice_is_fine(client: RestateClient) -> None:
    async with serving(keyed("Claims")) as uri:
        one = await client.register(uri, OWNER)
        await client.deregister(one.id)
        await client.deregister(one.id)
        assert (await look(client)).deployments == ()


async def test_a_closed_service_takes_no_new_turns(
    server: RestateServer, client: RestateClient
) -> None:
    async with serving(keyed("Claims")) as uri, httpx.AsyncClient(trust_env=False) as http:
        await client.register(uri, OWNER)
        await client.set_public("Claims", public=False)
        await client.set_public("Unknown", public=False)
        answer = await http.post(f"{server.ingress_url}/Claims/a/quick")
        assert answer.is_client_error
        await client.set_public("Claims", public=True)
        answer = await http.post(f"{server.ingress_url}/Claims/a/quick")
        assert answer.is_success


async def test_a_restate_that_is_away_is_unknown_and_comes_back(server: RestateServer) -> None:
    observer, restate = RestateObserver(), Server(server.admin_url)
    assert isinstance(await observer.view(restate, 0), RestateView)
    await asyncio.to_thread(server.stop)
    gone = await observer.view(restate, 0)
    assert isinstance(gone, Unreachable)
    assert server.admin_url in gone.error
    with pytest.raises(RestateUnavailableError):
        await observer.fresh_view(restate)
    await asyncio.to_thread(server.start)

    async def back() -> None:
        while isinstance(await observer.view(restate, 0), Unreachable):  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    await asyncio.wait_for(back(), PATIENCE)
    await observer.close()


@pytest.mark.parametrize(("attempts", "state"), [(None, "backing_off"), (1, "paused")])
async def test_what_woke_while_there_were_no_pods_goes_on_at_once(
    server: RestateServer, client: RestateClient, attempts: int | None, state: str
) -> None:
    (port,) = free_ports(1)
    claims = keyed("Claims", attempts=attempts)
    async with serving(claims, port=port) as uri:
        one = await client.register(uri, OWNER)
        await send(server, "Claims/a/wait_after_a_step")
        await until(client, lambda v: v.load(one.id).counts.suspended == 1)
    assert one.id not in (await client.signs()).tried
    await answer_awakeable(server, client)
    if state == "backing_off":
        await until(client, lambda v: v.load(one.id).counts.backing_off == 1)
        assert one.id in (await client.signs()).tried
    view = await until(client, lambda v: getattr(v.load(one.id).counts, state) == 1)
    assert view.load(one.id).counts.total == 1
    assert view.load(one.id).wants_pods
    async with serving(claims, port=port):
        assert await client.resume_unanswered(one.id) == 1
        await until(client, lambda v: not v.load(one.id).counts.total)


async def test_an_end_is_seen_by_asking_for_one_invocation(
    server: RestateServer, client: RestateClient
) -> None:
    async with serving(keyed("Claims")) as uri:
        one = await client.register(uri, OWNER)
        await send(server, "Claims/a/wait_after_a_step")
        view = await until(client, lambda v: v.load(one.id).counts.suspended == 1)
        oldest = view.load(one.id).oldest
        assert oldest is not None
        assert (await client.signs()).going == frozenset()
        assert (await client.signs([oldest.id])).going == {oldest.id}
        await answer_awakeable(server, client)
        await until(client, lambda v: not v.load(one.id).counts.total)
        assert (await client.signs([oldest.id])).going == frozenset()


async def test_what_is_not_pinned_goes_on_too(server: RestateServer, client: RestateClient) -> None:
    """The first turn after an agent slept: it has no deployment but that of its attempt."""
    (port,) = free_ports(1)
    async with serving(keyed("Claims"), port=port) as uri:
        one = await client.register(uri, OWNER)
    await send(server, "Claims/a/quick")
    await until(client, lambda v: v.load(one.id).counts.backing_off == 1)
    assert one.id in (await client.signs()).tried
    async with serving(keyed("Claims"), port=port):
        assert await client.resume_unanswered(one.id) == 1
        await until(client, lambda v: not v.load(one.id).counts.total)


async def answer_awakeable(server: RestateServer, client: RestateClient) -> None:
    """Answer the awakeable of session ``a``, whose id the handler has put into its state."""
    sql = "select value_utf8 from state where service_key = 'a' and key = 'awakeable'"
    async with httpx.AsyncClient(trust_env=False) as http:
        found = await http.post(
            f"{client.url}/query", json={"query": sql}, headers={"accept": "application/json"}
        )
        awakeable = json.loads(found.json()["rows"][0]["value_utf8"])
        done = await http.post(
            f"{server.ingress_url}/restate/awakeables/{awakeable}/resolve", json="yes"
        )
        done.raise_for_status()


async def test_what_is_paused_tells_why(server: RestateServer, client: RestateClient) -> None:
    async with serving(keyed("Claims", attempts=1)) as uri:
        one = await client.register(uri, OWNER)
        await send(server, "Claims/a/fail")
        view = await until(client, lambda v: v.load(one.id).counts.paused == 1)
        (stuck,) = view.load(one.id).stuck
        assert (stuck.target, stuck.paused, stuck.unanswered) == ("Claims/a/fail", True, False)
        assert "not this time" in stuck.error
        assert not view.load(one.id).wants_pods


AT_ONCE = timedelta(milliseconds=10)


async def test_what_fails_for_long_is_stuck_while_it_is_tried_again(
    server: RestateServer, client: RestateClient
) -> None:
    async with serving(keyed("Claims", again=AT_ONCE)) as uri:
        one = await client.register(uri, OWNER)
        await send(server, "Claims/a/fail_slowly")
        await until(client, lambda v: bool(v.load(one.id).stuck))
        seen = [(await look(client)).load(one.id) for _ in range(50)]
        assert any(load.counts.running for load in seen)
        assert all("not this time" in stuck.error for load in seen for stuck in load.stuck)
        assert all(load.stuck for load in seen)


async def test_what_gets_on_after_many_tries_is_not() -> None:
    # Suspended after its step, it would begin to count its tries anew.
    with RestateServer() as server:
        async with (
            RestateClient(server.admin_url) as client,
            serving(keyed("Claims", again=AT_ONCE)) as uri,
        ):
            one = await client.register(uri, OWNER)
            await send(server, "Claims/a/recover")
            tried = "select id from sys_invocation where retry_count = 12 and journal_size > 1"
            async with asyncio.timeout(PATIENCE):
                while not await client.query(tried):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            load = (await look(client)).load(one.id)
            assert (load.counts.running, load.stuck) == (1, ())


async def test_what_waits_for_pods_alone_is_hidden_by_nothing_older(
    server: RestateServer, client: RestateClient
) -> None:
    async with serving(keyed("Other", attempts=1)) as other:
        two = await client.register(other, OWNER)
        for key in "abc":
            await send(server, f"Other/{key}/fail")
        await until(client, lambda v: v.load(two.id).counts.paused == 3)
    async with serving(keyed("Claims", attempts=1)) as uri:
        one = await client.register(uri, OWNER)
        for key in "bc":
            await send(server, f"Claims/{key}/fail")
        await until(client, lambda v: v.load(one.id).counts.paused == 2)
        await send(server, "Claims/a/wait_after_a_step")
        await until(client, lambda v: v.load(one.id).counts.suspended == 1)
    await answer_awakeable(server, client)
    view = await until(client, lambda v: v.load(one.id).counts.paused == 3)
    assert [found.unanswered for found in view.load(one.id).stuck] == [False, False, True]
    assert len(view.load(two.id).stuck) == 3
    rows = await client.query(stuck_sql(of_each=1, in_all=2))
    of_each = {row["deployment"]: row["target"] for row in rows}
    assert of_each.keys() == {one.id, two.id}
    assert of_each[one.id] == "Claims/a/wait_after_a_step"
    assert len(await client.query(stuck_sql(of_each=2, in_all=3))) == 3


@pytest.mark.parametrize("how", ["cancel", "kill"])
async def test_what_holds_a_deployment_can_be_ended(
    server: RestateServer, client: RestateClient, how: Literal["cancel", "kill"]
) -> None:
    async with serving(keyed("Claims")) as first, serving(keyed("Other")) as second:
        one, two = await client.register(first, OWNER), await client.register(second, OWNER)
        for path in ("Claims/a/wait_after_a_step", "Claims/b/wait_at_once", "Other/a/wait_at_once"):
            await send(server, path)
        await until(client, lambda v: v.load(one.id).counts.suspended == 2)
        await send(server, "Claims/a/quick")
        await until(client, lambda v: v.load(one.id).counts.waiting == 1)
        assert await client.end_invocations(one.id, how) == 3
        view = await until(client, lambda v: not v.load(one.id).counts.total)
        assert view.load(two.id).counts.total == 1

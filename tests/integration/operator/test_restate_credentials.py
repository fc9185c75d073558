"""A real Restate behind TLS, a client certificate and a bearer token that come from Secrets."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from agent_operator.restate.access import Access
from agent_operator.restate.client import RestateClient
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import SecretKey, Server
from agent_operator.restate.view import RestateView, Unreachable
from hack.restate import RestateServer
from tests.integration.operator.endpoint import keyed, serving
from tests.support.guarded import Authority, Certificate, Door, guarded

pytestmark = pytest.mark.integration

Secrets = dict[str, dict[str, bytes]]


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def door(
    restate_server: RestateServer, tmp_path: Path, authority: Authority
) -> AsyncIterator[Door]:
    server = authority.issue("restate")
    admin = restate_server.admin_url
    async with guarded(admin, tmp_path, server, authority, "first") as found:
        yield found


@pytest.fixture
def secrets(authority: Authority) -> Secrets:
    return {
        "restate": {"token": b"first\n"},
        "client": {**of(authority.issue("operator")), "ca.crt": authority.ca.encode()},
    }


@pytest.fixture
async def observer(secrets: Secrets, door: Door) -> AsyncIterator[RestateObserver]:
    """Closed before the door is: a server waits long for its clients to end TLS."""

    async def read(namespace: str, name: str) -> Mapping[str, bytes]:
        assert namespace == "team"
        return secrets[name]

    found = RestateObserver(lambda server: RestateClient(server.url, access=Access(server, read)))
    yield found
    await found.close()


def of(made: Certificate) -> dict[str, bytes]:
    """As a Secret of the type kubernetes.io/tls holds it."""
    return {"tls.crt": made.certificate.encode(), "tls.key": made.key.encode()}


def all_of_it(door: Door) -> Server:
    return Server(
        door.url, "team", SecretKey("restate", "token"), "client", SecretKey("client", "ca.crt")
    )


async def seen(observer: RestateObserver, server: Server) -> RestateView | Unreachable:
    # A failed look is kept for a second at least; these tests don't wait for the next.
    return await RestateObserver(lambda _: observer.client(server)).view(server, 0)


async def test_with_all_of_it_restate_is_seen_and_registered_with(
    observer: RestateObserver, door: Door
) -> None:
    client = observer.client(all_of_it(door))
    async with serving(keyed("Guarded")) as uri:
        deployment = await client.register(uri, {})
        view = await observer.fresh_view(all_of_it(door))
        assert view.holds_all_routes(deployment)
        await client.deregister(deployment.id)
    assert {"/deployments", "/services", "/query"} <= set(door.seen)


async def test_a_token_is_replaced_under_way(
    observer: RestateObserver, door: Door, secrets: Secrets
) -> None:
    server = all_of_it(door)
    assert isinstance(await seen(observer, server), RestateView)
    door.token = "second"
    refused = await seen(observer, server)
    assert isinstance(refused, Unreachable)
    assert refused.reason == "CredentialsRefused"
    assert "first" not in refused.error
    secrets["restate"] = {"token": b"second"}
    assert isinstance(await seen(observer, server), RestateView)


@pytest.mark.parametrize(
    "server",
    [
        lambda door: Server(door.url, "team", SecretKey("restate", "token"), "client"),
        lambda door: Server(
            door.url, "team", SecretKey("restate", "token"), ca=SecretKey("client", "ca.crt")
        ),
    ],
    ids=["without its authority", "without a client certificate"],
)
async def test_tls_keeps_out_what_lacks_a_part(
    observer: RestateObserver, door: Door, server: Callable[[Door], Server]
) -> None:
    away = await seen(observer, server(door))
    assert isinstance(away, Unreachable)
    assert "can't be reached" in away.error
    assert door.seen == []


async def test_a_client_certificate_is_replaced_under_way(
    observer: RestateObserver, door: Door, secrets: Secrets, authority: Authority
) -> None:
    server, good = all_of_it(door), secrets["client"]
    secrets["client"] = {**good, **of(Authority("stranger").issue("operator"))}
    assert isinstance(await seen(observer, server), Unreachable)
    secrets["client"] = {**good, **of(authority.issue("operator"))}
    assert isinstance(await seen(observer, server), RestateView)


async def test_what_is_no_certificate_is_told(
    observer: RestateObserver, door: Door, secrets: Secrets
) -> None:
    secrets["client"]["tls.key"] = Authority().issue("x").key.encode()
    wrong = await seen(observer, all_of_it(door))
    assert isinstance(wrong, Unreachable)
    assert wrong.reason == "CredentialsMissing"
    assert "PEM" in wrong.error


async def test_agents_with_other_credentials_share_no_client(
    observer: RestateObserver, door: Door, secrets: Secrets
) -> None:
    secrets["wrong"] = {"token": b"guess"}
    mine = all_of_it(door)
    theirs = Server(
        door.url, "team", SecretKey("wrong", "token"), "client", SecretKey("client", "ca.crt")
    )
    assert isinstance(await observer.view(mine, 0.9), RestateView)
    assert isinstance(await observer.view(theirs, 0.9), Unreachable)
    assert isinstance(await observer.view(mine, 0.9), RestateView)

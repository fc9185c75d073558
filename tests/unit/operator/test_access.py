"""Credentials: read when needed, kept for a short while, read anew when they are refused."""

import asyncio
import base64
import traceback
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from agent_operator.kube import secrets
from agent_operator.kube.client import Kube, Resource
from agent_operator.kube.errors import KubeError, SecretError
from agent_operator.reconcile import headers
from agent_operator.restate.access import KEPT_SECONDS, Access, Credentials, tls_context, value
from agent_operator.restate.client import Calls, RestateClient, RestateUnavailableError
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import Calling, Header, SecretKey, Server
from agent_operator.restate.view import Unreachable

URL = "https://restate.test:9070"
SERVER = Server(URL, "team", token=SecretKey("restate", "token"))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Vault:
    """Secrets of one namespace, and how often they were read."""

    def __init__(self, **tokens: bytes) -> None:
        self.data: dict[str, bytes] = dict(tokens)
        self.reads = 0

    async def read(self, namespace: str, name: str) -> Mapping[str, bytes]:
        assert (namespace, name) == ("team", "restate")
        self.reads += 1
        return self.data


def guarded(vault: Vault, clock: Clock, *, takes: str) -> tuple[RestateClient, list[str]]:
    """A client of a server that takes one token, and the tokens that it was shown."""
    shown: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        shown.append(request.headers["authorization"])
        if shown[-1] != f"Bearer {takes}":
            return httpx.Response(401, text="who are you?")
        return httpx.Response(200, json={"deployments": []})

    access = Access(SERVER, vault.read, clock)
    return RestateClient(URL, httpx.MockTransport(answer), access), shown


async def test_a_token_is_read_once_a_minute() -> None:
    vault, clock = Vault(token=b"one\n"), Clock()
    client, shown = guarded(vault, clock, takes="one")
    for _ in range(5):
        await client.deployments()
    assert (vault.reads, set(shown)) == (1, {"Bearer one"})
    clock.now = KEPT_SECONDS + 1
    await client.deployments()
    assert vault.reads == 2


async def test_a_token_that_was_replaced_works_at_once() -> None:
    vault, clock = Vault(token=b"old"), Clock()
    client, shown = guarded(vault, clock, takes="new")
    with pytest.raises(RestateUnavailableError) as refused:
        await client.deployments()
    assert refused.value.reason == "CredentialsRefused"
    assert "old" not in str(refused.value)
    vault.data = {"token": b"new"}
    await client.deployments()
    assert shown == ["Bearer old", "Bearer old", "Bearer new"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "has no key token"),
        ({"token": b" \n"}, "is empty"),
        ({"token": b"\xff"}, "holds no text"),
    ],
)
async def test_a_missing_token_is_told_by_name(data: dict[str, bytes], words: str) -> None:
    vault = Vault(**data)
    client, shown = guarded(vault, Clock(), takes="one")
    with pytest.raises(RestateUnavailableError, match=words) as missing:
        await client.deployments()
    assert missing.value.reason == "CredentialsMissing"
    assert "restate" in str(missing.value)
    assert shown == []


ODD = [
    b"\xef\xbb\xbfhush-hush",
    b"hush\xe2\x80\x8b-hush",
    b"hush\nhush",
    b"hush hush",
    b"hush\x00hush",
]


@pytest.mark.parametrize("token", ODD)
async def test_a_token_that_fits_no_header_is_never_shown(
    token: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    client, shown = guarded(Vault(token=token), Clock(), takes="one")
    observer = RestateObserver(lambda _: client)
    seen = await observer.view(SERVER, 0)
    assert isinstance(seen, Unreachable)
    assert seen.reason == "CredentialsMissing"
    assert "key token of Secret restate holds what can't be in a header" in seen.error
    assert "hush" not in seen.error + caplog.text
    assert shown == []


async def test_no_part_of_a_request_is_quoted() -> None:
    """Should another header be what nobody can send: httpx shows the whole of it."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError("Illegal header value b'Bearer hush'")

    client = RestateClient(URL, httpx.MockTransport(refuse))
    with pytest.raises(RestateUnavailableError) as error:
        await client.deployments()
    assert "LocalProtocolError" in str(error.value)
    assert "hush" not in "".join(traceback.format_exception(error.value))


async def test_a_server_that_quotes_the_token_is_not_quoted() -> None:
    vault = Vault(token=b"hush")
    answer = httpx.Response(403, text="token hush is not known")
    access = Access(SERVER, vault.read, Clock())
    client = RestateClient(URL, httpx.MockTransport(lambda _: answer), access)
    with pytest.raises(RestateUnavailableError, match=r"token \*\*\* is not known"):
        await client.deployments()


async def test_without_credentials_a_refusal_says_what_is_missing() -> None:
    client = RestateClient(URL, httpx.MockTransport(lambda _: httpx.Response(403)))
    with pytest.raises(RestateUnavailableError, match="wants credentials"):
        await client.deployments()


def test_credentials_never_show() -> None:
    assert "hush" not in repr(Credentials("hush", "hush", "hush"))
    assert "hush" not in repr(Calls(headers={"x-key": "hush"}))


@pytest.mark.parametrize("field", ["certificate", "ca"])
def test_what_is_no_certificate_is_told(field: str) -> None:
    with pytest.raises(SecretError, match="no usable PEM"):
        tls_context(Credentials(**{field: "-----BEGIN NONSENSE-----"}))


class Cluster(Kube):
    """An API server that answers one thing."""

    def __init__(self, answer: dict[str, Any] | KubeError) -> None:
        self.answer = answer

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        assert resource.path(namespace, name) == "/api/v1/namespaces/team/secrets/mesh"
        if isinstance(self.answer, KubeError):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (KubeError(404, "not found"), "team/mesh does not exist"),
        (KubeError(403, "forbidden"), "operator.reads.secretNames"),
        (KubeError(500, "broken"), "can't be read: broken"),
    ],
)
def test_why_a_secret_can_not_be_had(answer: KubeError, words: str) -> None:
    with pytest.raises(SecretError, match=words):
        asyncio.run(secrets.read(Cluster(answer), "team", "mesh"))


async def test_headers_are_read_for_a_registration() -> None:
    kube = Cluster({"data": {"token": base64.b64encode(b"hush\n").decode()}})
    calling = Calling(headers=(Header("a", "x"), Header("b", secret=SecretKey("mesh", "token"))))
    assert await headers.read(kube, "team", calling) == {"a": "x", "b": "hush"}
    with pytest.raises(RestateUnavailableError, match="header b: Secret mesh has no key other"):
        await headers.read(
            kube, "team", Calling(headers=(Header("b", secret=SecretKey("mesh", "other")),))
        )


async def test_a_header_that_restate_would_quote_is_not_given_to_it() -> None:
    kube = Cluster({"data": {"token": base64.b64encode(b"hush\nhush").decode()}})
    calling = Calling(headers=(Header("b", secret=SecretKey("mesh", "token")),))
    with pytest.raises(RestateUnavailableError, match="what can't be in a header") as error:
        await headers.read(kube, "team", calling)
    assert "hush" not in str(error.value)


def test_an_empty_header_leaves_what_is_said_readable() -> None:
    calls = Calls(headers={"a": "", "b": "hush"})
    assert calls.without_values("bad header: hush") == "bad header: ***"


def test_a_value_without_its_line_end() -> None:
    assert value({"k": b" x \n"}, "s", "k") == "x"

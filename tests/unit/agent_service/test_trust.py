"""Whose requests an agent takes, with and without the key of a gate."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import restate
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from agent_operator.smoke import keys
from agent_service.settings import Settings
from agent_service.trust import trusting

LASTING = keys.PREFIX + keys.base58(bytes(range(32)))
UNSIGNED = {"accept": "application/vnd.restate.endpointmanifest.v3+json"}


def app(tmp_path: Path, *trusted: str) -> Any:
    service = restate.VirtualObject("Agent")

    @service.handler()
    async def turn(ctx: restate.ObjectContext) -> str:
        return ""

    return trusting([service], Settings(identity_keys=trusted, gate_key_file=str(tmp_path / "key")))


async def discover(served: Any, headers: dict[str, str]) -> int:
    transport = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://agent") as http:
        return (await http.get("/discover", headers={**UNSIGNED, **headers})).status_code


@pytest.mark.parametrize("gate", ["", "key"])
async def test_without_keys_nothing_is_checked(tmp_path: Path, gate: str) -> None:
    if gate:
        (tmp_path / "key").write_text(keys.make(tmp_path / "pem"))
    assert await discover(app(tmp_path), {}) == 200


@pytest.mark.parametrize("written", ["", "nonsense", "key"])
async def test_a_gates_key_opens_to_nobody_else(tmp_path: Path, written: str) -> None:
    text = keys.make(tmp_path / "pem") if written == "key" else written
    (tmp_path / "key").write_text(text)
    assert await discover(app(tmp_path, LASTING), {}) == 401


async def test_it_counts_as_long_as_it_is_there(tmp_path: Path) -> None:
    served = app(tmp_path, LASTING)
    key = keys.make(tmp_path / "pem")
    signed = sign(tmp_path / "pem")
    assert await discover(served, signed) == 401
    (tmp_path / "key").write_text(key)
    assert await discover(served, signed) == 200
    (tmp_path / "key").write_text("")
    assert await discover(served, signed) == 401
    (tmp_path / "key").write_text(key)
    assert await discover(served, signed) == 200


def sign(pem: Path) -> dict[str, str]:
    """The headers with which Restate signs: a JWT for the path."""

    def part(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    key = load_pem_private_key(pem.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    head = {"typ": "JWT", "alg": "EdDSA", "kid": keys.PREFIX + keys.base58(raw)}
    now = int(time.time())
    claims = {"aud": "/discover", "iat": now, "nbf": now - 60, "exp": now + 60}
    text = f"{part(json.dumps(head).encode())}.{part(json.dumps(claims).encode())}"
    token = f"{text}.{part(key.sign(text.encode()))}"
    return {"x-restate-signature-scheme": "v1", "x-restate-jwt-v1": token}

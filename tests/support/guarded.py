"""A door in front of a Restate server's admin API: TLS, a client certificate, a bearer token."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hack.restate import free_ports
from tests.support.ports import listening


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, in PEM."""

    certificate: str
    key: str


_CERTIFIES = x509.KeyUsage(
    digital_signature=True, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
    encipher_only=False, decipher_only=False,
)  # fmt: skip


class Authority:
    """A private authority, and what it certifies."""

    def __init__(self, name: str = "private") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        # Python 3.13 verifies strictly: both have to be there, and critical.
        authority = x509.BasicConstraints(ca=True, path_length=None)
        self._own = self._sign(self._name, self._key.public_key(), authority, _CERTIFIES)
        self.ca = _pem(self._own)

    def issue(self, name: str) -> Certificate:
        """A certificate for a name, as server on 127.0.0.1 or as client."""
        key = ec.generate_private_key(ec.SECP256R1())
        here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        made = self._sign(_name(name), key.public_key(), here)
        text = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return Certificate(_pem(made), text.decode())

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        own = self._key.public_key()
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own), critical=False)
        )
        for extension in extensions:
            critical = not isinstance(extension, x509.SubjectAlternativeName)
            made = made.add_extension(extension, critical=critical)
        return made.sign(self._key, hashes.SHA256())


@dataclass
class Door:
    """What the door asks for. ``url`` is its address; ``token`` may be changed while it stands."""

    url: str
    token: str
    seen: list[str] = field(default_factory=list)


@asynccontextmanager
async def guarded(
    admin_url: str, folder: Path, server: Certificate, clients: Authority | None, token: str
) -> AsyncIterator[Door]:
    """Stand in front of ``admin_url``; with ``clients``, callers need a certificate of theirs."""
    (port,) = free_ports(1)
    door = Door(f"https://127.0.0.1:{port}", token)
    stop = asyncio.Event()
    async with httpx.AsyncClient(base_url=admin_url, trust_env=False, timeout=60) as behind:

        async def forward(request: Request) -> Response:
            if request.headers.get("authorization") != f"Bearer {door.token}":
                return Response("who are you?", 401)
            path = request.url.path
            door.seen.append(path)
            answer = await behind.request(
                request.method,
                path,
                params=request.query_params,
                content=await request.body(),
                headers={"accept": "application/json", "content-type": "application/json"},
            )
            return Response(answer.content, answer.status_code, media_type="application/json")

        methods = ["GET", "POST", "PATCH", "DELETE"]
        app = Starlette(routes=[Route("/{path:path}", forward, methods=methods)])
        task = asyncio.create_task(
            serve(app, _config(port, folder, server, clients), shutdown_trigger=stop.wait)  # type: ignore[arg-type]
        )
        try:
            await listening(port)
            yield door
        finally:
            stop.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _config(port: int, folder: Path, server: Certificate, clients: Authority | None) -> Config:
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = None
    config.graceful_timeout = 0.2
    config.certfile = _write(folder / "tls.crt", server.certificate)
    config.keyfile = _write(folder / "tls.key", server.key)
    if clients:
        config.ca_certs = _write(folder / "clients.crt", clients.ca)
        config.verify_mode = ssl.CERT_REQUIRED
    return config


def _write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()

"""The credentials for one Restate server: read when needed, kept a short while, never shown."""

import re
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx

from agent_operator.kube.errors import SecretError
from agent_operator.restate.server import SecretKey, Server

KEPT_SECONDS: Final = 60.0
"""How long what was read is used without another look at the Secret."""

CERTIFICATE_KEY: Final = "tls.crt"
PRIVATE_KEY_KEY: Final = "tls.key"

_TOKEN: Final = re.compile("[!-~]+")
_HEADER: Final = re.compile("[!-~]([ -~]*[!-~])?")

ReadSecret = Callable[[str, str], Awaitable[Mapping[str, bytes]]]
"""From a namespace and a name to what the Secret holds. Raises SecretError."""


@dataclass(frozen=True)
class Credentials:
    """What a connection needs; ``certificate`` is the client's, with its key, in PEM."""

    token: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    ca: str | None = field(default=None, repr=False)

    @property
    def tls(self) -> tuple[str | None, str | None]:
        """What a new connection is needed for, if it changes."""
        return self.certificate, self.ca


class Access:
    """Reads a server's credentials where its ``Server`` says that they are."""

    def __init__(
        self, server: Server, read: ReadSecret, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._server, self._read, self._clock = server, read, clock
        self._kept: Credentials | None = None
        self._kept_since = float("-inf")

    async def credentials(self) -> Credentials:
        """The credentials, as read within the last minute.

        Raises:
            SecretError: one is missing.
        """
        if self._kept is None or self._clock() - self._kept_since > KEPT_SECONDS:
            self._kept, self._kept_since = await self._read_all(), self._clock()
        return self._kept

    def forget(self) -> None:
        """Read them anew before the next request: the server, or its TLS, will not have them."""
        self._kept_since = float("-inf")

    async def changed(self) -> bool:
        """Whether a new look at the Secrets finds others than before. Raises as ``credentials``."""
        before = self._kept
        self.forget()
        return await self.credentials() != before

    async def _read_all(self) -> Credentials:
        server, seen = self._server, {}
        for name in {s.name for s in (server.token, server.ca) if s}:
            seen[name] = await self._read(server.namespace, name)

        def text(where: SecretKey | None, form: re.Pattern[str] | None = None) -> str | None:
            return value(seen[where.name], where.name, where.key, form) if where else None

        token, ca = text(server.token, _TOKEN), text(server.ca)
        return Credentials(token, await self._certificate(), ca)

    async def _certificate(self) -> str | None:
        name = self._server.client_certificate
        if name is None:
            return None
        secret = await self._read(self._server.namespace, name)
        parts = (value(secret, name, key) for key in (CERTIFICATE_KEY, PRIVATE_KEY_KEY))
        return "\n".join(parts) + "\n"


def tls_context(credentials: Credentials) -> ssl.SSLContext:
    """How to speak TLS with these credentials. With a CA of its own, no other one is trusted.

    Raises:
        SecretError: they are no certificates, or the key is not the certificate's.
    """
    try:
        if credentials.ca is None:
            context = httpx.create_ssl_context(trust_env=False)
        else:
            context = ssl.create_default_context(cadata=credentials.ca)
        if credentials.certificate is not None:
            # Python's ssl takes a client certificate from a file only; this one is gone at once.
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(credentials.certificate)
                file.flush()
                context.load_cert_chain(file.name)
    except (ssl.SSLError, ValueError) as error:
        raise SecretError(f"its CA or client certificate is no usable PEM: {error}") from error
    return context


def header_value(secret: Mapping[str, bytes], name: str, key: str) -> str:
    """One key's text, which is to be a header's value. Raises as ``value``."""
    return value(secret, name, key, _HEADER)


def value(
    secret: Mapping[str, bytes], name: str, key: str, form: re.Pattern[str] | None = None
) -> str:
    """One key's text, without the blanks around it (a file's last line end, say).

    Raises:
        SecretError: the key is missing, empty, no text, or not of the form; what it says is not
            told, and nobody else may be given it to refuse: they would quote it.
    """
    try:
        text = secret[key].decode().strip()
    except KeyError:
        raise SecretError(f"Secret {name} has no key {key}") from None
    except UnicodeDecodeError:
        raise SecretError(f"key {key} of Secret {name} holds no text") from None
    if not text:
        raise SecretError(f"key {key} of Secret {name} is empty")
    if form and not form.fullmatch(text):
        raise SecretError(
            f"key {key} of Secret {name} holds what can't be in a header: a second line, what is no"
            " printable ASCII (a byte order mark, say), or in a token a blank"
        )
    return text

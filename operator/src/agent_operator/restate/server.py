"""Which Restate server: its address, and where its credentials are. Never the credentials."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SecretKey:
    """One key of a Secret."""

    name: str
    key: str


@dataclass(frozen=True)
class Server:
    """A Restate server's admin API, as an agent (or the operator by default) reaches it.

    Two with the same address but other credentials are two: they share no connection and no look.
    ``namespace`` is where the Secrets are; it is empty where none is needed.
    """

    url: str
    namespace: str = ""
    token: SecretKey | None = None
    client_certificate: str | None = None
    ca: SecretKey | None = None

    @property
    def has_credentials(self) -> bool:
        """Whether a Secret must be read before it can be asked anything."""
        return bool(self.token or self.client_certificate or self.ca)


@dataclass(frozen=True)
class Header:
    """A header that Restate sends with each request to a deployment: its value, or where it is."""

    name: str
    value: str | None = None
    secret: SecretKey | None = None


@dataclass(frozen=True)
class Calling:
    """How Restate calls a deployment, as told at its registration."""

    http11: bool = False
    headers: tuple[Header, ...] = ()

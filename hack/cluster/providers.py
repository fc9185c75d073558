"""Which cluster to use."""

import shutil
from collections.abc import Callable
from enum import StrEnum

from .errors import ClusterError
from .run import succeeds


class Provider(StrEnum):
    """Where the cluster comes from."""

    CURRENT = "current"
    KIND = "kind"
    LOCAL = "local"


def choose(asked: str, *, kind_installed: bool, engine: Callable[[], str]) -> tuple[Provider, str]:
    """Pick a provider.

    Args:
        asked: the variable CLUSTER, may be empty.
        kind_installed: whether the command `kind` is there.
        engine: names the container engine that works (`docker`, `podman`) or returns "".
            Only called when the answer matters, because asking an engine takes time.

    Returns:
        The provider, and why, in a few words.

    Raises:
        ClusterError: CLUSTER has a value that doesn't exist, or kind can't work.
    """
    if asked:
        try:
            provider = Provider(asked)
        except ValueError:
            known = ", ".join(Provider)
            raise ClusterError(f"CLUSTER={asked} is unknown; it can be {known}, or unset") from None
        if provider is Provider.KIND:
            _require_kind(kind_installed, engine)
        return provider, f"CLUSTER={asked}"
    if not kind_installed:
        return Provider.LOCAL, "kind is not installed"
    if name := engine():
        return Provider.KIND, f"kind is installed and {name} works"
    return Provider.LOCAL, "kind is installed, but neither Docker nor Podman works"


def _require_kind(installed: bool, engine: Callable[[], str]) -> None:
    if not installed:
        raise ClusterError("CLUSTER=kind: the command `kind` is not installed")
    if not engine():
        raise ClusterError(
            "CLUSTER=kind: no container engine answers (`docker info` and `podman info` fail)"
        )


def working_engine() -> str:
    """`docker` or `podman` if its engine answers, not only its client; otherwise ""."""
    for name in ("docker", "podman"):
        if shutil.which(name) and succeeds(name, "info"):
            return name
    return ""


def detect(asked: str) -> tuple[Provider, str]:
    """`choose`, with what is on this machine."""
    return choose(asked, kind_installed=shutil.which("kind") is not None, engine=working_engine)

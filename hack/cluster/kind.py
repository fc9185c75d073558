"""A cluster in containers, by kind."""

from collections.abc import Sequence
from pathlib import Path

from .errors import ClusterError
from .paths import Clone
from .progress import say, step
from .providers import working_engine
from .run import run, succeeds


def _env() -> dict[str, str]:
    # kind takes Docker unless told otherwise.
    return {"KIND_EXPERIMENTAL_PROVIDER": "podman"} if working_engine() == "podman" else {}


def up(clone: Clone) -> None:
    """Make this clone's kind cluster, unless it runs."""
    if clone.name in run("kind", "get", "clusters", env=_env()).split():
        run("kind", "export", "kubeconfig", *_where(clone), env=_env())
        if succeeds(clone.bin / "kubectl", f"--kubeconfig={clone.kubeconfig}", "get", "nodes"):
            say(f"kind cluster {clone.name} is running")
            return
        say(f"kind cluster {clone.name} does not answer, making it anew")
        down(clone)
    with step(f"making the kind cluster {clone.name} (pulls its node image the first time)"):
        run("kind", "create", "cluster", *_where(clone), "--wait=180s", env=_env())
    clone.kubeconfig.chmod(0o600)


def _where(clone: Clone) -> tuple[str, ...]:
    return ("--name", clone.name, "--kubeconfig", str(clone.kubeconfig))


def down(clone: Clone) -> None:
    """Delete this clone's kind cluster, and no other."""
    run("kind", "delete", "cluster", *_where(clone), env=_env())


def load(clone: Clone, archives: Sequence[Path]) -> None:
    """Load image archives into the cluster's nodes.

    Raises:
        ClusterError: kind refuses one.
    """
    for archive in archives:
        try:
            run("kind", "load", "image-archive", str(archive), "--name", clone.name, env=_env())
        except ClusterError as error:
            raise ClusterError(f"{archive}: {error}") from None

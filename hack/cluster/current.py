"""The cluster that the user's kubeconfig points at; used only when asked for."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .errors import ClusterError
from .paths import Clone
from .run import run


def source(clone: Clone, kubeconfig: str) -> str:
    """The KUBECONFIG in which kubectl finds the user's own context.

    Args:
        clone: this clone.
        kubeconfig: the variable KUBECONFIG as it is.

    Returns:
        The same, except where it names this clone's copy: then "", kubectl's default.
    """
    return "" if kubeconfig and Path(kubeconfig) == clone.kubeconfig else kubeconfig


def up(clone: Clone) -> str:
    """Copy the current context into this clone's kubeconfig (mode 0600).

    Returns:
        The context's name.

    Raises:
        ClusterError: there is no current context, or its cluster doesn't answer.
    """
    env = {"KUBECONFIG": source(clone, os.environ.get("KUBECONFIG", ""))}
    kubectl = clone.bin / "kubectl"
    try:
        context = run(kubectl, "config", "current-context", env=env).strip()
    except ClusterError:
        raise ClusterError(
            "CLUSTER=current: kubectl has no current context (see `kubectl config get-contexts`)"
        ) from None
    text = run(kubectl, "config", "view", "--minify", "--raw", "--flatten", env=env)
    clone.cluster.mkdir(parents=True, exist_ok=True)
    clone.kubeconfig.touch(mode=0o600)
    clone.kubeconfig.chmod(0o600)
    clone.kubeconfig.write_text(text)
    try:
        run(kubectl, f"--kubeconfig={clone.kubeconfig}", "version", "--request-timeout=15s")
    except ClusterError as error:
        clone.kubeconfig.unlink()
        raise ClusterError(f"CLUSTER=current: {context} does not answer: {error}") from None
    return context


def loader(context: str, archive: str) -> list[str]:
    """The command that loads an image archive into a known kind of local cluster.

    Args:
        context: the kubeconfig context's name.
        archive: the file.

    Raises:
        ClusterError: it isn't one.
    """
    if context.startswith("kind-"):
        return ["kind", "load", "image-archive", archive, "--name", context.removeprefix("kind-")]
    if context.startswith("k3d-"):
        return ["k3d", "image", "import", archive, "--cluster", context.removeprefix("k3d-")]
    if context == "minikube":
        return ["minikube", "image", "load", archive]
    raise ClusterError(
        f"images can't be loaded into {context}: set IMAGE_REPOSITORY to a registry"
        " that this cluster pulls from, and the images are pushed there"
    )


def load(context: str, archives: Sequence[Path]) -> None:
    """Load image archives with the cluster's own tool.

    Raises:
        ClusterError: the cluster isn't a known kind, or its tool isn't installed.
    """
    for archive in archives:
        command = loader(context, str(archive))
        if not shutil.which(command[0]):
            raise ClusterError(f"{context}: the command `{command[0]}` is not installed")
        run(*command)

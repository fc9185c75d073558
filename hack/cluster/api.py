"""What the rest of the repository uses: up, down, load, and what is in use."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from . import current, kind, tools
from . import state as states
from .errors import ClusterError
from .local import cluster as local
from .local.node import Node
from .paths import Clone, this_clone
from .progress import say
from .providers import Provider, detect
from .run import run
from .state import State

CLIENTS = ("kubectl", "helm")
"""The tools that people and tests use with any cluster."""


def up(clone: Clone | None = None) -> Path:
    """Make sure that a cluster runs and that kubectl and helm are there.

    The variable CLUSTER (current, kind, local) picks one; otherwise see `providers.choose`.

    Returns:
        The kubeconfig's path.

    Raises:
        ClusterError: what is missing, or what went wrong.
    """
    clone = clone or this_clone()
    with tools.locked(clone):
        state = _recorded(clone)
        asked = os.environ.get("CLUSTER", "")
        if state and not asked:
            chosen, why = state.provider, "in use by this clone"
        else:
            chosen, why = detect(asked)
        if state and state.provider is not chosen:
            raise ClusterError(
                f"this clone already uses {state.provider} ({state.context});"
                " run `python -m hack.cluster down` first"
            )
        say(f"using {chosen} ({why})")
        _up(clone, chosen, state)
    return clone.kubeconfig


def _recorded(clone: Clone) -> State | None:
    """The recorded state; a damaged file counts as none, because `up` cleans and starts anew."""
    try:
        return states.read(clone.state)
    except ClusterError as error:
        say(str(error))
        return None


def _up(clone: Clone, chosen: Provider, state: State | None) -> None:
    if chosen is Provider.LOCAL:
        local.up(clone, state)
        tools.ensure(clone, CLIENTS)
        return
    tools.ensure(clone, CLIENTS)
    context = f"kind-{clone.name}"
    if chosen is Provider.KIND:
        states.write(clone.state, State(chosen, context))
        kind.up(clone)
    else:
        context = current.up(clone)
    states.write(clone.state, State(chosen, context))


def down(clone: Clone | None = None) -> None:
    """Take down what `up` made; of a current context only this clone's copy of it.

    The tools in `.local/bin` stay, as a cache.
    """
    clone = clone or this_clone()
    with tools.locked(clone):
        state = _recorded(clone)
        if state and state.provider is Provider.KIND:
            kind.down(clone)
        elif state and state.provider is Provider.CURRENT:
            say(
                f"the cluster of {state.context} stays as it is;"
                " only the copy of its kubeconfig goes"
            )
        else:
            local.down(clone, state)
        shutil.rmtree(clone.cluster, ignore_errors=True)
    say("down; the built tools stay in .local/bin as a cache")


def in_use(clone: Clone) -> State:
    """What this clone uses.

    Raises:
        ClusterError: nothing.
    """
    state = states.read(clone.state)
    if state is None:
        raise ClusterError("no cluster: run `python -m hack.cluster up`")
    return state


def provider(clone: Clone | None = None) -> Provider:
    """Where the cluster in use comes from.

    Raises:
        ClusterError: there is none.
    """
    return in_use(clone or this_clone()).provider


def kubeconfig(clone: Clone | None = None) -> Path:
    """The kubeconfig of the cluster in use.

    Raises:
        ClusterError: there is none.
    """
    clone = clone or this_clone()
    in_use(clone)
    return clone.kubeconfig


def load(archives: Sequence[Path], clone: Clone | None = None) -> None:
    """Load image archives (OCI or docker) into the cluster in use.

    Raises:
        ClusterError: no cluster, or none that images can be loaded into; says what to do.
    """
    clone = clone or this_clone()
    state = in_use(clone)
    if missing := [str(archive) for archive in archives if not archive.is_file()]:
        raise ClusterError(f"no such image archive: {', '.join(missing)}")
    if state.provider is Provider.KIND:
        kind.load(clone, archives)
    elif state.provider is Provider.CURRENT:
        current.load(state.context, archives)
    else:
        node = Node.of(clone, state)
        if node is None:
            raise ClusterError("the local cluster does not run: run `python -m hack.cluster up`")
        local.load(node, archives)


def status(clone: Clone | None = None) -> str:
    """A few lines about the cluster in use: provider, kubeconfig, nodes, versions.

    Raises:
        ClusterError: there is none, or it doesn't answer.
    """
    clone = clone or this_clone()
    state = in_use(clone)
    lines = [
        f"provider:   {state.provider} ({state.context})",
        f"kubeconfig: {clone.kubeconfig}",
    ]
    if state.provider is Provider.LOCAL:
        node = Node.of(clone, state)
        stopped = node.stopped() if node else ["the node"]
        if stopped:
            raise ClusterError(
                f"not running: {', '.join(stopped)}; run `python -m hack.cluster up`"
            )
    kubectl = (clone.bin / "kubectl", f"--kubeconfig={clone.kubeconfig}", "--request-timeout=10s")
    lines += [run(*kubectl, "get", "nodes", "--output=wide").rstrip()]
    lines += [run(*kubectl, "version").rstrip()]
    lines += [f"helm: {run(clone.bin / 'helm', 'version', '--short').strip()}"]
    return "\n".join(lines)

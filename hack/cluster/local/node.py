"""A local node that was started: asking it, and starting its programs."""

import json
import ssl
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from hack.cluster.errors import ClusterError
from hack.cluster.paths import Clone
from hack.cluster.run import run, wait_for
from hack.cluster.state import Init, State

from . import config, namespace
from .network import Addresses, addresses

PATIENCE = 180.0
"""Seconds for one stage of the start; it normally takes a few."""


@dataclass(frozen=True)
class Node:
    """A node whose first process runs.

    Attributes:
        clone: whose node it is.
        init: its first process.
        net: its addresses.
    """

    clone: Clone
    init: Init
    net: Addresses

    @classmethod
    def of(cls, clone: Clone, state: State | None) -> Self | None:
        """The node that a state describes, if it was once up and its first process is alive."""
        if not state or not state.complete or not state.init or not namespace.alive(state.init):
            return None
        return cls(clone, state.init, addresses(state.block))

    @property
    def ctr(self) -> tuple[str, ...]:
        """The words in front of a `ctr` command on this node's images."""
        where = ("ctr", "--address", config.CONTAINERD, "--namespace", "k8s.io")
        return (*namespace.inside(self.init), *where)

    @cached_property
    def commands(self) -> dict[str, list[str]]:
        """The command line of each program, in the order in which they start."""
        path = self.clone.node / "lib" / "node" / "programs.json"
        loaded: dict[str, list[str]] = json.loads(path.read_text())
        return loaded

    def stopped(self) -> list[str]:
        """The programs that should run and don't."""
        return [name for name in self.commands if not self._runs(name)]

    def _runs(self, name: str) -> bool:
        return namespace.runs(self.clone, self.init, name)

    def spawn(self, name: str) -> None:
        """Start a program."""
        namespace.spawn(self.clone, self.init, name, self.commands[name])
        self._started.add(name)

    @cached_property
    def _started(self) -> set[str]:
        return set()

    def tail(self, program: str, lines: int = 3) -> str:
        """The last lines of a program's log, as one."""
        try:
            text = (self.clone.node / "log" / f"{program}.log").read_text(errors="replace")
        except OSError:
            return ""
        return " | ".join(line[:400] for line in text.strip().splitlines()[-lines:])

    def wait(self, what: str, ready: Callable[[], bool], log: str) -> None:
        """Wait for `ready()` while the programs that were started go on running.

        Args:
            what: what is awaited, for the error.
            ready: asked again and again; its ClusterErrors count as "not yet".
            log: the program whose log explains it best.

        Raises:
            ClusterError: it took too long, or a program ended.
        """

        def check() -> bool:
            for name in sorted(self._started):
                if not self._runs(name):
                    raise ClusterError(f"{name} ended: {self.tail(name)}")
            try:
                return ready()
            except ClusterError:
                return False

        wait_for(what, check, timeout=PATIENCE, hint=lambda: self.tail(log))

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """Run kubectl as the cluster's administrator."""
        kubeconfig = f"--kubeconfig={self.clone.kubeconfig}"
        return run(self.clone.bin / "kubectl", kubeconfig, *args, stdin=stdin)

    def api_ready(self) -> bool:
        """Whether the API server says that it is ready."""
        ca = self.clone.node / "lib" / "node" / "pki" / "ca.crt"
        try:
            context = ssl.create_default_context(cafile=str(ca))
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}),
                urllib.request.HTTPSHandler(context=context),
            )
            with opener.open(f"{self.net.api_url}/readyz", timeout=3) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ready(self) -> bool:
        """Whether the API server has the node as Ready."""
        path = '--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        return self.kubectl("get", "node", self.clone.name, path).strip() == "True"

    def healthy(self) -> bool:
        """Whether the API server and the node are ready, and kubelet answers."""
        try:
            return self.api_ready() and self.ready() and self._kubelet_answers()
        except ClusterError:
            return False

    def _kubelet_answers(self) -> bool:
        # A node stays "Ready" for a while after its kubelet's end.
        path = f"/api/v1/nodes/{self.clone.name}/proxy/healthz"
        return self.kubectl("get", "--raw", path, "--request-timeout=5s").strip() == "ok"

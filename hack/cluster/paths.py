"""Where a clone keeps its cluster, and the names derived from the clone's own path."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Clone:
    """One checkout of this repository.

    Everything that could meet another clone on the same machine (network devices, cgroups, kind
    clusters) carries `name`, which comes from the checkout's path.
    """

    root: Path

    @cached_property
    def digest(self) -> str:
        """Eight hex digits that stand for the checkout's path."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """`da-<digest>`: 11 characters, short enough for a network device (15)."""
        return f"da-{self.digest}"

    @property
    def bin(self) -> Path:
        """Built or linked tools; kept by `down` as a cache."""
        return self.root / ".local" / "bin"

    @property
    def cluster(self) -> Path:
        """Everything about the running cluster; removed by `down`."""
        return self.root / ".local" / "cluster"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig that every command of this repository uses."""
        return self.cluster / "kubeconfig"

    @property
    def state(self) -> Path:
        """What is in use, as JSON (see `state.State`)."""
        return self.cluster / "state.json"

    @property
    def node(self) -> Path:
        """The local node's files: its /var/lib (`lib`) and /var/log (`log`)."""
        return self.cluster / "node"


def this_clone() -> Clone:
    """The checkout that this file belongs to."""
    return Clone(Path(__file__).resolve().parents[2])

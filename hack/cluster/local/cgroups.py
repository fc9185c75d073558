"""The local node's own cgroup, under cgroup v1 and v2.

Layout: `/<name>/system` holds the node's programs, `/<name>/kubepods` (kubelet's) the pods.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

from hack.cluster.errors import ClusterError

ROOT = Path("/sys/fs/cgroup")
WANTED = {"cpu", "memory", "pids"}
"""Controllers that kubelet can't do without."""


def is_v2(root: Path = ROOT) -> bool:
    """Whether this machine has the unified hierarchy only."""
    return (root / "cgroup.controllers").exists()


def hierarchies(root: Path = ROOT) -> list[Path]:
    """The folders below which a group is made: one (v2), or one for each controller (v1)."""
    if is_v2(root):
        return [root]
    if not root.is_dir():  # not Linux: nothing was ever made
        return []
    # cpu, cpuacct and the like may be links to one mounted folder. `unified`, where it is mounted
    # too, has no controllers, but runc makes groups there as well.
    found = {path.resolve() for path in root.iterdir() if (path / "cgroup.procs").exists()}
    return sorted(found)


def create(name: str, root: Path = ROOT) -> list[Path]:
    """Make the node's groups.

    Returns:
        The `cgroup.procs` files that a process writes itself into to join `/<name>/system`.

    Raises:
        ClusterError: a controller is missing or can't be delegated.
    """
    groups = hierarchies(root)
    have = _enable(root) if is_v2(root) else {path.name for path in root.iterdir()}
    if missing := WANTED - have:
        raise ClusterError(f"the kernel's cgroup controllers lack {', '.join(sorted(missing))}")
    for hierarchy in groups:
        for group in (hierarchy / name, hierarchy / name / "system"):
            group.mkdir(exist_ok=True)
            if is_v2(root):
                continue
            _inherit_cpuset(group)
    if is_v2(root):
        _enable(root / name)
    return [hierarchy / name / "system" / "cgroup.procs" for hierarchy in groups]


def _enable(group: Path) -> set[str]:
    """Hand all controllers of a v2 group down to its children; those that are handed down."""
    control = group / "cgroup.subtree_control"
    for controller in (group / "cgroup.controllers").read_text().split():
        try:
            control.write_text(f"+{controller}")
        except OSError:
            continue  # e.g. cpu while real-time processes run: `create` says what is missing
    return set(control.read_text().split())


def _inherit_cpuset(group: Path) -> None:
    # A new cpuset group is empty, and takes no process before it has CPUs and memory nodes.
    for key in ("cpuset.cpus", "cpuset.mems"):
        ours = group / key
        if ours.exists() and not ours.read_text().strip():
            ours.write_text((group.parent / key).read_text())


def exists(name: str, root: Path = ROOT) -> bool:
    """Whether the node's groups are there."""
    return any((hierarchy / name).exists() for hierarchy in hierarchies(root))


def kill(name: str, root: Path = ROOT) -> None:
    """End what still runs in the node's groups: only the node's processes ever joined them."""
    for hierarchy in hierarchies(root):
        for procs in (hierarchy / name).rglob("cgroup.procs"):
            for pid in procs.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)


def remove(name: str, root: Path = ROOT, timeout: float = 20.0) -> None:
    """Remove the node's groups, once their processes are gone.

    Raises:
        ClusterError: a group is still in use after `timeout` seconds.
    """
    end = time.monotonic() + timeout
    for hierarchy in hierarchies(root):
        while (hierarchy / name).exists():
            try:
                _remove_tree(hierarchy / name)
            except OSError as error:
                if time.monotonic() > end:
                    raise ClusterError(f"cgroup still in use: {error}") from None
                time.sleep(0.1)


def _remove_tree(group: Path) -> None:
    for child in group.iterdir():
        if child.is_dir():
            _remove_tree(child)
    group.rmdir()

"""A way out of the local cluster, only when asked for: CLUSTER_EGRESS=1.

slirp4netns, an ordinary process of this machine, makes the pods' connections on their behalf. So
pods reach what this machine reaches, and its own firewall and forwarding stay as they are.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.paths import Clone
from hack.cluster.progress import step
from hack.cluster.run import run, succeeds, wait_for

from . import cgroups, host, namespace
from .network import Addresses
from .node import Node

DEVICE = "tap0"
NFT_RULES = f"""\
add table ip egress
flush table ip egress
add chain ip egress postrouting {{ type nat hook postrouting priority srcnat; }}
add rule ip egress postrouting oifname "{DEVICE}" masquerade
"""


def wanted(env: Mapping[str, str]) -> bool:
    """Whether the variable CLUSTER_EGRESS asks for a way out.

    Raises:
        ClusterError: it is neither empty, 0 nor 1.
    """
    value = env.get("CLUSTER_EGRESS", "")
    if value not in {"", "0", "1"}:
        raise ClusterError(f"CLUSTER_EGRESS={value} is unknown; it can be 1, 0, or unset")
    return value == "1"


def is_open(clone: Clone) -> bool:
    """Whether this clone's way out is there."""
    pid = namespace.read_pid(_pid_file(clone))
    if pid is None:
        return False
    try:
        program = Path(f"/proc/{pid}/comm").read_text().strip()
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False
    return program == "slirp4netns" and f"/{clone.name}/" in groups


def open_up(node: Node) -> None:
    """Make the way out, unless it is there.

    Raises:
        ClusterError: slirp4netns can't be installed or doesn't start.
    """
    if is_open(node.clone):
        return
    host.install(["slirp4netns"] if not succeeds("slirp4netns", "--version") else [])
    with step("opening the way out of the cluster (CLUSTER_EGRESS=1)"):
        inside = ("nsenter", "--target", str(node.init.pid), "--net", "--")
        if succeeds(*inside, "ip", "link", "show", DEVICE):
            run(*inside, "ip", "link", "delete", DEVICE)
        _start(node)
        wait_for(
            f"device {DEVICE}",
            lambda: "default" in run(*inside, "ip", "route"),
            timeout=20,
            hint=lambda: node.tail("egress"),
        )
        run(*inside, "nft", "--file", "-", stdin=NFT_RULES)


def _start(node: Node) -> None:
    # In the node's cgroup, so that `down` finds it even when its id was lost.
    join = "".join(
        f'echo $$ > "{procs}"\n' for procs in cgroups.create(node.clone.name) if procs.exists()
    )
    command = (
        *("slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback"),
        *(f"--cidr={node.net.egress}", str(node.init.pid), DEVICE),
    )
    with (node.clone.node / "log" / "egress.log").open("a") as log:
        started = subprocess.Popen(
            ["sh", "-c", f'set -e\n{join}exec "$@"', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _pid_file(node.clone).write_text(f"{started.pid}\n")


def _pid_file(clone: Clone) -> Path:
    return clone.node / "egress.pid"


def resolver(net: Addresses) -> str:
    """CoreDNS's answer to names outside the cluster: ask slirp4netns, which asks this machine."""
    return f"forward . {net.egress[3]}"

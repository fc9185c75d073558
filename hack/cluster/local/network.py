"""Addresses for the local node, chosen so that they meet nothing else on this machine."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from hack.cluster.errors import ClusterError
from hack.cluster.run import run

POOLS = tuple(IPv4Network(pool) for pool in ("10.192.0.0/10", "172.20.0.0/14", "100.96.0.0/11"))
"""Where blocks come from, in order of preference: private, and rarely used by default."""
BLOCK_PREFIX = 18


@dataclass(frozen=True)
class Addresses:
    """What one /18 block is used for.

    Attributes:
        block: the whole block.
    """

    block: IPv4Network

    @property
    def pods(self) -> IPv4Network:
        """The first half: 8190 pods."""
        return next(self.block.subnets(prefixlen_diff=1))

    @property
    def services(self) -> IPv4Network:
        """The third quarter: 4094 Services. A thousand agents have two each."""
        return list(self.block.subnets(prefixlen_diff=2))[2]

    @property
    def egress(self) -> IPv4Network:
        """A /24 for the way out (see `egress`)."""
        last = list(self.block.subnets(prefixlen_diff=2))[3]
        return next(last.subnets(new_prefix=24))

    @property
    def link(self) -> IPv4Network:
        """The last /30: the cable between this machine and the node."""
        return list(self.block.subnets(new_prefix=30))[-1]

    @property
    def host(self) -> IPv4Address:
        """This machine's end of the cable; pods reach this machine here."""
        return self.link[1]

    @property
    def node(self) -> IPv4Address:
        """The node's end of the cable: the API server's address, and NodePorts'."""
        return self.link[2]

    @property
    def api_service(self) -> IPv4Address:
        """The Service `kubernetes`."""
        return self.services[1]

    @property
    def dns(self) -> IPv4Address:
        """The Service `kube-dns`."""
        return self.services[10]

    @property
    def api_url(self) -> str:
        """The API server's address."""
        return f"https://{self.node}:6443"


def addresses(block: str) -> Addresses:
    """The addresses of a recorded block."""
    return Addresses(IPv4Network(block))


def pick_block(seed: int, taken: Iterable[IPv4Network]) -> IPv4Network:
    """A block that overlaps with no taken network.

    Args:
        seed: where to start looking, so that two clones rarely want the same block.
        taken: networks in use.

    Raises:
        ClusterError: there is none.
    """
    used = list(taken)
    for pool in POOLS:
        blocks = list(pool.subnets(new_prefix=BLOCK_PREFIX))
        start = seed % len(blocks)
        for block in blocks[start:] + blocks[:start]:
            if not any(block.overlaps(network) for network in used):
                return block
    pools = ", ".join(str(pool) for pool in POOLS)
    raise ClusterError(f"no free /{BLOCK_PREFIX} network in {pools}; see `ip route show table all`")


def routed(routes: str) -> list[IPv4Network]:
    """The networks in `ip -json -4 route show table all`, without the default route."""
    found = (str(route.get("dst", "default")) for route in json.loads(routes or "[]"))
    networks = [IPv4Network(dst, strict=False) for dst in found if dst != "default"]
    return [network for network in networks if network.prefixlen > 0]


def connect(name: str, init_pid: int, seed: int) -> Addresses:
    """Lay the cable between this machine and the node's network namespace.

    Args:
        name: the device on this machine; its other end is the node's `eth0`.
        init_pid: a process in the node's network namespace.
        seed: see `pick_block`.
    """
    block = pick_block(seed, routed(run("ip", "-json", "-4", "route", "show", "table", "all")))
    net = Addresses(block)
    prefix = net.link.prefixlen
    inside = ("nsenter", "--target", str(init_pid), "--net", "--")
    run(
        *("ip", "link", "add", name, "type", "veth"),
        *("peer", "name", "eth0", "netns", str(init_pid)),
    )
    run(*inside, "ip", "address", "add", f"{net.node}/{prefix}", "dev", "eth0")
    run(*inside, "ip", "link", "set", "eth0", "up")
    run("ip", "address", "add", f"{net.host}/{prefix}", "dev", name)
    run("ip", "link", "set", name, "up")
    for network in (net.pods, net.services):
        run("ip", "route", "add", str(network), "via", str(net.node), "dev", name)
    return net

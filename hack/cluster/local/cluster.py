"""A real one-node cluster on this machine, without Docker: up, down, load."""

import json
import os
import shutil
import string
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from hack.cluster import state as states
from hack.cluster import tools
from hack.cluster.errors import ClusterError
from hack.cluster.paths import Clone
from hack.cluster.progress import say, step
from hack.cluster.providers import Provider
from hack.cluster.run import run, succeeds, wait_for
from hack.cluster.state import State

from . import cgroups, config, egress, host, namespace, network, pki
from .images import Image, write
from .node import PATIENCE, Node

MANIFESTS = Path(__file__).parents[1] / "manifests"
DEPLOYMENTS = (("kube-system", "coredns"), ("local-path-storage", "local-path-provisioner"))


def up(clone: Clone, state: State | None) -> None:
    """Make the node run: at once if it does, by repair if it half does, else from nothing.

    Raises:
        ClusterError: this machine can't, or something didn't start.
    """
    host.check()
    host.find_programs()
    wants_egress = egress.wanted(os.environ)
    _make_run(clone, state)
    if wants_egress and not egress.is_open(clone):
        node = Node.of(clone, states.read(clone.state))
        assert node is not None
        egress.open_up(node)
        _apply_manifests(node)
        node.kubectl("rollout", "status", "--namespace=kube-system", "deployment/coredns")
    if not wants_egress and egress.is_open(clone):
        say("pods can still reach outside (CLUSTER_EGRESS=1 was given); `down` and `up` ends that")


def _make_run(clone: Clone, state: State | None) -> None:
    node = Node.of(clone, state)
    if node and not node.stopped() and node.healthy():
        say(f"local cluster {clone.name} is running")
        return
    if node and _repaired(node):
        return
    if _leftovers(clone):
        say("cleaning up what an earlier cluster of this clone has left")
        down(clone, state)
    tools.go_version()
    host.prepare()
    tools.ensure(clone, tools.NODE_TOOLS)
    with step("starting the node"):
        try:
            _start(clone)
        except ClusterError as error:
            hint = f"logs: {clone.node / 'log'}; `python -m hack.cluster down` cleans up"
            raise ClusterError(f"{error}\n{hint}") from None


def _leftovers(clone: Clone) -> bool:
    """Whether something of an earlier cluster is there, even if `.local` was removed by hand."""
    return clone.cluster.exists() or cgroups.exists(clone.name) or _device(clone).exists()


def _device(clone: Clone) -> Path:
    return Path("/sys/class/net") / clone.name


def _repaired(node: Node) -> bool:
    """Start what has died on a node whose namespaces are alive; whether that was enough."""
    stopped = node.stopped()
    with step(f"repairing the node ({', '.join(stopped) or 'it runs, but is not ready'})"):
        try:
            for name in stopped:
                node.spawn(name)
                if name == "kube-apiserver":
                    node.wait("API server", node.api_ready, name)
            node.wait("healthy node", node.healthy, "kubelet")
        except ClusterError as error:
            say(f"  could not be repaired: {error}")
            return False
    return True


def _start(clone: Clone) -> None:
    state = State(provider=Provider.LOCAL, context=clone.name)
    states.write(clone.state, state)
    init = namespace.start(clone, cgroups.create(clone.name))
    states.write(clone.state, state := replace(state, init=init))
    net = network.connect(clone.name, init.pid, int(clone.digest, 16))
    states.write(clone.state, state := replace(state, block=str(net.block)))
    _write_files(clone, net)
    node = Node(clone, init, net)
    with ThreadPoolExecutor(1) as beside:
        node.spawn("etcd")
        node.spawn("containerd")
        imported = beside.submit(_import_own_images, node)
        node.spawn("kube-apiserver")
        node.wait("API server", node.api_ready, "kube-apiserver")
        for name in ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"):
            node.spawn(name)
        _apply_manifests(node)
        imported.result()
    node.wait("Ready node", node.ready, "kubelet")
    node.wait("CoreDNS and storage", lambda: _deployed(node), "kubelet")
    states.write(clone.state, replace(state, complete=True))


def _write_files(clone: Clone, net: network.Addresses) -> None:
    folder = clone.node / "lib" / "node"
    pki.make(folder / "pki", pki.identities(net, clone.name))
    full = bool(host.capabilities() >> host.SYS_RESOURCE & 1)
    qps = int(os.environ.get("CLUSTER_CONTROLLER_QPS") or config.Setup.controller_qps)
    setup = config.Setup(clone.name, net, full, host.snapshotter(clone.node), qps)
    for name, text in config.files(setup).items():
        path = folder / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    programs = {program.name: program.argv for program in config.programs(setup)}
    (folder / "programs.json").write_text(json.dumps(programs, indent=2))
    for identity in ("kubelet", "controller-manager", "scheduler", "proxy"):
        text = pki.kubeconfig(folder / "pki", identity, net.api_url, clone.name)
        _write_private(folder / "etc" / f"{identity}.kubeconfig", text)
    admin = pki.kubeconfig(folder / "pki", "admin", net.api_url, clone.name)
    _write_private(clone.kubeconfig, admin)


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)


def own_images(clone: Clone) -> dict[str, Image]:
    """The images that the node itself needs, by what they are."""
    coredns = tools.required_version("coredns", "github.com/coredns/coredns")
    local_path = tools.required_version("kubernetes", "github.com/rancher/local-path-provisioner")
    return {
        "pause": Image(config.PAUSE, _which("catatonit"), arguments=["-P"]),
        "busybox": Image(
            "localhost/cluster/busybox:1",
            _which("busybox"),
            links=("sh", "mkdir", "rm", "chmod"),
            user="0:0",
        ),
        "coredns": Image(f"localhost/cluster/coredns:{coredns}", clone.bin / "coredns"),
        "local_path": Image(
            f"localhost/cluster/local-path-provisioner:{local_path}",
            clone.bin / "local-path-provisioner",
        ),
    }


def _which(command: str) -> Path:
    found = shutil.which(command)
    if not found:
        raise ClusterError(f"{command} is not installed")
    return Path(found).resolve()


def _import_own_images(node: Node) -> None:
    images = own_images(node.clone)
    with tempfile.TemporaryDirectory(dir=node.clone.cluster) as folder:
        archives = [Path(folder) / f"{name}.tar" for name in images]
        for image, archive in zip(images.values(), archives, strict=True):
            write(image, archive)
        wait_for(
            "containerd",
            lambda: succeeds(*node.ctr, "version"),
            timeout=PATIENCE,
            hint=lambda: node.tail("containerd"),
        )
        load(node, archives)


def load(node: Node, archives: Sequence[Path]) -> None:
    """Import OCI or docker archives into the node's containerd."""
    for archive in archives:
        with archive.open("rb") as content:
            run(*node.ctr, "images", "import", "-", stdin=content)


NO_RESOLVER = "template ANY ANY {\n            rcode NXDOMAIN\n        }"
"""CoreDNS's answer to names outside the cluster while there is no way out: at once, "no"."""


def _apply_manifests(node: Node) -> None:
    text = _manifests(node.net, open_egress=egress.is_open(node.clone))
    node.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=text)


def _manifests(net: network.Addresses, *, open_egress: bool) -> str:
    images = own_images(Clone(Path("/")))
    values = {f"{name.upper()}_IMAGE": image.name for name, image in images.items()}
    values["DNS_ADDRESS"] = str(net.dns)
    values["RESOLVER"] = egress.resolver(net) if open_egress else NO_RESOLVER
    values["RESOLVER_NAME"] = "egress" if open_egress else "none"
    texts = (path.read_text() for path in sorted(MANIFESTS.glob("*.yaml")))
    return "\n---\n".join(string.Template(text).substitute(values) for text in texts)


def _deployed(node: Node) -> bool:
    for namespace_name, name in DEPLOYMENTS:
        where = ("--namespace", namespace_name, "deployment", name)
        path = "--output=jsonpath={.status.readyReplicas}"
        if node.kubectl("get", *where, path).strip() != "1":
            return False
    return True


def down(clone: Clone, state: State | None) -> None:
    """End every process of the node and remove what it made.

    Raises:
        ClusterError: something is still in use.
    """
    if state and state.init:
        namespace.kill(state.init)
    # The device goes with the network namespace, a moment after the last process; when the
    # state file was lost it is still there, and so are the processes of the cgroup.
    cgroups.kill(clone.name)
    cgroups.remove(clone.name)
    wait_for(
        "end of the node's network",
        lambda: not _device(clone).exists() or succeeds("ip", "link", "delete", clone.name),
        timeout=20,
    )
    _remove_files(clone.cluster)


def _remove_files(folder: Path, timeout: float = 20.0) -> None:
    # Mounts end with the namespace, a moment after the last process.
    end = time.monotonic() + timeout
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            if time.monotonic() > end:
                raise ClusterError(f"{folder} can't be removed: {error}") from None
            time.sleep(0.2)

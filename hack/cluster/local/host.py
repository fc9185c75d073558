"""What the local node needs from this machine: checks, Debian packages, kernel modules."""

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.progress import step
from hack.cluster.run import run, succeeds

PACKAGES = {
    "catatonit": "catatonit",
    "busybox": "busybox-static",
    "containerd": "containerd",
    "ctr": "containerd",
    "etcd": "etcd-server",
    "ip": "iproute2",
    "iptables": "iptables",
    "mount": "mount",
    "nft": "nftables",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "runc": "runc",
    "setsid": "util-linux",
    "unshare": "util-linux",
}
"""Command -> the Debian package that has it."""
CNI_PLUGINS = Path("/usr/lib/cni")
CNI_PACKAGE = "containernetworking-plugins"

MODULES = ("overlay", "br_netfilter", "veth", "bridge", "nf_tables", "nf_conntrack")
"""Kernel modules, loaded where they aren't built in."""
POLICY = Path("/usr/sbin/policy-rc.d")
ADMIN_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian has `nft`, `iptables` and `modprobe`; root after a plain `su` has none on PATH."""
SYS_ADMIN, NET_ADMIN, SYS_RESOURCE = 21, 12, 24
"""Bits of capabilities, see capability.h."""


def check() -> None:
    """Refuse a machine on which no node can run.

    Raises:
        ClusterError: what is missing.
    """
    if platform.system() != "Linux":
        raise ClusterError(
            f"a local cluster needs Linux, this is {platform.system()};"
            " install Docker and kind, or use CLUSTER=current"
        )
    if os.geteuid() != 0:
        raise ClusterError("a local cluster needs root; or use CLUSTER=kind or CLUSTER=current")
    have = capabilities()
    for bit, name in ((SYS_ADMIN, "CAP_SYS_ADMIN"), (NET_ADMIN, "CAP_NET_ADMIN")):
        if not have >> bit & 1:
            raise ClusterError(f"a local cluster needs {name}; this looks like a plain container")
    if not Path("/sys/fs/cgroup").is_mount():
        raise ClusterError("no cgroup file system is mounted on /sys/fs/cgroup")


def find_programs() -> None:
    """Let this process, and all that it starts, find the programs that only root uses."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    more = [folder for folder in ADMIN_PATH if folder not in folders]
    os.environ["PATH"] = os.pathsep.join([*folders, *more])


def capabilities() -> int:
    """This process's effective capabilities, as bits."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def missing_packages() -> list[str]:
    """The Debian packages whose commands aren't there."""
    missing = {package for command, package in PACKAGES.items() if not shutil.which(command)}
    if not (CNI_PLUGINS / "bridge").exists():
        missing.add(CNI_PACKAGE)
    return sorted(missing)


def prepare() -> None:
    """Install missing packages and load missing kernel modules.

    Raises:
        ClusterError: no apt, an installation failed, or the kernel lacks something.
    """
    install(missing_packages())
    for module in MODULES:
        # Built-in parts aren't listed as modules; what is really missing shows in `_probe`.
        if shutil.which("modprobe"):
            succeeds("modprobe", "--quiet", module)
    _probe()


def install(packages: list[str]) -> None:
    """Install Debian packages.

    Raises:
        ClusterError: no apt, or it failed.
    """
    if not packages:
        return
    if not shutil.which("apt-get"):
        raise ClusterError(
            f"no apt-get here: install what Debian calls {' '.join(packages)} yourself"
        )
    with step(f"installing Debian packages: {' '.join(packages)}"):
        _install(packages)


def _install(packages: list[str]) -> None:
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "--quiet", env=quiet)
    with _no_services():
        run("apt-get", "install", "--yes", "--no-install-recommends", *packages, env=quiet)
    if not Path("/run/systemd/system").is_dir():
        return
    for package, unit in (("etcd-server", "etcd"), ("containerd", "containerd")):
        if package in packages:  # never one that was here before us
            succeeds("systemctl", "disable", unit)


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep fresh packages from starting their services: the node runs its own."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _probe() -> None:
    """Try, in a network namespace that is thrown away, what the node will do."""
    checks = {
        "network namespaces": "true",
        "veth devices (module veth)": "ip link add name probe0 type veth peer name probe1",
        "bridges (module bridge)": "ip link add name probe2 type bridge",
        "nftables (module nf_tables)": "nft add table ip probe",
        "bridge filtering (module br_netfilter)": "test -e /proc/sys/net/bridge",
    }
    for what, command in checks.items():
        if not succeeds("unshare", "--net", "sh", "-c", command):
            raise ClusterError(f"this kernel has no {what}")


def snapshotter(folder: Path) -> str:
    """The fastest of containerd's snapshotters that works on the file system of `folder`."""
    base = folder / "overlay-probe"
    names = ("lower", "upper", "work", "merged")
    for name in names:
        (base / name).mkdir(parents=True, exist_ok=True)
    lower, upper, work, merged = ("./" + name for name in names)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    mount = f'cd "$0" && mount -n -t overlay overlay -o {options} {merged}'
    works = succeeds("unshare", "--mount", "sh", "-c", mount, base)
    shutil.rmtree(base)
    return "overlayfs" if works else "native"

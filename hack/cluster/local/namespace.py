"""The local node's namespaces: network, mounts and processes of its own.

One small process (catatonit, which only reaps orphans) is the first of a new PID namespace; all of
the node's programs and pods live below it, in its network and mount namespaces. So nothing that
kubelet, containerd, CNI or kube-proxy do is seen by the rest of the machine, and when that one
process is killed the kernel ends every other one and drops the mounts, devices and rules.
"""

import os
import signal
import subprocess
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.paths import Clone
from hack.cluster.run import run, wait_for
from hack.cluster.state import Init

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# What kubelet insists on setting. It finds these values in place and so changes nothing on the
# machine: a file with the value lies over the real one in the node's mount namespace.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}

# $1: the node's folder. $2: the tools' folder. The host's /proc is still in place on the first
# line, so the id read there is the one that the machine knows.
SETUP = """
set -eu
read -r pid rest < /proc/self/stat
echo "$pid" > "$1/init.pid"
# -n, because mount would make /run/mount on the machine.
mount -n -t proc proc /proc
for file in $(cd "$1/sysctl" && find . -type f); do
  if [ -e "/proc/sys/$file" ]; then mount -n --bind "$1/sysctl/$file" "/proc/sys/$file"; fi
done
mount -n --bind "$2" "$1/lib/node/bin"
mount -n -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock
mount --bind "$1/log" /var/log
mount --rbind "$1/lib" /var/lib
mount --make-rshared /
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
cd /
touch /run/node-ready
exec catatonit -P
"""


def start(clone: Clone, joined: list[Path]) -> Init:
    """Start the first process and set up its namespaces.

    Args:
        clone: whose node this is.
        joined: `cgroup.procs` files of the groups that the node's programs belong to.

    Raises:
        ClusterError: the kernel refuses; carries what was said.
    """
    node = clone.node
    for folder in ("lib/node/bin", "lib/node/run", "lib/volumes", "log"):
        (node / folder).mkdir(parents=True, exist_ok=True)
    for name, value in KERNEL_SETTINGS.items():
        file = node / "sysctl" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
    (node / "init.pid").unlink(missing_ok=True)
    log = node / "log" / "node.log"
    join = "".join(f'echo $$ > "{path}"\n' for path in joined)
    script = (
        f"set -eu\n{join}"
        'exec unshare --net --mount --pid --fork --propagation private sh -c "$0" sh "$1" "$2"'
    )
    with log.open("w") as output:
        starter = subprocess.Popen(
            ["sh", "-c", script, SETUP, str(node), str(clone.bin)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def ready() -> bool:
        if starter.poll() is not None:
            raise ClusterError(log.read_text().strip())
        pid = read_pid(node / "init.pid")
        return pid is not None and Path(f"/proc/{pid}/root/run/node-ready").exists()

    wait_for("node namespaces", ready, timeout=20, every=0.02, hint=log.read_text)
    pid = read_pid(node / "init.pid")
    start_time = started(pid) if pid else None
    if pid is None or start_time is None:
        raise ClusterError(f"the node's first process ended: {log.read_text().strip()}")
    return Init(pid=pid, start=start_time, boot=BOOT_ID.read_text().strip())


def read_pid(path: Path) -> int | None:
    """The number in a file, or None."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def started(pid: int) -> int | None:
    """A process's start time in clock ticks since boot; None when it is gone or a zombie."""
    try:
        # The name, in brackets, may contain anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def alive(init: Init | None) -> bool:
    """Whether this very process still runs: same id, same start, same boot."""
    if init is None or init.boot != BOOT_ID.read_text().strip():
        return False
    return started(init.pid) == init.start


def kill(init: Init, timeout: float = 30.0) -> None:
    """End the first process, and thereby every process of the node.

    Raises:
        ClusterError: it doesn't go.
    """
    if not alive(init):
        return
    os.kill(init.pid, signal.SIGKILL)
    wait_for("end of the node's processes", lambda: not alive(init), timeout=timeout, every=0.05)


def inside(init: Init) -> tuple[str, ...]:
    """The words in front of a command that is to run on the node."""
    return ("nsenter", "--target", str(init.pid), "--mount", "--net", "--pid", "--")


def spawn(clone: Clone, init: Init, name: str, argv: list[str]) -> None:
    """Start a program on the node, in the background.

    Its id (in the node's PID namespace) goes to /var/lib/node/run/NAME, its output to
    /var/log/NAME.log.
    """
    # Join the node's groups (0: the writing process itself), or it would stay in the caller's.
    script = (
        "groups=/sys/fs/cgroup; group=$1/system/cgroup.procs; name=$2; shift 2\n"
        'for file in "$groups/$group" "$groups"/*/"$group"\n'
        'do if [ -e "$file" ]; then echo 0 > "$file"; fi; done\n'
        'ulimit -n "$(ulimit -Hn)"\n'
        'echo $$ > "/var/lib/node/run/$name"; exec "$@" >> "/var/log/$name.log" 2>&1 < /dev/null'
    )
    run(*inside(init), "setsid", "--fork", "sh", "-c", script, "sh", clone.name, name, *argv)


def runs(clone: Clone, init: Init, name: str) -> bool:
    """Whether a spawned program still runs."""
    pid = read_pid(clone.node / "lib" / "node" / "run" / name)
    if pid is None:
        return False
    # Its id means something only in the node's /proc, which is reached through the first process.
    try:
        command = Path(f"/proc/{init.pid}/root/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return Path(os.fsdecode(command.split(b"\0")[0])).name == name

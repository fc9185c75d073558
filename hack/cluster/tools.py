"""kubectl, helm and a cluster's programs, built from the pinned modules in `go/`.

Each folder of `go/` is a Go module with its sums: the sources come through the Go module system,
checked against go.sum, and nothing prebuilt is fetched.
"""

import fcntl
import functools
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import ClusterError
from .paths import Clone
from .progress import say, step
from .run import run, succeeds

MODULES = Path(__file__).parent / "go"


@dataclass(frozen=True)
class Tool:
    """One program.

    Attributes:
        name: the file's name in `.local/bin`.
        module: the folder in `go/`.
        package: the Go package to build.
        seconds: about how long a first build takes on 2 cores.
    """

    name: str
    module: str
    package: str
    seconds: int


def _kubernetes(name: str, seconds: int) -> Tool:
    return Tool(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", seconds)


TOOLS = {
    tool.name: tool
    for tool in (
        _kubernetes("kube-apiserver", 180),
        _kubernetes("kube-controller-manager", 20),
        _kubernetes("kube-scheduler", 15),
        _kubernetes("kubelet", 25),
        _kubernetes("kube-proxy", 10),
        _kubernetes("kubectl", 60),
        Tool(
            "local-path-provisioner",
            "kubernetes",
            "github.com/rancher/local-path-provisioner",
            10,
        ),
        Tool("coredns", "coredns", "github.com/coredns/coredns", 70),
        Tool("helm", "helm", "helm.sh/helm/v3/cmd/helm", 60),
        Tool("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok", 60),
    )
}
NODE_TOOLS = tuple(name for name in TOOLS if name not in {"helm", "kwok"})

OLDEST_ON_PATH = {"helm": (3, 14), "kubectl": (1, 33)}
"""A helm or kubectl that is already installed is used from this version on ..."""
NEWEST_ON_PATH = {"helm": (3, 99), "kubectl": (1, 35)}
"""... and up to this one (kubectl: one minor version from the cluster's)."""


def required_version(module: str, path: str) -> str:
    """The version of a dependency in a module's go.mod, e.g. `v1.34.4`.

    Raises:
        ClusterError: the module doesn't require it.
    """
    text = (MODULES / module / "go.mod").read_text()
    match = re.search(rf"^\s*(?:require )?{re.escape(path)} (v\S+)", text, re.MULTILINE)
    if not match:
        raise ClusterError(f"hack/cluster/go/{module}/go.mod does not require {path}")
    return match.group(1)


def kubernetes_version() -> str:
    """The pinned version of Kubernetes, e.g. `v1.34.4`."""
    return required_version("kubernetes", "k8s.io/kubernetes")


def ldflags(module: str) -> str:
    """The linker's flags for a module's programs: no debug information, the version inside."""
    major, minor, _ = kubernetes_version().removeprefix("v").split(".", 2)
    variables: dict[str, str] = {}
    if module == "kubernetes":
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
            variables |= {
                f"{package}.gitVersion": kubernetes_version(),
                f"{package}.gitMajor": major,
                f"{package}.gitMinor": minor,
                f"{package}.gitTreeState": "clean",
            }
    elif module == "helm":
        helm = "helm.sh/helm/v3"
        # Without these `helm template` believes in Kubernetes 1.20.
        variables = {f"{helm}/internal/version.version": required_version("helm", helm)}
        for package in ("pkg/chartutil", "pkg/lint/rules"):
            variables |= {
                f"{helm}/{package}.k8sVersionMajor": major,
                f"{helm}/{package}.k8sVersionMinor": minor,
            }
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in variables.items())])


def stamp(module: Path, flags: str, go: str) -> str:
    """What a program's build depends on, as a hash.

    Args:
        module: a folder with go.mod and go.sum.
        flags: the build's flags.
        go: Go's version and platform, e.g. `go1.26.0 linux/amd64`.
    """
    digest = hashlib.sha256()
    for part in ((module / "go.mod").read_bytes(), (module / "go.sum").read_bytes()):
        digest.update(part + b"\0")
    digest.update(f"{flags}\0{go}".encode())
    return digest.hexdigest()


def up_to_date(binary: Path, want: str) -> bool:
    """Whether `binary` exists and was built with this stamp."""
    marker = binary.with_name(f".{binary.name}.stamp")
    return binary.exists() and marker.exists() and marker.read_text() == want


def version_tuple(text: str) -> tuple[int, ...]:
    """The numbers of the first version in a text: `go version go1.26.8 linux` -> (1, 26, 8).

    Returns:
        An empty tuple when there is none.
    """
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in match.groups() if part) if match else ()


@functools.cache
def go_version() -> str:
    """Go's version and platform, e.g. `go1.26.0 linux/amd64`.

    Raises:
        ClusterError: there is no Go, or it is older than what the modules need.
    """
    if not shutil.which("go"):
        raise ClusterError("Go is not installed (or not on PATH); it builds Kubernetes and helm")
    got = run("go", "env", "GOVERSION", "GOOS", "GOARCH").split()
    texts = (path.read_text() for path in MODULES.glob("*/go.mod"))
    lines = (re.search(r"^go (\S+)", text, re.MULTILINE) for text in texts)
    need = max((line.group(1) for line in lines if line), key=version_tuple)
    if version_tuple(got[0]) < version_tuple(need):
        raise ClusterError(f"Go {need} or later is needed, this is {got[0]}")
    return f"{got[0]} {got[1]}/{got[2]}"


@contextmanager
def locked(clone: Clone) -> Iterator[None]:
    """Let one process of this clone at a time build tools or change the cluster."""
    clone.bin.mkdir(parents=True, exist_ok=True)
    with (clone.bin / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process of this clone works on the cluster, waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure(clone: Clone, names: Iterable[str]) -> None:
    """Make sure that these tools are in `.local/bin`.

    A suitable kubectl or helm on PATH is linked; everything else is built, unless it is there.

    Raises:
        ClusterError: a name is unknown, Go is missing, or a build fails.
    """
    wanted = list(names)
    if unknown := [name for name in wanted if name not in TOOLS]:
        raise ClusterError(f"unknown tool {unknown[0]}; there is {', '.join(TOOLS)}")
    clone.bin.mkdir(parents=True, exist_ok=True)
    missing = [name for name in wanted if not _linked(clone, name)]
    if not missing:
        return
    groups: dict[tuple[str, str], list[Tool]] = {}
    for tool in (TOOLS[name] for name in missing):
        # local-path-provisioner spells a dependency (Sirupsen) in a way that Go refuses to build
        # together with Kubernetes' spelling, so another owner's programs get a call of their own.
        groups.setdefault((tool.module, tool.package.split("/")[0]), []).append(tool)
    for tools in groups.values():
        _build(clone, tools)


def _linked(clone: Clone, name: str) -> bool:
    """Link a tool from PATH where that is good enough; whether it is."""
    target = clone.bin / name
    if name not in OLDEST_ON_PATH or (target.exists() and not target.is_symlink()):
        return False
    # Not our own link, when `.local/bin` itself is on PATH.
    elsewhere = (part for part in os.get_exec_path() if Path(part).resolve() != clone.bin.resolve())
    found = shutil.which(name, path=os.pathsep.join(elsewhere))
    if not found or not _in_range(name, found):
        target.unlink(missing_ok=True)
        return False
    if target.resolve() != Path(found).resolve():
        target.unlink(missing_ok=True)
        target.symlink_to(Path(found).resolve())
    return True


def _in_range(name: str, binary: str) -> bool:
    flags = ("--client", "--output=yaml") if name == "kubectl" else ("--short",)
    if not succeeds(binary, "version", *flags):
        return False
    text = run(binary, "version", *flags)
    git = re.search(r"gitVersion: (\S+)", text)
    version = version_tuple(git.group(1) if git else text)[:2]
    return OLDEST_ON_PATH[name] <= version <= NEWEST_ON_PATH[name]


def _build(clone: Clone, tools: list[Tool]) -> None:
    if not tools:
        return
    module = MODULES / tools[0].module
    flags = ldflags(tools[0].module)
    want = stamp(module, flags, go_version())
    stale = [tool for tool in tools if not up_to_date(clone.bin / tool.name, want)]
    if not stale:
        return
    names = ", ".join(tool.name for tool in stale)
    minutes = max(1, round(sum(tool.seconds for tool in stale) / 60))
    with (
        tempfile.TemporaryDirectory(dir=clone.bin, prefix=".build-") as folder,
        step(f"building {names} (about {minutes} min the first time, on 2 cores)"),
    ):
        # One call for all, so that compiling and linking share the cores.
        run(
            *("go", "build", "-trimpath", "-ldflags", flags, "-o", f"{folder}/"),
            *(tool.package for tool in stale),
            cwd=module,
            env={"CGO_ENABLED": "0"},
        )
        for tool in stale:
            # Moved into place, because a running program's file can't be overwritten.
            (Path(folder) / tool.name).replace(clone.bin / tool.name)
            (clone.bin / f".{tool.name}.stamp").write_text(want)

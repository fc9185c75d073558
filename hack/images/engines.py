"""Docker, Podman and Buildah behind one interface; Buildah comes from Debian if none works."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hack.images import paths
from hack.images.progress import step

# What a build may need to reach a package index; passed as a secret, because it may hold passwords.
BUILD_ENV = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX",
)  # fmt: skip
CA_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
CA_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
DEBIAN_PACKAGES = ("buildah", "mmdebstrap", "debian-archive-keyring")
# BuildKit for secrets; its default builder, because others keep what they build to themselves.
DOCKER_ENV = {"DOCKER_BUILDKIT": "1", "BUILDX_BUILDER": "default"}
PROBE_SECONDS = 20
LOG_TAIL = 40
# Smaller than gzip in two thirds of its time; containerd knows it since 1.5.
QUICK = ("--compression-format=zstd", "--compression-level=1")


class ImageError(RuntimeError):
    """Images can't be built or loaded; the message says why and what to do."""


def run(command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None) -> None:
    """Runs a command with its output in a log file.

    Raises:
        ImageError: it failed; with the end of its output.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        done = subprocess.run(
            command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})}, cwd=paths.ROOT, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL:])
        raise ImageError(f"`{' '.join(command)}` failed (whole output in {log}):\n{tail}")


def works(*command: str) -> bool:
    """Whether a command exists and succeeds, quietly and soon."""
    if shutil.which(command[0]) is None:
        return False
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def ca_bundle(environ: Mapping[str, str]) -> Path | None:
    """This machine's bundle of CA certificates, which may hold a proxy's own; None if none."""
    candidates = [environ[name] for name in CA_VARIABLES if environ.get(name)]
    for candidate in (*candidates, *CA_FILES):
        if Path(candidate).is_file():
            return Path(candidate)
    return None


def exports(environ: Mapping[str, str]) -> str:
    """A shell file that exports the index and proxy settings that are set here; maybe empty."""
    lines = []
    for name in BUILD_ENV:
        if environ.get(name):
            quoted = environ[name].replace("'", "'\\''")
            lines.append(f"export {name}='{quoted}'\n")
    return "".join(lines)


@contextmanager
def build_secrets(environ: Mapping[str, str]) -> Iterator[list[str]]:
    """The ``--secret`` arguments of a build; see the head of operator/Dockerfile."""
    arguments: list[str] = []
    bundle = ca_bundle(environ)
    if bundle:
        arguments += ["--secret", f"id=build_ca,src={bundle}"]
    text = exports(environ)
    paths.TMP.mkdir(parents=True, exist_ok=True)
    # NamedTemporaryFile makes it readable by us alone.
    with tempfile.NamedTemporaryFile("w", dir=paths.TMP, prefix="build-env-") as file:
        if text:
            file.write(text)
            file.flush()
            arguments += ["--secret", f"id=build_env,src={file.name}"]
        yield arguments


@dataclass(frozen=True)
class Engine:
    """Docker or Podman; `Buildah` overrides what differs.

    Attributes:
        name: the program.
        env: added to its environment.
    """

    name: str
    env: Mapping[str, str] = field(default_factory=dict)
    build_words: tuple[str, ...] = ("build",)

    def command(self, *arguments: str) -> list[str]:
        """The program's command line, with the options that every call takes."""
        return [self.name, *arguments]

    def call(self, log: str, *arguments: str) -> None:
        """Runs the program with its output in ``.local/images/logs/<log>.log``."""
        run(self.command(*arguments), paths.LOGS / f"{log}.log", env=self.env)

    def has(self, reference: str) -> bool:
        """Whether the image is in the engine's own storage."""
        done = subprocess.run(
            self.command("inspect", "--type", "image", reference),
            capture_output=True, env={**os.environ, **self.env}, check=False,
        )  # fmt: skip
        return done.returncode == 0

    def build(
        self,
        log: str,
        dockerfile: Path,
        context: Path,
        tags: Sequence[str],
        arguments: Sequence[str],
    ) -> None:
        """Builds a Dockerfile and gives the image its tags."""
        named = [word for tag in tags for word in ("--tag", tag)]
        self.call(
            log, *self.build_words, *arguments, *named, "--file", str(dockerfile), str(context)
        )

    def pull(self, reference: str) -> bool:
        """Whether the image could be pulled from a registry."""
        return works(*self.command("pull", "--quiet", reference))

    def push(self, log: str, reference: str, target: str) -> None:
        """Pushes an image to a registry under another name."""
        self.call(log, "tag", reference, target)
        self.call(log, "push", target)

    def export(self, references: Sequence[str], archive: Path) -> None:
        """Writes images into one archive, with what they share only once."""
        many = ("--multi-image-archive",) if self.name == "podman" else ()
        self.call("export", "save", *many, "--output", str(archive), *references)


@dataclass(frozen=True)
class Buildah(Engine):
    """Buildah, as root without any daemon or user namespace; its storage is this clone's own."""

    name: str = "buildah"
    # --layers keeps what each step made, so that a change of source rebuilds little.
    # --force-rm: a build that failed would leave its container, and that one's mount.
    build_words: tuple[str, ...] = ("build-using-dockerfile", "--layers", "--force-rm")
    driver: str = "overlay"

    def command(self, *arguments: str) -> list[str]:
        """See `Engine.command`."""
        storage = ("--root", str(paths.STORAGE), "--runroot", str(paths.RUN))
        return [self.name, *storage, "--storage-driver", self.driver, *arguments]

    def push(self, log: str, reference: str, target: str) -> None:
        """See `Engine.push`."""
        self.call(log, "push", reference, f"docker://{target}")

    def export(self, references: Sequence[str], archive: Path) -> None:
        """See `Engine.export`. One OCI layout holds all the images, then becomes the archive."""
        paths.TMP.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=paths.TMP, prefix="layout-") as layout:
            for reference in references:
                target = f"oci:{layout}:{reference}"
                self.call("export", "push", "--quiet", *QUICK, reference, target)
            with tarfile.open(archive, "w") as tar:
                for path in sorted(Path(layout).rglob("*")):
                    tar.add(path, arcname=str(path.relative_to(layout)), recursive=False)


def _buildah() -> Buildah:
    driver = "overlay" if _overlay_works() else "vfs"
    return Buildah(env={"BUILDAH_ISOLATION": "chroot", "TMPDIR": str(paths.TMP)}, driver=driver)


def _overlay_works() -> bool:
    for folder in (paths.STORAGE, paths.RUN, paths.TMP):
        folder.mkdir(parents=True, exist_ok=True)
    # A storage folder remembers its driver, so what it was made with stays.
    if any(paths.STORAGE.glob("overlay*")):
        return True
    if any(paths.STORAGE.glob("vfs*")):
        return False
    probe = Buildah(env={"BUILDAH_ISOLATION": "chroot"})
    if works(*probe.command("images", "--quiet")):
        return True
    # What the failed attempt left would be taken for a storage that works.
    shutil.rmtree(paths.STORAGE)
    paths.STORAGE.mkdir()
    return False


def _apt(packages: Sequence[str]) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ImageError(
            "no engine for images: docker, podman and buildah are missing or don't work here, and "
            "only root on Debian or Ubuntu can have buildah installed; install one of them"
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=600", "--quiet"]
    with step(f"installing {' '.join(packages)} from Debian"):
        run([*apt, "update"], paths.LOGS / "apt.log", env=quiet)
        install = [*apt, "install", "--yes", "--no-install-recommends", *packages]
        run(install, paths.LOGS / "apt.log", env=quiet)


def need(program: str) -> None:
    """Makes sure that one of `DEBIAN_PACKAGES` is there.

    Raises:
        ImageError: it is missing and can't be installed.
    """
    if shutil.which(program) is None:
        _apt(DEBIAN_PACKAGES)


def choose(environ: Mapping[str, str]) -> Engine:
    """The engine to use: IMAGE_ENGINE if set, else the first that works, else Buildah from Debian.

    Raises:
        ImageError: there is none, and none can be installed.
    """
    wanted = environ.get("IMAGE_ENGINE", "")
    if wanted not in ("", "docker", "podman", "buildah"):
        raise ImageError(f"IMAGE_ENGINE is {wanted!r}: say docker, podman or buildah")
    for name in ("docker", "podman"):
        if wanted == name or (not wanted and works(name, "info")):
            return Engine(name, env=DOCKER_ENV if name == "docker" else {})
    need("buildah")
    return _buildah()

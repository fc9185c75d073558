"""The base that all images are built on.

``BASE_IMAGE`` if set; Python's official image where a registry can be reached; otherwise, and
always for the local cluster, a small Debian with its Python, made with mmdebstrap from Debian's
packages alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from hack.images import paths
from hack.images.engines import Buildah, Engine, need, run
from hack.images.progress import step

OFFICIAL = "python:3.13-slim"
SUITE = "trixie"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
# Nobody reads manuals or translations in a container; licences stay.
EXCLUDED = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/doc/*")
KEPT = ("/usr/share/doc/*/copyright",)
DOCKERFILE = 'FROM scratch\nADD rootfs.tar /\nCMD ["python3"]\n'


def mmdebstrap(target: Path) -> list[str]:
    """The command that makes the base's file system as an archive."""
    rules = [f"--dpkgopt=path-exclude={path}" for path in EXCLUDED]
    rules += [f"--dpkgopt=path-include={path}" for path in KEPT]
    include = f"--include={','.join(PACKAGES)}"
    return ["mmdebstrap", "--quiet", "--variant=minbase", include, *rules, SUITE, str(target)]


def debian_name() -> str:
    """The name of our Debian base: it changes when its recipe does."""
    recipe = "\n".join([*mmdebstrap(Path("rootfs.tar")), DOCKERFILE])
    return f"localhost/durable-agents/base:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def name(engine: Engine, environ: Mapping[str, str], provider: str) -> str:
    """Which base to use, without making it.

    Args:
        engine: builds the images.
        environ: its BASE_IMAGE wins.
        provider: the kind of cluster in use: ``current``, ``kind`` or ``local``.
    """
    if environ.get("BASE_IMAGE"):
        return environ["BASE_IMAGE"]
    if isinstance(engine, Buildah) or provider == "local":
        return debian_name()
    if engine.has(OFFICIAL) or engine.pull(OFFICIAL):
        return OFFICIAL
    return debian_name()


def ensure(engine: Engine, base: str) -> None:
    """Makes the Debian base if that is the one to use and isn't there yet.

    Raises:
        ImageError: it can't be made.
    """
    if base != debian_name() or engine.has(base):
        return
    paths.BASE.mkdir(parents=True, exist_ok=True)
    archive = paths.BASE / "rootfs.tar"
    stamp = paths.BASE / "stamp"
    if not archive.exists() or not stamp.exists() or stamp.read_text() != base:
        need("mmdebstrap")
        archive.unlink(missing_ok=True)
        with step(f"making a base image of Debian {SUITE} with Python"):
            run(mmdebstrap(archive), paths.LOGS / "mmdebstrap.log")
        stamp.write_text(base)
    dockerfile = paths.BASE / "Dockerfile"
    dockerfile.write_text(DOCKERFILE)
    (paths.BASE / ".dockerignore").write_text("*\n!rootfs.tar\n")
    with step("importing the base image"):
        engine.build("base", dockerfile, paths.BASE, [base], [])

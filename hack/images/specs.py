"""What the images are, and the tags that their contents give them."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# A name without a registry that container runtimes keep as it is, so that nobody tries to pull it.
LOCAL_PREFIX = "localhost/durable-agents"
TAG_LENGTH = 12


@dataclass(frozen=True)
class Spec:
    """One image: what it is made of.

    Attributes:
        name: the key of ``ensure()``'s answer.
        repository: the last part of the image's name.
        alias: a tag for people; it moves with every build.
        dockerfile: path in the repository; empty for a variant.
        inputs: files and folders in the repository whose contents it depends on.
        variant_of: name of the image that it extends by ``env``, sharing all layers.
        env: environment variables that a variant adds.
    """

    name: str
    repository: str
    alias: str
    dockerfile: str
    inputs: tuple[str, ...]
    variant_of: str = ""
    env: tuple[tuple[str, str], ...] = ()


SPECS: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        Spec(
            name="operator",
            repository="operator",
            alias="dev",
            dockerfile="operator/Dockerfile",
            inputs=(
                ".dockerignore",
                "requirements.lock",
                "operator/pyproject.toml",
                "operator/src",
            ),
        ),
        Spec(
            name="agent-service",
            repository="agent-service",
            alias="dev",
            dockerfile="agent_service/Dockerfile",
            inputs=(
                ".dockerignore",
                "requirements.lock",
                "agent_service/pyproject.toml",
                "agent_service/src",
            ),
        ),
        # The same as building agent_service/Dockerfile with the argument WEATHER_UNITS. Buildah
        # 1.28 takes the cached celsius layer for that, whatever the argument says; a variant
        # can't go wrong and is quicker with every engine.
        Spec(
            name="agent-service-v2",
            repository="agent-service",
            alias="dev-fahrenheit",
            dockerfile="",
            inputs=(),
            variant_of="agent-service",
            env=(("WEATHER_UNITS", "fahrenheit"),),
        ),
        Spec(
            name="restate",
            repository="restate",
            alias="dev",
            dockerfile="hack/restate/Dockerfile",
            inputs=("hack/restate/package.json", "hack/restate/package-lock.json"),
        ),
    )
}


def with_parents(names: Iterable[str]) -> list[Spec]:
    """The images named and those they extend, each after what it extends.

    Raises:
        KeyError: for a name that isn't an image's.
    """
    wanted: dict[str, Spec] = {}
    for name in names:
        spec = SPECS[name]
        if spec.variant_of:
            wanted[spec.variant_of] = SPECS[spec.variant_of]
        wanted[name] = spec
    return list(wanted.values())


def files_of(root: Path, inputs: Iterable[str]) -> list[Path]:
    """Every file that ``inputs`` stand for, sorted, without bytecode.

    Raises:
        FileNotFoundError: an input isn't there.
    """
    found: set[Path] = set()
    for name in inputs:
        path = root / name
        if path.is_dir():
            found.update(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        elif path.is_file():
            found.add(path)
        else:
            raise FileNotFoundError(f"an input of an image is missing: {name}")
    return sorted(found)


def tag(spec: Spec, root: Path, base: str) -> str:
    """The tag of an image: a hash of everything that it is made of.

    Args:
        spec: the image.
        root: the repository's root.
        base: says which base image it is built on; another base gives another tag.

    Returns:
        12 hexadecimal digits.
    """
    digest = hashlib.sha256(f"{base}\n{platform.machine()}\n{spec.env}\n".encode())
    origin = SPECS[spec.variant_of] if spec.variant_of else spec
    for path in files_of(root, (origin.dockerfile, *origin.inputs)):
        # Lengths keep two files from hashing like one.
        name, data = path.relative_to(root).as_posix().encode(), path.read_bytes()
        digest.update(f"{len(name)} {len(data)} {path.stat().st_mode & 0o111}\n".encode())
        digest.update(name + data)
    return digest.hexdigest()[:TAG_LENGTH]


def reference(spec: Spec, tag_: str, prefix: str = LOCAL_PREFIX) -> str:
    """The full name of an image, e.g. ``localhost/durable-agents/operator:0123456789ab``."""
    return f"{prefix.rstrip('/')}/{spec.repository}:{tag_}"


def official_restate(root: Path) -> str:
    """The name of Restate's own image, of the version that its npm package is pinned to."""
    package = json.loads((root / "hack/restate/package.json").read_text())
    return f"restatedev/restate:{package['dependencies']['@restatedev/restate-server']}"

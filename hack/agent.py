"""An author's agent, in the cluster in use: ``python -m hack.agent FOLDER``.

Builds the folder's Dockerfile under the name that its agentdeployment.yaml gives as spec.image, and
loads the image into the cluster (with ``CLUSTER=current`` it is pushed). Where a Dockerfile begins
with the agent service's image by its released name, that is the one of this clone.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from hack import cluster, images
from hack.cluster import ClusterError
from hack.images import ImageError, paths
from hack.images.engines import BUILD_ENV, Buildah, Engine, ca_bundle, choose
from hack.images.progress import step
from hack.restate import RestateError

BASE = "durable-agents/agent-service"
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PIP_OPTIONS = {"PIP_INDEX_URL": "index-url", "PIP_EXTRA_INDEX_URL": "extra-index-url"}


def image_of(folder: Path) -> str:
    """Returns the image that the folder's AgentDeployment runs.

    Raises:
        ImageError: there is no such file, or none in it.
    """
    path = folder / "agentdeployment.yaml"
    try:
        found: Any = yaml.safe_load(path.read_text())
        image = found["spec"]["image"]
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ImageError(f"{path} has no spec.image") from error
    if not isinstance(image, str) or ":" not in image.rpartition("/")[2]:
        raise ImageError(f"{path}: spec.image is {image!r}, and needs a tag, such as {image}:0.1.0")
    return image


def _base_name(engine: Engine) -> str:
    """What the released name of the base image stands for in the engine's own storage."""
    name = f"{BASE}:{importlib.metadata.version('agent-service')}"
    # Buildah and Podman keep names without a registry below localhost, and find them there.
    return name if engine.name == "docker" else f"localhost/{name}"


@contextmanager
def _network(engine: Engine) -> Iterator[list[str]]:
    """The arguments with which pip, in a build, reaches the index that this machine uses."""
    if not isinstance(engine, Buildah):
        named = [name for name in BUILD_ENV if os.environ.get(name)]
        yield [f"--build-arg={name}" for name in named if name.lower().endswith("_proxy")]
        return
    paths.TMP.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.TMP, prefix="pip-") as parent:
        lines = ["[global]"]
        lines += [f"{o} = {os.environ[n]}" for n, o in PIP_OPTIONS.items() if os.environ.get(n)]
        arguments = []
        bundle = ca_bundle(os.environ)
        if bundle is not None:
            lines.append(f"cert = {CA_BUNDLE}")
            arguments.append(f"--volume={bundle.resolve()}:{CA_BUNDLE}:ro")
        conf = Path(parent, "pip.conf")
        conf.write_text("\n".join(lines) + "\n")
        conf.chmod(0o644)
        yield [*arguments, f"--volume={conf}:/etc/pip.conf:ro"]


def build(folder: Path, image: str) -> Engine:
    """Builds the folder's Dockerfile.

    Raises:
        ImageError: it can't be built; with the end of the output.
    """
    if not (folder / "Dockerfile").is_file():
        raise ImageError(f"there is no Dockerfile in {folder}")
    engine = choose(os.environ)
    base = images.build(["agent-service"])["agent-service"]
    engine.call("tag-base", "tag", base, _base_name(engine))
    with step(f"building {image} with {engine.name}"), _network(engine) as arguments:
        engine.build("agent", folder / "Dockerfile", folder, [image], arguments)
    return engine


def load(engine: Engine, image: str) -> None:
    """Brings a built image into the cluster in use.

    Raises:
        ImageError: it can't be exported or pushed.
        ClusterError: there is no cluster, or it takes none.
    """
    if cluster.provider() == "current":
        with step(f"pushing {image}"):
            engine.push("push-agent", image, image)
        return
    with tempfile.TemporaryDirectory(dir=paths.TMP, prefix="archive-") as parent:
        archive = Path(parent, "agent.tar")
        with step(f"loading {image} into the cluster"):
            engine.export([image], archive)
            cluster.load([archive])


def main() -> int:
    """Builds an agent's image and brings it into the cluster in use."""
    parser = argparse.ArgumentParser(prog="python -m hack.agent", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="made by `python -m agent_service new`")
    folder = parser.parse_args().folder.resolve()
    try:
        image = image_of(folder)
        load(build(folder, image), image)
    except (ImageError, ClusterError, RestateError) as error:
        print(f"hack.agent: {error}", file=sys.stderr)
        return 1
    print(f"next: kubectl apply -n durable-agents -f {folder / 'agentdeployment.yaml'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

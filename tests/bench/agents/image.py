"""The agents' image, where it has been built: its size, and containers of it."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack import images
from hack.demo.release import AGENTS
from hack.images import paths
from hack.images.engines import Buildah, Engine


@dataclass(frozen=True)
class Image:
    """One image in the storage of docker, podman or buildah."""

    engine: Engine
    reference: str
    base: str

    def output(self, *words: str) -> str:
        """What a program prints in a container."""
        return self._inside(self.reference, *words)

    def unpacked(self) -> float:
        """The MB of its files."""
        return self._megabytes(self.reference)

    def base_unpacked(self) -> float:
        """The MB of the files of the image that it is built on."""
        return self._megabytes(self.base)

    def packed(self) -> float:
        """The MB of an archive of it, as the engine compresses it."""
        paths.TMP.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=paths.TMP, prefix="size-") as folder:
            archive = Path(folder, "image.tar")
            self.engine.export([self.reference], archive)
            return archive.stat().st_size / 1e6

    @classmethod
    def built(cls) -> "Image | None":
        """The image of this clone's sources, if it has been built."""
        found = images.present("agent-service")
        return None if found is None else cls(*found)

    @contextmanager
    def container(self, env: Mapping[str, str], name: str) -> Iterator[list[str]]:
        """The command that starts a container of it, on this machine's network."""
        named = [f"--env={key}={value}" for key, value in env.items()]
        if not isinstance(self.engine, Buildah):
            options = ("--rm", f"--name={name}", "--network=host", *named)
            try:
                yield self.engine.command("run", *options, self.reference)
            finally:
                self._call("rm", "--force", name)
            return
        container = self._call("from", "--pull-never", self.reference).strip()
        try:
            words = ("python", "-m", "agent_service", *AGENTS)
            yield self.engine.command("run", *named, container, "--", *words)
        finally:
            self._call("rm", container)

    def _megabytes(self, reference: str) -> float:
        counted = self._inside(reference, "sh", "-c", "du -xsm / 2>/dev/null || true")
        return float(counted.split()[0])

    def _inside(self, reference: str, *words: str) -> str:
        if not isinstance(self.engine, Buildah):
            return self._call("run", "--rm", "--entrypoint", words[0], reference, *words[1:])
        container = self._call("from", "--pull-never", reference).strip()
        try:
            return self._call("run", container, "--", *words)
        finally:
            self._call("rm", container)

    def _call(self, *words: str) -> str:
        env = {**os.environ, **self.engine.env}
        command = self.engine.command(*words)
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

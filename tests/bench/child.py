"""kubectl as a child process that is spoken with for as long as it runs."""

import subprocess
from types import TracebackType
from typing import IO, Self

from hack import cluster
from hack.demo import shell


class Child:
    """One kubectl; its lines are read from ``out``, and what it is told is written to ``into``."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments

    def __enter__(self) -> Self:
        self.start(*self._arguments)
        return self

    def start(self, *arguments: str) -> None:
        """Run kubectl; also once more, in place of one that has ended."""
        command = [str(shell.BIN / "kubectl"), f"--kubeconfig={cluster.kubeconfig()}", *arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()

    @property
    def out(self) -> IO[str]:
        return _piped(self._process.stdout)

    @property
    def into(self) -> IO[str]:
        return _piped(self._process.stdin)


def _piped(stream: IO[str] | None) -> IO[str]:
    if stream is None:  # pragma: no cover - asked for with PIPE
        raise AssertionError("a piped process has its streams")
    return stream

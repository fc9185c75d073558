"""Tells when an address answers, as seen from a pod: kube-proxy has a time of its own."""

import subprocess
import time
from types import TracebackType
from typing import Self

from hack import cluster
from hack.demo import shell

# It runs in a pod that has Python: reads addresses, and says of each when it could connect.
_PROGRAM = """
import socket, sys, time
for line in sys.stdin:
    host, port = line.split()
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=0.1).close()
            break
        except OSError:
            time.sleep(0.01)
    print(host, flush=True)
"""


class Prober:
    """A pod's eyes, through ``kubectl exec``; ``target`` is such as ``deploy/web``."""

    def __init__(self, namespace: str, target: str) -> None:
        kubectl = [str(shell.BIN / "kubectl"), f"--kubeconfig={cluster.kubeconfig()}"]
        program = ["--", "python", "-u", "-c", _PROGRAM]
        self._command = [*kubectl, "-n", namespace, "exec", "-i", target, *program]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def answers(self, host: str, port: int) -> float:
        """Wait until an address answers; the monotonic time of it."""
        if self._process.stdin is None or self._process.stdout is None:  # pragma: no cover
            raise AssertionError("asked for with PIPE")
        self._process.stdin.write(f"{host} {port}\n")
        self._process.stdin.flush()
        if self._process.stdout.readline().strip() != host:
            raise RuntimeError(f"nothing could be asked of {host}:{port} from a pod")
        return time.monotonic()

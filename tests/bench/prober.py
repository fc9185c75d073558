"""Tells when an address answers, as seen from a pod: kube-proxy has a time of its own."""

import time

from tests.bench.child import Child

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


class Prober(Child):
    """A pod's eyes, through ``kubectl exec``; ``target`` is such as ``deploy/web``."""

    def __init__(self, namespace: str, target: str) -> None:
        program = ["--", "python", "-u", "-c", _PROGRAM]
        super().__init__("-n", namespace, "exec", "-i", target, *program)

    def answers(self, host: str, port: int) -> float:
        """Wait until an address answers; the monotonic time of it."""
        self.into.write(f"{host} {port}\n")
        self.into.flush()
        if self.out.readline().strip() != host:
            raise RuntimeError(f"nothing could be asked of {host}:{port} from a pod")
        return time.monotonic()

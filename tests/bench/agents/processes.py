"""Processes that serve the agent."""

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus

from hack.restate import ROOT, free_ports
from tests.bench.agents import ours, sdk

PATIENCE = 120.0
POLL_SECONDS = 0.005
BYTECODE = ROOT / ".local" / "bench" / "bytecode"
_LEFT_OUT = ("GOOGLE_", "AGENT_", "OTEL_", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Contestant:
    """A way to serve the agent durably.

    Attributes:
        name: its service's in Restate.
        arguments: of Python, but for the port.
        takes_port: whether the port is the last argument; it is in PORT in any case.
        env: its settings, as names and values.
    """

    name: str
    arguments: tuple[str, ...]
    takes_port: bool = False
    env: tuple[tuple[str, str], ...] = ()

    def command(self, port: int) -> list[str]:
        """The command that serves it."""
        more = [str(port)] if self.takes_port else []
        return [sys.executable, *self.arguments, *more]

    def body(self, text: str) -> object:
        """A turn's request with this message."""
        return text if self is SDK else {"message": text}


OURS = Contestant(ours.NAME, ("-m", "agent_service", "tests.bench.agents.ours:agent"))
# As OURS, but a turn is shown so few of its session's turns that the 10th has them all.
SHOWN_TURNS = 8
BOUNDED = Contestant(
    ours.BOUNDED,
    ("-m", "agent_service", "tests.bench.agents.ours:bounded"),
    env=(("AGENT_RECENT_TURNS", str(SHOWN_TURNS)),),
)
SDK = Contestant(sdk.NAME, ("-m", "tests.bench.agents.sdk"), takes_port=True)


@dataclass(frozen=True)
class Serving:
    """A process that serves a contestant's agent, and answers."""

    contestant: Contestant
    process: subprocess.Popen[bytes]
    port: int
    ready_seconds: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def environment(port: int) -> dict[str, str]:
    """What such a process gets: bytecode as in an image, and no settings of agents from here."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_LEFT_OUT)}
    return kept | {
        "PORT": str(port),
        "AGENT_METRICS_PORT": "0",
        "LOG_LEVEL": "WARNING",
        "PYTHONPYCACHEPREFIX": str(BYTECODE),
    }


def keep_bytecode() -> None:
    """Makes this process as quick as those: ADK loads modules in each turn."""
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(BYTECODE)


@contextmanager
def serving(contestant: Contestant) -> Iterator[Serving]:
    """Starts a process and waits until it is ready; it is killed at the end."""
    port = free_ports(1)[0]
    env = environment(port) | dict(contestant.env)
    with running(contestant.command(port), env, port) as (process, seconds):
        yield Serving(contestant, process, port, seconds)


@contextmanager
def running(
    command: Sequence[str], env: dict[str, str], port: int
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Starts a server; the value is its process, and the seconds until it was ready.

    Raises:
        RuntimeError: it ended, or isn't ready in time; with the end of what it printed.
    """
    with tempfile.TemporaryFile() as log:
        started = time.monotonic()
        process = subprocess.Popen(
            command, env=env, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while not _is_ready(port):
                over = time.monotonic() - started > PATIENCE
                if over or process.poll() is not None:
                    log.seek(0)
                    raise RuntimeError(f"{command} is not ready:\n{log.read()[-3000:].decode()}")
                time.sleep(POLL_SECONDS)
            yield process, time.monotonic() - started
        finally:
            # Its whole group: an engine's command has the container as its child.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _is_ready(port: int) -> bool:
    # Not with httpx: making a client takes milliseconds, again and again beside what is measured.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

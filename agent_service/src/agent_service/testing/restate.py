"""A real Restate server for tests: where its program comes from, and throw-away ones of it.

The program is what RESTATE_SERVER names, or ``restate-server`` on PATH, or that of the npm package
``@restatedev/restate-server`` in a ``node_modules`` folder here or above; else npm installs it,
once, into a folder of the user's caches.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import fcntl
import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import httpx

NPM_PACKAGE = "@restatedev/restate-server"
# What this package is tested with; hack/restate/package.json pins the same one.
NPM_VERSION = "1.7.12"

# Below the range from which Linux hands out ports, so that no one is given ours by chance.
PORTS = range(20_000, 32_000)
START_ATTEMPTS = 5


class RestateError(RuntimeError):
    """The Restate server can't be installed or doesn't start; the message says why."""


def npm_program() -> str:
    """Returns the server's path in a ``node_modules`` folder, for this kind of machine.

    Raises:
        RestateError: npm has none for it.
    """
    system = {"Linux": "linux", "Darwin": "darwin"}.get(platform.system())
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(
        platform.machine().lower()
    )
    if system is None or machine is None:
        raise RestateError(
            f"Restate's npm package has no server for {platform.system()} on {platform.machine()}: "
            "use Linux or macOS on x86-64 or arm64"
        )
    return f"@restatedev/restate-server-{system}-{machine}/bin/restate-server"


def find_server() -> Path:
    """Finds the server's program, and has npm install it where there is none.

    Raises:
        RestateError: RESTATE_SERVER names no program, or there is none and npm can't install it.
    """
    named = os.environ.get("RESTATE_SERVER", "").strip()
    if named:
        path = Path(named)
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise RestateError(f"RESTATE_SERVER is {named!r}, which is no program")
        return path.resolve()
    on_path = shutil.which("restate-server")
    if on_path is not None:
        return Path(on_path).resolve()
    wanted = npm_program()
    for folder in (Path.cwd(), *Path.cwd().parents):
        path = folder / "node_modules" / wanted
        if path.is_file():
            return path
    return _cached(wanted)


def _cached(wanted: str) -> Path:
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = caches / "durable-agents" / f"restate-server-{NPM_VERSION}"
    path, done = home / "node_modules" / wanted, home / ".complete"
    if done.exists() and path.is_file():
        return path
    npm = shutil.which("npm")
    if npm is None:
        raise RestateError(
            f"no Restate server: install Node.js 20 or later (npm then gets {NPM_PACKAGE}), put "
            "restate-server on PATH, or name the program in RESTATE_SERVER"
        )
    home.mkdir(parents=True, exist_ok=True)
    # Test workers may get here at the same time; only one of them may run npm.
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or not path.is_file():
            _npm_install(npm, home)
            done.touch()
    if not path.is_file():
        raise RestateError(f"npm installed no server at {path}; is npm set to omit optional parts?")
    return path


def _npm_install(npm: str, home: Path) -> None:
    package = f"{NPM_PACKAGE}@{NPM_VERSION}"
    print(f"installing {package} from npm into {home}", file=sys.stderr, flush=True)
    # Scripts stay off: the only one in the tree is a dependency's telemetry.
    command = [npm, "install", "--prefix", str(home), "--no-save", "--ignore-scripts"]
    command += ["--no-audit", "--no-fund", "--loglevel=error", package]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RestateError(f"npm can't install {package}:\n{done.stdout}{done.stderr}".rstrip())


def free_ports(count: int) -> list[int]:
    """Returns distinct loopback TCP ports that are free right now."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.choice(PORTS)  # noqa: S311 - not a secret
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def _signal(process: subprocess.Popen[bytes], signum: signal.Signals) -> None:
    # Its whole group, which is its own: npm's `restate-server` starts the server as a child.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signum)


class RestateServer:
    """A throw-away Restate server on free loopback ports, with its data in a temporary folder.

    Use it as a context manager, sync or async; or call ``start()`` and ``close()``. ``stop()``
    then ``start()`` restarts it on the same data and ports. Calls block; in a running event loop
    use ``async with`` or ``asyncio.to_thread``.

    Args:
        find: says where the program is; `find_server` unless given. Asked at the start.
        parent: the folder that gets its data's folder; the system's for temporary files unless
            given.
        env: more of Restate's environment settings, e.g.
            ``{"RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "5s"}``.
        partitions: how many partitions; few start faster.
    """

    def __init__(
        self,
        *,
        find: Callable[[], Path] | None = None,
        parent: Path | None = None,
        env: Mapping[str, str] | None = None,
        partitions: int = 2,
    ) -> None:
        self._find = find or find_server
        self._parent = parent
        self._extra_env = dict(env or {})
        self._partitions = partitions
        self._name = f"throwaway-{uuid.uuid4().hex[:12]}"
        self._dir: Path | None = None
        self._ports: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ingress_url(self) -> str:
        """Where clients send invocations, e.g. ``http://127.0.0.1:21234``."""
        return f"http://127.0.0.1:{self._port(0)}"

    @property
    def admin_url(self) -> str:
        """The admin and SQL API, and the web UI."""
        return f"http://127.0.0.1:{self._port(1)}"

    @property
    def log_file(self) -> Path:
        """What the server wrote to stdout and stderr; gone after ``close()``."""
        return self._directory() / "restate.log"

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, timeout: float = 60.0) -> Self:
        """Starts the server and returns when ingress, admin and SQL answer.

        Raises:
            RestateError: it exited or didn't answer in ``timeout`` seconds; with its last output.
        """
        program = self._find()
        if self._dir is None:
            if self._parent is not None:
                self._parent.mkdir(parents=True, exist_ok=True)
            self._dir = Path(tempfile.mkdtemp(prefix="restate-server-", dir=self._parent))
            atexit.register(self.close)
        fresh = not self._ports
        for attempt in range(1, START_ATTEMPTS + 1):
            if fresh:
                self._ports = free_ports(3)
            self._launch(program)
            try:
                self._wait_ready(timeout)
            except RestateError:
                exited = self._process is not None and self._process.poll() is not None
                self.stop()
                # An early exit on fresh ports may be someone else's taking one: choose again.
                if not (fresh and exited) or attempt == START_ATTEMPTS:
                    raise
            else:
                return self
        raise AssertionError("unreachable: the last attempt returns or raises")

    def stop(self, timeout: float = 20.0) -> None:
        """Stops the process, and keeps the data for a later ``start()``."""
        process, self._process = self._process, None
        if process is None:
            return
        _signal(process, signal.SIGTERM)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()

    def kill(self) -> None:
        """Kills the process without notice (SIGKILL), and keeps the data."""
        process, self._process = self._process, None
        if process is not None:
            _signal(process, signal.SIGKILL)
            process.wait()

    def close(self) -> None:
        """Kills the process and removes its data. May be called twice."""
        # The data goes too, so that there is nothing to shut down properly.
        self.kill()
        if self._dir is not None:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._dir = None
            atexit.unregister(self.close)

    def tail(self, lines: int = 30) -> str:
        """The last lines of the server's output, for messages about failures."""
        if self._dir is None or not self.log_file.exists():
            return ""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])

    def _directory(self) -> Path:
        if self._dir is None:
            raise RestateError("this Restate server has not been started")
        return self._dir

    def _port(self, index: int) -> int:
        if not self._ports:
            raise RestateError("this Restate server has not been started")
        return self._ports[index]

    def _environment(self) -> dict[str, str]:
        ingress, admin, node = self._ports
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RESTATE_")}
        return kept | {
            "RESTATE_CLUSTER_NAME": self._name,
            "RESTATE_NODE_NAME": "node-1",
            "RESTATE_BASE_DIR": str(self._directory() / "data"),
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
            "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
            "RESTATE_INGRESS__ADVERTISED_ADDRESS": f"http://127.0.0.1:{ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_ADMIN__ADVERTISED_ADDRESS": f"http://127.0.0.1:{admin}",
            "RESTATE_DEFAULT_NUM_PARTITIONS": str(self._partitions),
            "RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE": "256MB",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LOG_FILTER": "warn,restate=info",
            "RESTATE_LOG_DISABLE_ANSI_CODES": "true",
            **self._extra_env,
        }

    def _launch(self, program: Path) -> None:
        log: IO[bytes]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [program],
                env=self._environment(),
                cwd=self._directory(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_ready(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        # Only loopback is asked, so a proxy from the environment must not come between.
        with httpx.Client(timeout=5.0, trust_env=False) as client:
            while not self._answers(client):
                if self._process is None or self._process.poll() is not None:
                    raise RestateError(f"the Restate server exited at its start:\n{self.tail()}")
                if time.monotonic() > deadline:
                    raise RestateError(f"no Restate server after {timeout:.0f} s:\n{self.tail()}")
                time.sleep(0.05)

    def _answers(self, client: httpx.Client) -> bool:
        try:
            checks = (
                client.get(f"{self.admin_url}/health"),
                client.get(f"{self.ingress_url}/restate/health"),
                # Health is good before SQL is, right after a restart.
                client.post(
                    f"{self.admin_url}/query",
                    json={"query": "select count(1) n from sys_invocation"},
                    headers={"accept": "application/json"},
                ),
            )
        except httpx.HTTPError:
            return False
        return all(check.status_code == httpx.codes.OK for check in checks)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.close)

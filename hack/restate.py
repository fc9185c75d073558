"""The Restate server of tests and of the demo's image: installed from npm, run on free ports.

``python -m hack.restate binary`` prints the path of the server's binary, installing it into the
clone's ``.local/npm`` first where needed. ``RestateServer`` runs a throw-away one.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from agent_service.testing import restate as server
from agent_service.testing.restate import RestateError, free_ports

__all__ = ["RestateError", "RestateServer", "binary", "free_ports"]

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"
NPM = LOCAL / "npm"
PINS = ROOT / "hack" / "restate"
PIN_FILES = ("package.json", "package-lock.json")


def _binary_path() -> Path:
    return NPM / "node_modules" / server.npm_program()


def _wanted_stamp() -> str:
    digest = hashlib.sha256()
    for name in PIN_FILES:
        digest.update((PINS / name).read_bytes())
    return digest.hexdigest()


def _install(stamp: Path, wanted: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RestateError("npm is missing: install Node.js 20 or later, Restate comes from npm")
    print("restate: installing the server from npm into .local/npm", file=sys.stderr, flush=True)
    for name in PIN_FILES:
        shutil.copyfile(PINS / name, NPM / name)
    # Scripts stay off: the only one in the tree is a dependency's telemetry.
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=NPM, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RestateError(f"npm ci failed in {NPM}:\n{done.stdout}{done.stderr}".rstrip())
    stamp.write_text(wanted)


def binary() -> Path:
    """Returns the path of the pinned Restate server, installing it on the first call.

    Raises:
        RestateError: npm is missing or failed, or there is no server for this machine.
    """
    path = _binary_path()
    stamp, wanted = NPM / ".stamp", _wanted_stamp()
    NPM.mkdir(parents=True, exist_ok=True)
    # Test workers may get here at the same time; only one of them may run npm.
    with (NPM / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists() or not stamp.exists() or stamp.read_text() != wanted:
            _install(stamp, wanted)
    if not path.exists():
        raise RestateError(f"npm installed no server at {path}; is npm set to omit optional parts?")
    return path


class RestateServer(server.RestateServer):
    """A throw-away server of the pinned version, with its data under ``.local``.

    Args:
        env: more of Restate's environment settings, e.g.
            ``{"RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "5s"}``.
        partitions: how many partitions; few start faster.
    """

    def __init__(self, *, env: Mapping[str, str] | None = None, partitions: int = 2) -> None:
        super().__init__(find=binary, parent=LOCAL / "restate", env=env, partitions=partitions)


def _run() -> None:
    with RestateServer() as running:
        print(f"ingress {running.ingress_url}\nadmin and UI {running.admin_url}", flush=True)
        stop = signal.sigwait({signal.SIGINT, signal.SIGTERM})
        print(f"stopping on {signal.Signals(stop).name}", flush=True)


def main() -> int:
    """Command line: ``binary`` prints the server's path, ``run`` runs one until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m hack.restate", description=main.__doc__)
    parser.add_argument("command", choices=("binary", "run"))
    command = parser.parse_args().command
    try:
        if command == "binary":
            print(binary())
        else:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            _run()
    except RestateError as error:
        print(f"hack.restate: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Running commands, with errors a person can read."""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import DEVNULL
from typing import IO, Any

from .errors import ClusterError

Arg = str | Path


def run(
    *argv: Arg,
    stdin: str | IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> str:
    """Run a command and return its stdout.

    Args:
        argv: the command.
        stdin: text, or an open file, for the command's stdin; nothing otherwise.
        env: variables added to this process's own.
        cwd: the directory to run in.
        timeout: seconds after which the command is killed.

    Raises:
        ClusterError: the command is missing, failed or took too long; carries its last lines.
    """
    words = [str(arg) for arg in argv]
    given: dict[str, Any] = {"stdin": stdin or DEVNULL}
    if isinstance(stdin, str):
        given = {"input": stdin.encode()}
    try:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            words,
            capture_output=True,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            timeout=timeout,
            check=False,
            **given,
        )
    except FileNotFoundError:
        raise ClusterError(f"{words[0]} is not installed") from None
    except PermissionError:
        raise ClusterError(f"{words[0]} may not be run by this user") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"took longer than {timeout} s: {shlex.join(words[:8])}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        last = "\n".join(said.splitlines()[-15:])
        raise ClusterError(f"failed ({done.returncode}): {shlex.join(words[:8])}\n{last}")
    return done.stdout.decode(errors="replace")


def succeeds(*argv: Arg, timeout: float = 15.0, env: Mapping[str, str] | None = None) -> bool:
    """Whether a command exists and exits with 0 within `timeout` seconds."""
    try:
        run(*argv, timeout=timeout, env=env)
    except ClusterError:
        return False
    return True


def wait_for(
    what: str,
    ready: Callable[[], bool],
    *,
    timeout: float,
    hint: Callable[[], str] = str,
    every: float = 0.1,
) -> None:
    """Poll until `ready()` holds.

    Args:
        what: what is awaited, for the error.
        ready: asked again and again; what it raises ends the wait.
        timeout: seconds until giving up.
        hint: asked on giving up: where to look, or what was last seen.
        every: seconds between two questions.

    Raises:
        ClusterError: it didn't happen in time.
    """
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if ready():
            return
        time.sleep(every)
    last = hint().strip()
    raise ClusterError(f"no {what} after {timeout:.0f} s" + (f": {last}" if last else ""))

"""``python -m agent_service.testing --port 8080`` runs the scripted model server."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from agent_service.testing.rules import Rule
from agent_service.testing.scripts import default_script
from agent_service.testing.server import Script, listen, read_rules, serve_script


async def _serve(script: Script, host: str, port: int) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    listening = listen(host, port)
    print(f"scripted model on port {listening.getsockname()[1]}", file=sys.stderr, flush=True)
    await serve_script(script, listening, stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: serves until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m agent_service.testing", description=__doc__)
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - it serves other pods
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    parser.add_argument("--rules", type=Path, help="a JSON list of rules, before the built-in ones")
    parser.add_argument("--key", default="", help="the API key to ask for; none unless given")
    options = parser.parse_args(arguments)
    script = Script([*_read(options.rules), *default_script()], options.key)
    try:
        asyncio.run(_serve(script, options.host, options.port))
    except OSError as error:
        print(f"agent_service.testing: port {options.port}: {error}", file=sys.stderr)
        return 1
    return 0


def _read(path: Path | None) -> list[Rule]:
    if path is None:
        return []
    try:
        return read_rules(path)
    except (OSError, ValidationError) as error:
        raise SystemExit(f"agent_service.testing: {path}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())

"""Installs an agent's own requirements into the image: ``python -m agent_service.install FILE``.

For a Dockerfile that begins with ``FROM durable-agents/agent-service``. They go to /agent, where
the agent's package belongs too. What the image has already is neither installed again nor replaced:
a requirement that wants another version of it is refused by pip, with the reason.

The image has no pip of its own; Python brings one along for its module ``ensurepip``.
"""

from __future__ import annotations

import argparse
import compileall
import ensurepip
import importlib.metadata
import json
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from py_compile import PycInvalidationMode

TARGET = Path("/agent")


def main(arguments: Sequence[str] | None = None) -> int:
    """Installs what a requirements file names and the image lacks."""
    parser = argparse.ArgumentParser(
        prog="python -m agent_service.install", description=main.__doc__
    )
    parser.add_argument("requirements", type=Path)
    parser.add_argument("--target", type=Path, default=TARGET, help=f"{TARGET} unless given")
    given = parser.parse_args(arguments)
    if not given.requirements.is_file():
        print(f"agent_service.install: there is no {given.requirements}", file=sys.stderr)
        return 2
    try:
        missing = _missing(given.requirements) if _asks(given.requirements) else []
        if missing:
            _pip("install", "--no-deps", "--no-compile", "--target", str(given.target), *missing)
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    # The root file system is read-only when an agent runs, so bytecode is made now.
    compileall.compile_dir(
        given.target, quiet=1, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
    )
    print(f"installed: {', '.join(missing) or 'nothing, the image has it all'}")
    return 0


def _asks(requirements: Path) -> bool:
    lines = (line.strip() for line in requirements.read_text().splitlines())
    return any(line and not line.startswith("#") for line in lines)


def _missing(requirements: Path) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        pins, report = Path(folder, "constraints.txt"), Path(folder, "report.json")
        pins.write_text("".join(f"{pin}\n" for pin in sorted(_installed())))
        _pip(
            "install", "--dry-run", "--report", str(report),
            "--constraint", str(pins), "--requirement", str(requirements),
        )  # fmt: skip
        return [_pin(found) for found in json.loads(report.read_text())["install"]]


def _installed() -> Iterator[str]:
    for found in importlib.metadata.distributions():
        yield f"{found.name}=={found.version}"


def _pin(found: dict[str, dict[str, str]]) -> str:
    metadata = found["metadata"]
    if found.get("is_direct"):
        return f"{metadata['name']} @ {found['download_info']['url']}"
    return f"{metadata['name']}=={metadata['version']}"


def _pip(*words: str) -> None:
    options = ["--quiet", "--no-cache-dir", "--disable-pip-version-check", "--no-input"]
    # Pip runs from its wheel as it is.
    command = [sys.executable, f"{_wheel()}/pip", *words, *options]
    subprocess.run(command, check=True)


def _wheel() -> Path:
    # Debian keeps Python's wheels in a folder of their own.
    folders = [Path(ensurepip.__file__).parent / "_bundled"]
    if folder := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        folders.append(Path(folder))
    folders.append(Path("/usr/share/python-wheels"))
    found = [wheel for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))]
    if not found:
        raise SystemExit("agent_service.install: this Python has no pip in its module ensurepip")
    return found[0]


if __name__ == "__main__":
    sys.exit(main())

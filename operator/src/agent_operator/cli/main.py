"""Parse the command line and run one command."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from agent_operator import logs
from agent_operator.kube.errors import KubeError
from agent_operator.settings import Settings, SettingsError

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; end the process with 1 and one clear line where it can't."""
    arguments = _parser().parse_args(argv)
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        sys.exit(f"agent_operator: {error}")
    logs.configure(settings.log_level, settings.log_format)
    try:
        asyncio.run(_run(arguments, settings))
    except KubeError as error:
        if settings.log_format == "text":
            sys.exit(f"agent_operator: {error}")
        log.critical("%s", error)
        sys.exit(1)


async def _run(arguments: argparse.Namespace, settings: Settings) -> None:
    # Imported late: `crd print` needs neither kopf nor the Kubernetes client.
    match arguments.command:
        case "crd":
            from agent_operator.cli import crd

            await crd.run(arguments.action)
        case "uninstall":
            from agent_operator.cli import uninstall

            await uninstall.run(arguments.namespace, arguments.selector, arguments.timeout)
        case "smoke":
            from agent_operator.cli import smoke
            from agent_operator.smoke import calls
            from agent_operator.smoke.runner import Place

            called = calls.read(arguments.http11, arguments.header, os.environ)
            place = Place(arguments.uri, arguments.admin, arguments.ingress, called)
            await smoke.run(arguments.smoke, place, arguments.timeout)
        case "gate-key":
            from agent_operator.cli import smoke

            smoke.make_key(arguments.file)
        case _:
            from agent_operator.run import run

            await run(settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agent_operator", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("run", help="run the operator (the default)")
    crd = commands.add_parser("crd", help="the AgentDeployment's CustomResourceDefinition")
    crd.add_argument("action", choices=["print", "apply"])
    remove = commands.add_parser(
        "uninstall",
        help="delete AgentDeployments and wait until the operator has taken them down",
    )
    remove.add_argument("--namespace", default=None, help="only there; everywhere unless given")
    remove.add_argument("--selector", required=True, help="label selector of those to delete")
    remove.add_argument("--timeout", type=float, default=240.0, help="seconds to wait")
    _gate_parsers(commands)
    return parser


def _gate_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    smoke = commands.add_parser("smoke", help="one turn on a candidate: a smoke gate's Job")
    smoke.add_argument("--smoke", required=True, help="a gate's `smoke`, as JSON")
    smoke.add_argument("--uri", required=True, help="where the candidate is")
    smoke.add_argument("--timeout", type=float, default=300.0, help="seconds that it may take")
    smoke.add_argument("--admin", default="http://127.0.0.1:9070", help="the gate's Restate")
    smoke.add_argument("--ingress", default="http://127.0.0.1:8080", help="its ingress")
    smoke.add_argument("--http11", action="store_true", help="call the candidate over HTTP/1.1")
    smoke.add_argument(
        "--header",
        action="append",
        default=[],
        help="name of a header to send to it; the first one's value is in GATE_HEADER_0, and so on",
    )
    key = commands.add_parser("gate-key", help="make the key of a gate's Restate server")
    key.add_argument("file", type=Path, help="where the private key goes")

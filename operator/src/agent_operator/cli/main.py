"""Parse the command line and run one command."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence

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
    return parser

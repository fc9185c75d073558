"""Parse the command line and run one command."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence

from agent_operator.kube.errors import KubeError
from agent_operator.settings import Settings, SettingsError


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; end the process with 1 and one clear line where it can't."""
    arguments = _parser().parse_args(argv)
    try:
        settings = Settings.from_env(os.environ)
        logging.basicConfig(
            level=settings.log_level,
            format="%(asctime)s %(levelname)s %(name)s %(message)s",
        )
        # Both tell every request or watch; what they tell is in our own lines where it matters.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        logging.getLogger("kopf").setLevel(logging.WARNING)
        asyncio.run(_run(arguments, settings))
    except (SettingsError, KubeError) as error:
        sys.exit(f"agent_operator: {error}")


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

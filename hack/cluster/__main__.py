"""The command line: `python -m hack.cluster up|down|status|load|tools`."""

import argparse
import sys
import time
from pathlib import Path

from . import api, tools
from .errors import ClusterError
from .paths import this_clone
from .progress import say


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 when it worked, otherwise 1 (130: interrupted) and a line on stderr."""
    arguments = _parser().parse_args(argv)
    try:
        _run(arguments)
    except ClusterError as error:
        print(f"cluster: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cluster: interrupted; `up` goes on, `down` cleans up", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.cluster", description=api.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="make sure a cluster runs (CLUSTER=current|kind|local picks)")
    commands.add_parser("down", help="take it down")
    commands.add_parser("status", help="provider, kubeconfig, nodes, versions")
    load = commands.add_parser("load", help="load image archives into it")
    load.add_argument("archives", nargs="+", type=Path)
    build = commands.add_parser("tools", help="make sure tools are in .local/bin")
    build.add_argument("names", nargs="+", choices=sorted(tools.TOOLS), metavar="tool")
    return parser


def _run(arguments: argparse.Namespace) -> None:
    start = time.monotonic()
    if arguments.command == "up":
        kubeconfig = api.up()
        say(f"up in {time.monotonic() - start:.1f} s; KUBECONFIG={kubeconfig}")
    elif arguments.command == "down":
        api.down()
    elif arguments.command == "status":
        print(api.status())
    elif arguments.command == "load":
        api.load(arguments.archives)
        say(f"loaded {len(arguments.archives)} archives in {time.monotonic() - start:.1f} s")
    else:
        clone = this_clone()
        with tools.locked(clone):
            tools.ensure(clone, arguments.names)


if __name__ == "__main__":
    sys.exit(main())

"""Command line: ``python -m hack.images build|load|all|values [--only operator,...]``."""

from __future__ import annotations

import argparse
import sys

import yaml

from hack.cluster import ClusterError
from hack.images import ImageError, build, chart_values, ensure
from hack.images.specs import SPECS
from hack.restate import RestateError


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = sorted(set(names) - set(SPECS))
    if unknown or not names:
        raise argparse.ArgumentTypeError(
            f"no such image: {', '.join(unknown) or text!r}; there are {', '.join(SPECS)}"
        )
    return names


def main() -> int:
    """Builds images, or builds and loads them; prints their names, or values for the chart."""
    parser = argparse.ArgumentParser(prog="python -m hack.images", description=main.__doc__)
    parser.add_argument(
        "command", choices=("build", "load", "all", "values"),
        help="build: build what is missing; load, all: that, and bring it into the cluster in use;"
        " values: all of that, and print values with which the chart runs them",
    )  # fmt: skip
    parser.add_argument(
        "--only", type=_names, default=list(SPECS), metavar="NAMES",
        help=f"only these, separated by commas (of {', '.join(SPECS)})",
    )  # fmt: skip
    arguments = parser.parse_args()
    try:
        done = (build if arguments.command == "build" else ensure)(arguments.only)
    except (ImageError, ClusterError, RestateError) as error:
        print(f"hack.images: {error}", file=sys.stderr)
        return 1
    if arguments.command == "values":
        print(yaml.safe_dump(chart_values(done), sort_keys=False), end="")
        return 0
    for name, reference in done.items():
        print(name, reference)
    return 0


if __name__ == "__main__":
    sys.exit(main())

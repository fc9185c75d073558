"""``python -m hack.demo``, which is ``make demo``."""

import asyncio
import sys

from hack.cluster import ClusterError
from hack.demo.shell import CommandError
from hack.demo.story import tell_story
from hack.images import ImageError
from hack.restate import RestateError


def main() -> int:
    """Run the demo; one clear line where it can't."""
    try:
        asyncio.run(tell_story())
    except (ClusterError, ImageError, RestateError, CommandError, RuntimeError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

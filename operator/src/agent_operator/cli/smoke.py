"""What runs in a gate's Job: ``smoke`` and, before it, ``gate-key``."""

import json
import logging
import sys
from pathlib import Path
from typing import Final

from agent_operator.api.gates import Smoke
from agent_operator.smoke import runner

log = logging.getLogger(__name__)

# Where Kubernetes looks for what a container has to say at its end.
TERMINATION_LOG: Final = Path("/dev/termination-log")


async def run(smoke: str, place: runner.Place, seconds: float) -> None:
    """Run the smoke turn; end the process with 1 where the gate has failed."""
    try:
        await runner.run(Smoke.model_validate_json(smoke), place, seconds)
    except runner.SmokeFailedError as error:
        tell(json.dumps({"passed": False, "reason": str(error)}, ensure_ascii=False))
        log.warning("failed: %s", error)
        sys.exit(1)
    tell(json.dumps({"passed": True}))
    log.info("passed")


def make_key(file: Path) -> None:
    """Make the key of the gate's Restate server, and tell the operator the public half."""
    # Imported late: nothing else needs it.
    from agent_operator.smoke import keys

    tell(keys.make(file))


def tell(text: str) -> None:
    """Leave a message for the operator; on standard output where no kubelet listens."""
    if TERMINATION_LOG.exists():
        TERMINATION_LOG.write_text(text)
    else:
        print(text)

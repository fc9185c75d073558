"""Write events, as ``kubectl describe`` shows them; one that can't be written is only logged."""

import logging
from datetime import UTC, datetime
from typing import Any, Final

from agent_operator.api import AgentDeployment, names, times
from agent_operator.kube.client import EVENTS, Kube
from agent_operator.kube.errors import KubeError
from agent_operator.reconcile.events import Event

log = logging.getLogger(__name__)

EVENT_LIMIT: Final = 1024


async def record(kube: Kube, agent: AgentDeployment, event: Event) -> None:
    """Tell one fact about an AgentDeployment."""
    metadata = agent.metadata
    now = times.rfc3339(datetime.now(UTC))
    body: dict[str, Any] = {
        "metadata": {"generateName": f"{metadata.name}.", "namespace": metadata.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
        },
        "type": event.kind,
        "reason": event.reason,
        "message": event.message[:EVENT_LIMIT],
        "source": {"component": names.MANAGER},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    try:
        await kube.create(EVENTS, metadata.namespace, body)
    except KubeError as error:
        log.warning("event %s was not recorded: %s", event.reason, error)

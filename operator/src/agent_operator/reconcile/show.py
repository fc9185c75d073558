"""Write the status where it differs, and tell each new fact as an event."""

import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from agent_operator.api import AgentDeploymentStatus, names
from agent_operator.kube.client import AGENT_DEPLOYMENTS, Body, Kube
from agent_operator.kube.errors import KubeError
from agent_operator.kube.store import Key, Store
from agent_operator.reconcile import events, ghosts, recorder
from agent_operator.reconcile.snapshot import Snapshot

log = logging.getLogger(__name__)

# Numbers that change with each turn are written no more often than this.
COUNTS_SECONDS: Final = 5.0


@dataclass
class Shower:
    """Shows people what was seen."""

    kube: Kube
    store: Store
    _written: dict[Key, float] = field(default_factory=dict)

    async def show(
        self, key: Key, snapshot: Snapshot, status: AgentDeploymentStatus
    ) -> timedelta | None:
        """Write a status and its events.

        Returns:
            When to come again, where only numbers changed and were written a moment ago.

        Raises:
            KubeError: the status could not be written.
        """
        body = self.store.get(key)
        if body is None or body["metadata"].get("uid") != snapshot.agent.metadata.uid:
            self._written.pop(key, None)
            return None
        old, new = body.get("status") or {}, status.dump()
        if new == old:
            return None
        wait = self._written.get(key, float("-inf")) + COUNTS_SECONDS - time.monotonic()
        if wait > 0 and _essence(new) == _essence(old):
            return timedelta(seconds=wait)
        await self._write(key, snapshot, new)
        before = AgentDeploymentStatus.model_validate(old)
        left = {ghost.revision for ghost in ghosts.ghosts_of(snapshot)}
        for event in events.between(before, status, left):
            await recorder.record(self.kube, snapshot.agent, event)
        return None

    async def _write(self, key: Key, snapshot: Snapshot, status: Body) -> None:
        manifest = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            # With the uid, so that a new object of the same name never gets an old one's status.
            "metadata": {"name": key[1], "namespace": key[0], "uid": snapshot.agent.metadata.uid},
            "status": status,
        }
        try:
            shown = await self.kube.apply(AGENT_DEPLOYMENTS, manifest, "status")
        except KubeError as error:
            if not error.missing:
                raise
            return  # deleted meanwhile
        self._written[key] = time.monotonic()
        self.store.put(AGENT_DEPLOYMENTS, shown)


def _essence(status: Body) -> Body:
    """A status without what changes with each turn."""
    bare = {key: value for key, value in status.items() if key != "drainingInvocations"}
    bare["revisions"] = [
        {key: value for key, value in revision.items() if key not in {"invocations", "oldest"}}
        for revision in status.get("revisions", ())
    ]
    bare["conditions"] = [
        {key: value for key, value in condition.items() if key != "message"}
        for condition in status.get("conditions", ())
    ]
    return bare

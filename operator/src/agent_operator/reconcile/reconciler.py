"""One AgentDeployment at a time: observe, plan, apply, status; and what to remember of setbacks."""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agent_operator import metrics
from agent_operator.api import AgentDeploymentStatus, names, times
from agent_operator.kube.client import AGENT_DEPLOYMENTS, EVENTS, Kube
from agent_operator.kube.errors import KubeError
from agent_operator.kube.store import Key, Store
from agent_operator.reconcile import events, orphans
from agent_operator.reconcile.actions import Action, CreateRevision, RegisterRevision
from agent_operator.reconcile.apply import Applier, NotNowError
from agent_operator.reconcile.observe import observe
from agent_operator.reconcile.plan import Plan, plan
from agent_operator.reconcile.snapshot import Setback, Snapshot
from agent_operator.restate.client import DiscoveryError, RestateUnavailableError
from agent_operator.restate.observer import RestateObserver
from agent_operator.settings import Settings

log = logging.getLogger(__name__)

# A plan's actions lead to a new picture, hence to a new plan; more rounds than this in one go
# would mean that plans don't converge.
MAX_ROUNDS: Final = 8
RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0)
EVENT_LIMIT: Final = 1024


@dataclass
class Reconciler:
    """Brings AgentDeployments to what their specs ask for."""

    kube: Kube
    store: Store
    restate: RestateObserver
    settings: Settings
    _setbacks: dict[Key, dict[str, Setback]] = field(default_factory=dict)
    _attempts: dict[tuple[Key, str], int] = field(default_factory=dict)

    async def reconcile(self, key: Key) -> timedelta | None:
        """Look at one AgentDeployment and do what is due.

        Returns:
            How long until it should be looked at again at the latest; ``None`` once it is gone.
        """
        with metrics.RECONCILE_SECONDS.time():
            for _ in range(MAX_ROUNDS):
                seen = await self._look(key)
                if seen is None:
                    self._forget(key)
                    await orphans.remove(key, self.store, self.kube)
                    return None
                snapshot, due = seen
                if not due.actions or not await self._carry_out(key, due, snapshot):
                    break
            await self._show(key, snapshot, due.status)
        return due.look_again

    async def _look(self, key: Key) -> tuple[Snapshot, Plan] | None:
        setbacks = self._setbacks.get(key, {})
        snapshot = await observe(key, self.store, self.restate, self.settings, setbacks)
        return None if snapshot is None else (snapshot, plan(snapshot, datetime.now(UTC)))

    async def _carry_out(self, key: Key, due: Plan, snapshot: Snapshot) -> bool:
        """Whether all actions were carried out, so that a new look makes sense at once."""
        applier = Applier(self.kube, self.store, self.restate)
        for action in due.actions:
            try:
                await applier.apply(action, snapshot)
            except (KubeError, RestateUnavailableError, DiscoveryError, NotNowError) as error:
                self._set_back(key, action, snapshot, error)
                return isinstance(action, CreateRevision | RegisterRevision)
            self._clear(key, snapshot, action)
            if self.store.get(key) is None:
                return True
        return True

    def _set_back(self, key: Key, action: Action, snapshot: Snapshot, error: Exception) -> None:
        level = logging.INFO if isinstance(error, NotNowError) else logging.WARNING
        log.log(level, "%s/%s: %s did not work: %s", *key, type(action).__name__, error)
        metrics.ACTION_FAILURES.labels(type(action).__name__).inc()
        if not isinstance(action, CreateRevision | RegisterRevision):
            return  # planned again at the next look, if it is still due
        name = snapshot.wanted.name
        attempt = self._attempts.get((key, name), 0)
        self._attempts[(key, name)] = attempt + 1
        pause = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
        retry_at = datetime.now(UTC) + timedelta(seconds=pause)
        setback = Setback(_reason(error), str(error), retry_at)
        self._setbacks.setdefault(key, {})[name] = setback

    def _clear(self, key: Key, snapshot: Snapshot, action: Action) -> None:
        if isinstance(action, CreateRevision | RegisterRevision):
            self._setbacks.get(key, {}).pop(snapshot.wanted.name, None)
            self._attempts.pop((key, snapshot.wanted.name), None)

    def _forget(self, key: Key) -> None:
        self._setbacks.pop(key, None)
        for known in [k for k in self._attempts if k[0] == key]:
            del self._attempts[known]

    async def _show(self, key: Key, snapshot: Snapshot, status: AgentDeploymentStatus) -> None:
        body = self.store.get(key)
        if body is None or body["metadata"].get("uid") != snapshot.agent.metadata.uid:
            return
        new = status.dump()
        if new == body.get("status"):
            return
        manifest = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": key[1], "namespace": key[0]},
            "status": new,
        }
        try:
            shown = await self.kube.apply(AGENT_DEPLOYMENTS, manifest, "status")
        except KubeError as error:
            if error.missing:
                return  # deleted meanwhile
            raise
        self.store.put(AGENT_DEPLOYMENTS, shown)
        before = AgentDeploymentStatus.model_validate(body.get("status") or {})
        for event in events.between(before, status):
            await self._tell(snapshot, event)

    async def _tell(self, snapshot: Snapshot, event: events.Event) -> None:
        metadata = snapshot.agent.metadata
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
            await self.kube.create(EVENTS, metadata.namespace, body)
        except KubeError as error:
            log.warning("event %s was not recorded: %s", event.reason, error)


def _reason(error: Exception) -> str:
    if isinstance(error, DiscoveryError):
        return "DiscoveryFailed"
    if isinstance(error, RestateUnavailableError):
        return "RestateUnreachable"
    return "NotNow" if isinstance(error, NotNowError) else "KubernetesRefused"

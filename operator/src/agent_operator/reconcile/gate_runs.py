"""Gates in the cluster: making their Jobs, and telling pods whom to trust."""

import logging
from dataclasses import dataclass, replace
from typing import Final

from agent_operator.api import names
from agent_operator.kube.client import JOBS, PODS, Body, Kube
from agent_operator.kube.errors import KubeError
from agent_operator.kube.store import Store
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import gate_manifests, gates
from agent_operator.reconcile.errors import GateSetupError, NotNowError
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.settings import Settings

log = logging.getLogger(__name__)

# The API server says that the Job itself is wrong: no other try will do.
_FINAL: Final = frozenset({400, 422})
_EXISTS: Final = 409


@dataclass(frozen=True)
class GateRuns:
    """Where the actions of gates take effect."""

    kube: Kube
    store: Store
    settings: Settings

    async def run(
        self, action: do.StartGate | do.TrustGate | do.RemoveGate, snapshot: Snapshot
    ) -> do.Annotate | None:
        """Carry out one action; answers what is to be kept on record, if anything.

        Raises:
            KubeError, NotNowError, GateSetupError: it did not happen.
        """
        match action:
            case do.StartGate():
                return await self._start(action, snapshot)
            case do.TrustGate():
                await self._trust(action, snapshot)
            case do.RemoveGate():
                await self._remove(action, snapshot)
        return None

    async def _start(self, action: do.StartGate, snapshot: Snapshot) -> do.Annotate | None:
        agent, revision = snapshot.agent, action.revision
        gate = next(g for g in agent.spec.rollout.gates or () if g.name == action.gate)
        wanted = replace(snapshot.wanted, name=revision.name, uri=revision.uri)
        try:
            job = gate_manifests.job(agent, wanted, gate, self.settings)
            made = await self.kube.create(JOBS, agent.metadata.namespace, job)
        except GateSetupError as error:
            if not error.final:
                raise
            return gates.refuse(snapshot, revision, gate.name, str(error))
        except KubeError as error:
            if error.status == _EXISTS:
                raise NotNowError(f"a Job of gate {gate.name} is still there") from error
            if error.status not in _FINAL:
                raise
            why = f"the API server refuses its Job: {error}"
            return gates.refuse(snapshot, revision, gate.name, why)
        self.store.put(JOBS, {**made, "kind": JOBS.kind})
        log.info("%s: gate %s begins", revision.name, gate.name)
        return None

    async def _trust(self, action: do.TrustGate, snapshot: Snapshot) -> None:
        patch: Body = {"metadata": {"annotations": {names.GATE_KEY_ANNOTATION: action.key}}}
        for pod in self.store.children(PODS, _key(snapshot)):
            metadata = pod["metadata"]
            ours = metadata["labels"].get(names.REVISION_LABEL) == action.revision.name
            has = (metadata.get("annotations") or {}).get(names.GATE_KEY_ANNOTATION)
            if not ours or has == action.key or "deletionTimestamp" in metadata:
                continue
            try:
                changed = await self.kube.merge(
                    PODS, metadata["namespace"], metadata["name"], patch
                )
            except KubeError as error:
                if not error.missing:
                    raise
            else:
                self.store.put(PODS, {**changed, "kind": PODS.kind})

    async def _remove(self, action: do.RemoveGate, snapshot: Snapshot) -> None:
        await self.kube.delete(JOBS, snapshot.agent.metadata.namespace, action.job)
        self.store.deleted_child(JOBS, _key(snapshot), action.job)


def _key(snapshot: Snapshot) -> tuple[str, str]:
    return snapshot.agent.metadata.namespace, snapshot.agent.metadata.name

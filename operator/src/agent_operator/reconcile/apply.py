"""Carry a plan out: each action idempotent, so that a crash between two is repaired by a look."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from agent_operator.api import AgentDeployment, names, times
from agent_operator.kube.client import (
    AGENT_DEPLOYMENTS,
    REPLICA_SETS,
    SERVICES,
    Body,
    Kube,
    Resource,
)
from agent_operator.kube.store import Key, Store
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import manifests, move_record, mover, orphans, recorder, roles
from agent_operator.reconcile.errors import NotNowError
from agent_operator.reconcile.gate_runs import GateRuns
from agent_operator.reconcile.ghosts import may_forget
from agent_operator.reconcile.lost import ids_to_note
from agent_operator.reconcile.move_record import Moves
from agent_operator.reconcile.plan import may_remove
from agent_operator.reconcile.registration import Registrar
from agent_operator.reconcile.repin import repin
from agent_operator.reconcile.snapshot import Failure, Revision, Snapshot
from agent_operator.reconcile.standing import judge_all
from agent_operator.reconcile.tending import Tender
from agent_operator.restate.client import RegistrationRefusedError
from agent_operator.restate.invocations import Invocations
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.view import RestateView
from agent_operator.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Applier:
    """Where actions take effect."""

    kube: Kube
    store: Store
    restate: RestateObserver
    settings: Settings = field(default_factory=Settings)

    async def apply(self, action: do.Action, snapshot: Snapshot) -> None:
        """Carry out one action.

        Raises:
            KubeError, RestateUnavailableError, DiscoveryError, ServiceTakenError, NotNowError,
            GateSetupError: it did not happen, or only in part; the next look says what is left.
        """
        agent = snapshot.agent
        match action:
            case do.AddFinalizer() | do.RemoveFinalizer():
                await self._set_finalizer(agent, present=isinstance(action, do.AddFinalizer))
            case do.CreateRevision():
                await self._create(action, agent)
            case do.RestoreService():
                await self._apply_service(agent, action.revision.name, action.revision.uri)
            case do.ScaleRevision() | do.LetSleep():
                await self._scale(action, agent)
            case do.Annotate():
                await self._note(agent, action.revision, action.notes, action.role)
            case (
                do.ResumeInvocations()
                | do.EndInvocations()
                | do.MoveInvocations()
                | do.RepinInvocations()
            ):
                await self._drive(action, snapshot)
            case do.CheckRevision() | do.RegisterRevision():
                await self._register(action, snapshot)
            case do.StartGate() | do.TrustGate() | do.RemoveGate():
                await self._gate(action, snapshot)
            case do.RemoveRevision() | do.ReopenServices() | do.ForgetDeployment():
                await self._part(action, snapshot)
            case _:
                await Tender(self.kube, self.store).tend(action, agent)

    async def _set_finalizer(self, agent: AgentDeployment, *, present: bool) -> None:
        if not present:
            await self._check_nothing_left(agent)
        body = self.store.get(_key(agent))
        if body is None:
            raise NotNowError("the object is gone")
        metadata = body["metadata"]
        others = [f for f in metadata.get("finalizers") or () if f != names.FINALIZER]
        patch = {
            "metadata": {
                "finalizers": [*others, names.FINALIZER] if present else others,
                # A list is replaced as a whole: only on the version that it was read from.
                "resourceVersion": metadata["resourceVersion"],
            }
        }
        await self._patch(AGENT_DEPLOYMENTS, agent, agent.metadata.name, patch)

    async def _check_nothing_left(self, agent: AgentDeployment) -> None:
        """The store may lag behind: what it has not seen yet would be left for ever."""
        selector = f"{names.AGENT_LABEL}={agent.metadata.name}"
        found, _ = await self.kube.list(
            REPLICA_SETS, agent.metadata.namespace, labelSelector=selector
        )
        # Orphaned ones were left on purpose.
        left = [body for body in found if not orphans.kept(body)]
        for body in left:
            await self._take_back(agent, body)
        if left:
            raise NotNowError(f"{len(left)} ReplicaSets are left")

    async def _take_back(self, agent: AgentDeployment, body: Body) -> None:
        """A revision that was not seen; somebody may have taken the label that it is watched by."""
        metadata = body["metadata"]
        if (metadata.get("labels") or {}).get(names.MANAGED_BY_LABEL) == names.MANAGER:
            self.store.put(REPLICA_SETS, {**body, "kind": REPLICA_SETS.kind})
            return
        patch = {"metadata": {"labels": {names.MANAGED_BY_LABEL: names.MANAGER}}}
        await self._patch(REPLICA_SETS, agent, metadata["name"], patch)

    async def _create(self, action: do.CreateRevision, agent: AgentDeployment) -> None:
        wanted = action.wanted
        made = [
            body
            for body in self.store.children(REPLICA_SETS, _key(agent))
            if body["metadata"]["name"] == wanted.name
        ]
        if any("deletionTimestamp" in body["metadata"] for body in made):
            raise NotNowError(f"a ReplicaSet named {wanted.name} is still being deleted")
        # What runs never changes once made, not even when a newer operator renders it otherwise.
        if not made:
            manifest = manifests.replica_set(agent, wanted)
            self.store.put(REPLICA_SETS, await self.kube.apply(REPLICA_SETS, manifest))
        await self._apply_service(agent, wanted.name, wanted.uri)

    async def _apply_service(self, agent: AgentDeployment, name: str, uri: str) -> None:
        manifest = manifests.service(agent, name, urlsplit(uri).port or agent.spec.port)
        self.store.put(SERVICES, await self.kube.apply(SERVICES, manifest))

    async def _scale(self, action: do.ScaleRevision | do.LetSleep, agent: AgentDeployment) -> None:
        if isinstance(action, do.LetSleep):
            if moved := await self._touched(action):
                await self._note(agent, action.revision, moved.notes)
                return
            action = do.ScaleRevision(action.revision, 0)
        waking = action.replicas > 0 and action.revision.replicas == 0
        now = times.rfc3339(datetime.now(UTC))
        notes = {
            names.QUIET_SINCE_ANNOTATION: None,
            names.UNTOUCHED_SINCE_ANNOTATION: None,
            names.WAKING_ANNOTATION: now if waking else None,
        }
        patch = {"metadata": {"annotations": notes}, "spec": {"replicas": action.replicas}}
        await self._patch(REPLICA_SETS, agent, action.revision.name, patch)
        if waking or not action.replicas:
            log.info("%s %s", "waking" if waking else "scaled to zero:", action.revision.name)

    async def _touched(self, action: do.LetSleep) -> do.Annotate | None:
        """The last look before an active revision's pods go: was there a turn after all?"""
        server, deployment_id = action.revision.restate, action.deployment_id
        view = await self.restate.fresh_view(server)
        if view.load(deployment_id).calls:
            self.restate.forget(server)
            raise NotNowError(f"{action.revision.name} is at work")
        last = await self.restate.client(server).last_turn(deployment_id)
        # The note has whole seconds.
        if last and last >= action.since + timedelta(seconds=1):
            return do.mark_untouched(action.revision, last)
        return None

    async def _drive(
        self,
        action: do.ResumeInvocations | do.EndInvocations | do.MoveInvocations | do.RepinInvocations,
        snapshot: Snapshot,
    ) -> None:
        match action:
            case do.EndInvocations():
                await self._end(action)
            case do.MoveInvocations():
                await self._move(action, snapshot)
            case do.RepinInvocations():
                await repin(action, self.restate.client(action.revision.restate))
            case do.ResumeInvocations():
                await self._resume(action, snapshot.agent)

    async def _resume(self, action: do.ResumeInvocations, agent: AgentDeployment) -> None:
        """Until nothing waits: right after its pods are ready, a Service may not lead there yet."""
        server = action.revision.restate
        resumed = await self.restate.client(server).resume_unanswered(action.deployment_id)
        self.restate.forget(server)
        if resumed:
            log.info("%s has pods again: resumed %d", action.revision.name, resumed)
            raise NotNowError(f"{resumed} invocations were resumed; whether they run is seen later")
        await self._note(agent, action.revision, {names.WAKING_ANNOTATION: None})

    async def _end(self, action: do.EndInvocations) -> None:
        server, name = action.revision.restate, action.revision.name
        ended = await self.restate.client(server).end_invocations(action.deployment_id, action.how)
        self.restate.forget(server)
        log.warning("%s: asked Restate to %s %d invocations", name, action.how, ended)
        # A cancelled turn takes its time: the next request is held back as after a failure.
        raise NotNowError(f"{ended} invocations are being ended ({action.how})")

    async def _move(self, action: do.MoveInvocations, snapshot: Snapshot) -> None:
        revision, agent = action.revision, snapshot.agent

        async def write(record: Moves) -> None:
            note = {names.MOVES_ANNOTATION: move_record.dump(record)}
            await self._note(agent, revision, note)

        async def tell(record: Moves) -> None:
            await recorder.record(self.kube, agent, mover.event(revision.name, record))

        invocations = Invocations(self.restate.client(revision.restate))
        try:
            await mover.Mover(action, snapshot, invocations, write, tell).run()
        finally:
            self.restate.forget(revision.restate)

    async def _register(
        self, action: do.CheckRevision | do.RegisterRevision, snapshot: Snapshot
    ) -> None:
        registrar, revision = Registrar(self.kube, self.restate), action.revision
        try:
            await registrar.check(revision, snapshot)
            if isinstance(action, do.CheckRevision):
                checked = {names.CHECKED_ANNOTATION: times.rfc3339(datetime.now(UTC))}
                await self._note(snapshot.agent, revision, checked)
                return
            if not revision.registering:
                now = times.rfc3339(datetime.now(UTC))
                note = {names.REGISTERING_ANNOTATION: now}
                await self._note(snapshot.agent, revision, note)
            deployment = await registrar.register(revision, snapshot)
            # In one request, what the next look would find missing. Nobody has talked to it yet.
            notes = {
                **ids_to_note(revision, deployment.id),
                names.UNTOUCHED_SINCE_ANNOTATION: None,
            }
            await self._note(snapshot.agent, revision, notes, roles.ACTIVE)
        except RegistrationRefusedError as error:
            # Work waits for a lost one: a refusal is no final word, nor a failed rollout.
            if revision is not snapshot.target:
                raise NotNowError(str(error)) from error
            failure = json.dumps(asdict(Failure(error.reason, str(error))))
            await self._note(snapshot.agent, revision, {names.FAILURE_ANNOTATION: failure})

    async def _gate(
        self, action: do.StartGate | do.TrustGate | do.RemoveGate, snapshot: Snapshot
    ) -> None:
        note = await GateRuns(self.kube, self.store, self.settings).run(action, snapshot)
        if note:
            await self._note(snapshot.agent, note.revision, note.notes)

    async def _part(
        self,
        action: do.RemoveRevision | do.ReopenServices | do.ForgetDeployment,
        snapshot: Snapshot,
    ) -> None:
        match action:
            case do.RemoveRevision():
                await self._remove(action, snapshot)
            case do.ForgetDeployment():
                await self._forget(action, snapshot)
            case do.ReopenServices():
                await Registrar(self.kube, self.restate).reopen(action.revision)
                opened = {names.CLOSED_ANNOTATION: None}
                await self._note(snapshot.agent, action.revision, opened)

    async def _remove(self, action: do.RemoveRevision, snapshot: Snapshot) -> None:
        revision = action.revision

        def may_go(view: RestateView) -> bool:
            seen = replace(snapshot, restates={**snapshot.restates, revision.restate: view})
            standings = judge_all(seen, datetime.now(UTC))
            target_active = any(s.active and s.revision.name == seen.wanted.name for s in standings)
            standing = next(s for s in standings if s.revision.name == revision.name)
            return may_remove(seen, standing, target_active=target_active)

        async def closing(services: Sequence[str]) -> None:
            note = {names.CLOSED_ANNOTATION: ",".join(services)}
            await self._note(snapshot.agent, revision, note)

        server = revision.restate
        if action.deployment_id:
            registrar = Registrar(self.kube, self.restate)
            await registrar.deregister(server, action.deployment_id, may_go, closing)
        elif revision.registering and not may_go(await self.restate.fresh_view(server)):
            self.restate.forget(server)
            raise NotNowError(f"{revision.name} is needed again")
        await self._delete_revision(snapshot.agent, revision.name)
        log.info("removed %s", revision.name)

    async def _delete_revision(self, agent: AgentDeployment, name: str) -> None:
        # The ReplicaSet last: it is what a look finds the revision by.
        for resource in (SERVICES, REPLICA_SETS):
            await self.kube.delete(resource, agent.metadata.namespace, name)
            self.store.deleted_child(resource, _key(agent), name)

    async def _forget(self, action: do.ForgetDeployment, snapshot: Snapshot) -> None:
        await Registrar(self.kube, self.restate).deregister(
            action.restate,
            action.deployment_id,
            lambda view: may_forget(snapshot, view, action.deployment_id),
            _nothing_to_note,
        )
        log.info("deregistered %s, whose revision is gone", action.deployment_id)

    async def _note(
        self,
        agent: AgentDeployment,
        revision: Revision,
        notes: Mapping[str, str | None],
        role: str | None = None,
    ) -> None:
        patch: Body = {"metadata": {"annotations": dict(notes)}}
        if role:
            patch["spec"] = {"template": {"metadata": {"labels": {names.ROLE_LABEL: role}}}}
        await self._patch(REPLICA_SETS, agent, revision.name, patch)

    async def _patch(
        self, resource: Resource, agent: AgentDeployment, name: str, patch: Body
    ) -> None:
        namespace = agent.metadata.namespace
        self.store.put(resource, await self.kube.merge(resource, namespace, name, patch))


async def _nothing_to_note(_: Sequence[str]) -> None:
    """A ghost is closed only in deletion, which is not taken back: so it stays closed."""


def _key(agent: AgentDeployment) -> Key:
    return agent.metadata.namespace, agent.metadata.name

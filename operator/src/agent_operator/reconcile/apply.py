"""Carry a plan out: each action idempotent, so that a crash between two is repaired by a look."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

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
from agent_operator.reconcile import manifests
from agent_operator.reconcile.compatibility import breaking_changes
from agent_operator.reconcile.plan import may_remove
from agent_operator.reconcile.snapshot import Failure, Revision, Snapshot
from agent_operator.reconcile.standing import BREAKING_CHANGES, full_name, is_of, judge_all, owner
from agent_operator.restate.client import RegistrationRefusedError
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.view import Deployment, RestateView, Service

log = logging.getLogger(__name__)


class NotNowError(Exception):
    """An action was not carried out, since the world is not as the plan took it to be."""


@dataclass(frozen=True)
class Applier:
    """Where actions take effect."""

    kube: Kube
    store: Store
    restate: RestateObserver

    async def apply(self, action: do.Action, snapshot: Snapshot) -> None:
        """Carry out one action.

        Raises:
            KubeError, RestateUnavailableError, DiscoveryError, NotNowError: it did not happen,
                or only in part; the next look says what is left to do.
        """
        match action:
            case do.AddFinalizer() | do.RemoveFinalizer():
                present = isinstance(action, do.AddFinalizer)
                await self._set_finalizer(snapshot.agent, present=present)
            case do.CreateRevision():
                await self._create(action, snapshot.agent)
            case do.ScaleRevision():
                await self._scale(action, snapshot.agent)
            case do.MarkIdle() | do.MarkQuiet():
                await self._mark(action, snapshot.agent)
            case do.ResumeInvocations():
                await self._resume(action, snapshot.agent)
            case do.RegisterRevision():
                await self._register(action.revision, snapshot)
            case do.RemoveRevision():
                await self._remove(action, snapshot)
            case do.ForgetDeployment():
                await self._forget(action)

    async def _set_finalizer(self, agent: AgentDeployment, *, present: bool) -> None:
        others = [f for f in agent.metadata.finalizers if f != names.FINALIZER]
        body = self.store.get((agent.metadata.namespace, agent.metadata.name)) or {}
        patch = {
            "metadata": {
                "finalizers": [*others, names.FINALIZER] if present else others,
                # A list is replaced as a whole: only on the version that it was read from.
                "resourceVersion": body.get("metadata", {}).get("resourceVersion"),
            }
        }
        await self._patch(AGENT_DEPLOYMENTS, agent, agent.metadata.name, patch)

    async def _create(self, action: do.CreateRevision, agent: AgentDeployment) -> None:
        key = _key(agent)
        made = {body["metadata"]["name"] for body in self.store.children(REPLICA_SETS, key)}
        wanted = action.wanted
        self.store.put(SERVICES, await self.kube.apply(SERVICES, manifests.service(agent, wanted)))
        # What runs never changes once made, not even when a newer operator renders it otherwise.
        if wanted.name not in made:
            manifest = manifests.replica_set(agent, wanted)
            self.store.put(REPLICA_SETS, await self.kube.apply(REPLICA_SETS, manifest))

    async def _scale(self, action: do.ScaleRevision, agent: AgentDeployment) -> None:
        waking = action.replicas > 0 and action.revision.replicas == 0
        now = times.rfc3339(datetime.now(UTC))
        notes = {
            names.QUIET_SINCE_ANNOTATION: None,
            names.WAKING_ANNOTATION: now if waking else None,
        }
        patch = {"metadata": {"annotations": notes}, "spec": {"replicas": action.replicas}}
        await self._patch(REPLICA_SETS, agent, action.revision.name, patch)
        if waking or not action.replicas:
            log.info("%s %s", "waking" if waking else "scaled to zero:", action.revision.name)

    async def _mark(self, action: do.MarkIdle | do.MarkQuiet, agent: AgentDeployment) -> None:
        idle = isinstance(action, do.MarkIdle)
        name = names.IDLE_SINCE_ANNOTATION if idle else names.QUIET_SINCE_ANNOTATION
        since = times.rfc3339(action.since) if action.since else None
        await self._note(agent, action.revision, {name: since})

    async def _resume(self, action: do.ResumeInvocations, agent: AgentDeployment) -> None:
        url = action.revision.admin_url
        resumed = await self.restate.client(url).resume_waiting(action.deployment_id)
        await self._note(agent, action.revision, {names.WAKING_ANNOTATION: None})
        self.restate.forget(url)
        log.info("%s has pods again: resumed %d invocations", action.revision.name, resumed)

    async def _register(self, revision: Revision, snapshot: Snapshot) -> None:
        view = snapshot.restates[revision.admin_url]
        if not isinstance(view, RestateView):
            raise NotNowError("Restate can't be asked who serves what")
        client = self.restate.client(revision.admin_url)
        metadata = {
            names.OWNER_KEY: full_name(snapshot),
            names.REVISION_LABEL: revision.name,
        }
        again = view.by_uri(revision.uri) is not None
        allow = snapshot.agent.spec.rollout.breaking_changes == "Allow"
        try:
            offered = await client.discover(revision.uri, again=again, allow_breaking=allow)
            _check(offered, view, snapshot, going_back=again)
            if not revision.registering:
                now = times.rfc3339(datetime.now(UTC))
                await self._note(snapshot.agent, revision, {names.REGISTERING_ANNOTATION: now})
            deployment = await client.register(
                revision.uri, metadata, again=again, allow_breaking=allow
            )
        except RegistrationRefusedError as error:
            await self._fail(snapshot.agent, revision, Failure(error.reason, str(error)))
            return
        finally:
            self.restate.forget(revision.admin_url)
        if revision.deployment_id != deployment.id:
            notes = {
                names.DEPLOYMENT_ID_ANNOTATION: deployment.id,
                names.FAILURE_ANNOTATION: None,  # of before breaking changes were allowed
            }
            await self._note(snapshot.agent, revision, notes)
        log.info("registered %s as %s", revision.name, deployment.id)

    async def _remove(self, action: do.RemoveRevision, snapshot: Snapshot) -> None:
        revision = action.revision
        if action.deployment_id:
            await self._deregister(action, action.deployment_id, snapshot)
        agent = snapshot.agent
        # The Service last: the ReplicaSet is what a look finds the revision by.
        await self.kube.delete(SERVICES, agent.metadata.namespace, revision.name)
        await self.kube.delete(REPLICA_SETS, agent.metadata.namespace, revision.name)
        for resource in (SERVICES, REPLICA_SETS):
            for body in self.store.children(resource, _key(agent)):
                if body["metadata"]["name"] == revision.name:
                    self.store.remove(resource, body)
        log.info("removed %s", revision.name)

    async def _deregister(
        self, action: do.RemoveRevision, deployment_id: str, snapshot: Snapshot
    ) -> None:
        """Deregister, after a last look at what needs the deployment: this can't be undone."""
        url = action.revision.admin_url
        client = self.restate.client(url)
        view = await self._last_look(action, snapshot)
        # What still routes here leaves with it. The ingress refuses new turns of it first, so that
        # none slips in between the last look and the end.
        closing = [s.name for s in view.routed_to(deployment_id) if s.public]
        try:
            for service in closing:
                await client.set_public(service, public=False)
            if closing:
                await self._last_look(action, snapshot)
        except NotNowError:
            for service in closing:
                await client.set_public(service, public=True)
            raise
        await client.deregister(deployment_id)
        self.restate.forget(url)

    async def _last_look(self, action: do.RemoveRevision, snapshot: Snapshot) -> RestateView:
        """What Restate says now; refuses to go on where the revision is needed after all."""
        name, url = action.revision.name, action.revision.admin_url
        view = await self.restate.fresh_view(url)
        seen = replace(snapshot, restates={**snapshot.restates, url: view})
        standings = judge_all(seen, datetime.now(UTC))
        target_active = any(s.active and s.revision.name == seen.wanted.name for s in standings)
        standing = next(s for s in standings if s.revision.name == name)
        if not may_remove(standing, target_active=target_active, deleting=snapshot.agent.deleting):
            self.restate.forget(url)
            raise NotNowError(f"{name} is needed again")
        return view

    async def _forget(self, action: do.ForgetDeployment) -> None:
        view = await self.restate.fresh_view(action.admin_url)
        wanted = view.load(action.deployment_id).counts.total
        if wanted or view.holds_a_route(action.deployment_id):
            raise NotNowError(f"{action.deployment_id} is needed again")
        await self.restate.client(action.admin_url).deregister(action.deployment_id)
        self.restate.forget(action.admin_url)
        log.info("deregistered %s, whose revision is gone", action.deployment_id)

    async def _fail(self, agent: AgentDeployment, revision: Revision, failure: Failure) -> None:
        await self._note(agent, revision, {names.FAILURE_ANNOTATION: json.dumps(asdict(failure))})

    async def _note(
        self, agent: AgentDeployment, revision: Revision, notes: Mapping[str, str | None]
    ) -> None:
        patch: Body = {"metadata": {"annotations": dict(notes)}}
        await self._patch(REPLICA_SETS, agent, revision.name, patch)

    async def _patch(
        self, resource: Resource, agent: AgentDeployment, name: str, patch: Body
    ) -> None:
        namespace = agent.metadata.namespace
        self.store.put(resource, await self.kube.merge(resource, namespace, name, patch))


def _key(agent: AgentDeployment) -> Key:
    return agent.metadata.namespace, agent.metadata.name


def _check(
    offered: Sequence[Service], view: RestateView, snapshot: Snapshot, *, going_back: bool
) -> None:
    """Refuse a revision that serves nothing, what is another agent's, or less than before."""
    if not offered:
        raise RegistrationRefusedError("the image serves no Restate service at all")
    for service in offered:
        holder = view.by_id(view.route(service.name))
        if holder and owner(holder) and not is_of(snapshot, holder):
            raise RegistrationRefusedError(
                f"service {service.name} is served by AgentDeployment {owner(holder)} already;"
                " give this one's service another name, or delete that AgentDeployment"
            )
    # Going back is wanted as it is: what the newer revision added may go again.
    if going_back or snapshot.agent.spec.rollout.breaking_changes == "Allow":
        return
    ours = [s for s in view.services if _is_ours(view.by_id(s.deployment_id), snapshot)]
    if changes := breaking_changes(ours, offered):
        raise RegistrationRefusedError(
            f"callers would miss something: {'; '.join(changes)}. Mend the image, or set"
            " spec.rollout.breakingChanges to Allow",
            BREAKING_CHANGES,
        )


def _is_ours(deployment: Deployment | None, snapshot: Snapshot) -> bool:
    return deployment is not None and is_of(snapshot, deployment)

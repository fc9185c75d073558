"""Registering a revision with Restate, and deregistering what nothing needs."""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from agent_operator.api import names
from agent_operator.kube.client import AGENT_DEPLOYMENTS, Kube
from agent_operator.kube.errors import KubeError
from agent_operator.reconcile import clusters, headers
from agent_operator.reconcile.compatibility import breaking_changes
from agent_operator.reconcile.errors import AddressTakenError, NotNowError, ServiceTakenError
from agent_operator.reconcile.last_active import last_active
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.reconcile.standing import BREAKING_CHANGES, full_name, is_of, owner
from agent_operator.restate.client import (
    Calls,
    RegistrationRefusedError,
    RestateUnavailableError,
)
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import Server
from agent_operator.restate.view import Deployment, RestateView, Service

log = logging.getLogger(__name__)

FORBIDDEN: Final = 403


@dataclass(frozen=True)
class Registrar:
    """Changes registrations, after the checks that keep them from harm."""

    kube: Kube
    restate: RestateObserver

    async def check(self, revision: Revision, snapshot: Snapshot) -> None:
        """A dry run: would Restate take it, and would callers and other agents be none the worse?

        Raises:
            RegistrationRefusedError: no, and trying again won't help.
            ServiceTakenError: not while another AgentDeployment serves one of its services.
            DiscoveryError, RestateUnavailableError: that can't be told now.
        """
        view = self._view(revision, snapshot)
        _check_cluster(revision, view, snapshot)
        offered = await self.restate.client(revision.restate).discover(
            revision.uri,
            again=_again(revision, view),
            allow_breaking=_allows_breaking(snapshot),
            calls=await self._calls(revision, snapshot),
        )
        if not offered:
            raise RegistrationRefusedError("the image serves no Restate service at all")
        for service in offered:
            await self._check_owner(service, view, snapshot)
        _check_compatibility(offered, view, snapshot, revision)

    async def register(self, revision: Revision, snapshot: Snapshot) -> Deployment:
        """Give a checked revision the new turns of its services. Raises as ``check``."""
        view = self._view(revision, snapshot)
        calls = await self._calls(revision, snapshot)
        metadata = {names.OWNER_KEY: full_name(snapshot), names.REVISION_LABEL: revision.name}
        if snapshot.cluster:
            metadata[names.CLUSTER_KEY] = snapshot.cluster
        try:
            deployment = await self.restate.client(revision.restate).register(
                revision.uri,
                metadata,
                again=_again(revision, view),
                allow_breaking=_allows_breaking(snapshot),
                calls=calls,
            )
        finally:
            self.restate.forget(revision.restate)
        log.info("registered %s as %s", revision.name, deployment.id)
        return deployment

    async def deregister(
        self,
        server: Server,
        deployment_id: str,
        may_go: Callable[[RestateView], bool],
        closing: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        """Deregister what may go by looks made right before: this can't be undone.

        ``closing`` is told which services are about to be closed to the ingress.

        Raises:
            NotNowError: it may not go after all.
            RestateUnavailableError: that can't be told, or was not done.
        """
        client = self.restate.client(server)
        view = await self._last_look(server, may_go)
        # What still routes here leaves with it. The ingress refuses new turns of it first, so that
        # none slips in between the last look and the end.
        closed = [s.name for s in view.routed_to(deployment_id) if s.public]
        if closed:
            await closing(closed)
        try:
            for service in closed:
                await client.set_public(service, public=False)
            if closed:
                await self._last_look(server, may_go)
            await client.deregister(deployment_id)
        except BaseException:
            for service in closed:
                with contextlib.suppress(RestateUnavailableError):
                    await client.set_public(service, public=True)
            raise
        finally:
            self.restate.forget(server)

    async def reopen(self, revision: Revision) -> None:
        """Let the ingress take new turns again of what was closed, and is still the revision's."""
        client = self.restate.client(revision.restate)
        view = await self.restate.fresh_view(revision.restate)
        deployment = view.by_uri(revision.uri)
        for service in view.routed_to(deployment.id) if deployment else ():
            if service.name in revision.closed and not service.public:
                await client.set_public(service.name, public=True)
                log.info("%s: opened %s to the ingress again", revision.name, service.name)
        self.restate.forget(revision.restate)

    async def _last_look(
        self, server: Server, may_go: Callable[[RestateView], bool]
    ) -> RestateView:
        view = await self.restate.fresh_view(server)
        if not may_go(view):
            self.restate.forget(server)
            raise NotNowError("it is needed again")
        return view

    def _view(self, revision: Revision, snapshot: Snapshot) -> RestateView:
        view = snapshot.restates[revision.restate]
        if not isinstance(view, RestateView):
            raise NotNowError("Restate can't be asked who serves what")
        return view

    async def _calls(self, revision: Revision, snapshot: Snapshot) -> Calls:
        namespace = snapshot.agent.metadata.namespace
        values = await headers.read(self.kube, namespace, revision.calling)
        return Calls(revision.calling.http11, values)

    async def _check_owner(self, service: Service, view: RestateView, snapshot: Snapshot) -> None:
        holder = view.by_id(view.route(service.name))
        other = owner(holder) if holder and not is_of(snapshot, holder) else None
        cluster = clusters.of_another(snapshot, holder) if holder else None
        if holder is None or other is None:
            return
        unseen = None if cluster else await self._why_unseen(other)
        if unseen and unseen.missing:
            return
        where = f" of cluster {cluster}" if cluster else ""
        doubt = f"; {_in_doubt(unseen, holder)}" if unseen else ""
        raise ServiceTakenError(
            f"service {service.name} is served by AgentDeployment {other}{where};"
            f" give this one's service another name, or delete that AgentDeployment{doubt}"
        )

    async def _why_unseen(self, agent: str) -> KubeError | None:
        """Why an AgentDeployment, as namespace/name, is not seen; ``None``: it is there."""
        try:
            await self.kube.get(AGENT_DEPLOYMENTS, *agent.split("/", 1))
        except KubeError as error:
            return error
        return None


def _in_doubt(unseen: KubeError, holder: Deployment) -> str:
    """An operator that watches some namespaces only may not look into others."""
    why = (
        "the operator may not read AgentDeployments there"
        if unseen.status == FORBIDDEN
        else str(unseen)
    )
    return (
        f"whether it still exists can't be told ({why}): if it is gone, deregister {holder.id} at"
        " that Restate by hand"
    )


def _again(revision: Revision, view: RestateView) -> bool:
    """Whether Restate has taken it before: then it must again, even after it lost it."""
    return view.by_uri(revision.uri) is not None or revision.deployment_id is not None


def _check_cluster(revision: Revision, view: RestateView, snapshot: Snapshot) -> None:
    holder = view.by_uri(revision.uri)
    other = clusters.of_another(snapshot, holder) if holder else None
    if other:
        raise AddressTakenError(
            f"{revision.uri} is registered at {revision.restate.url} by cluster {other}, and this"
            f" is {snapshot.cluster or 'one without an id'}: a name that only one cluster resolves"
            " can't be shared. Rename the agent or its namespace, or give the operators different"
            " cluster domains; if this cluster replaces that one, set its clusterID"
        )


def _allows_breaking(snapshot: Snapshot) -> bool:
    return snapshot.agent.spec.rollout.breaking_changes == "Allow"


def _check_compatibility(
    offered: Sequence[Service], view: RestateView, snapshot: Snapshot, revision: Revision
) -> None:
    # Going back is wanted as it is: what a newer revision added may go again. So is what was lost.
    if _is_known(revision, snapshot) or _allows_breaking(snapshot):
        return
    if lost := lost_last(revision, view, snapshot):
        raise NotNowError(
            f"{lost.name}, which took the turns last, is not registered at the moment, so there is"
            " nothing to compare with; rollout.breakingChanges: Allow goes on without"
        )
    active = _active_deployment(view, snapshot)
    served = view.routed_to(active.id) if active else ()
    if changes := breaking_changes(served, offered):
        raise RegistrationRefusedError(
            f"callers would miss something: {'; '.join(changes)}. Mend the image, or set"
            " spec.rollout.breakingChanges to Allow",
            BREAKING_CHANGES,
        )


def lost_last(revision: Revision, view: RestateView, snapshot: Snapshot) -> Revision | None:
    """What took the turns last, if its registration is lost: what is new waits for it."""
    last = _last(snapshot)
    if last is None or last.restate != revision.restate or last.deployment_id is None:
        return None
    if _is_known(revision, snapshot) or view.by_uri(last.uri):
        return None
    return last


def _is_known(revision: Revision, snapshot: Snapshot) -> bool:
    served = revision.name in snapshot.agent.status.get("history", ())
    return revision.deployment_id is not None or served


def _active_deployment(view: RestateView, snapshot: Snapshot) -> Deployment | None:
    last = _last(snapshot)
    return view.by_uri(last.uri) if last else None


def _last(snapshot: Snapshot) -> Revision | None:
    name = last_active(snapshot.agent)
    return next((r for r in snapshot.revisions if r.name == name), None)

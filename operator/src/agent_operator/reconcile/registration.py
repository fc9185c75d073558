"""Registering a revision with Restate, and deregistering what nothing needs."""

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent_operator.api import names
from agent_operator.kube.client import AGENT_DEPLOYMENTS, Kube
from agent_operator.kube.errors import KubeError
from agent_operator.reconcile.compatibility import breaking_changes
from agent_operator.reconcile.errors import NotNowError, ServiceTakenError
from agent_operator.reconcile.snapshot import Revision, Snapshot
from agent_operator.reconcile.standing import BREAKING_CHANGES, full_name, is_of, owner
from agent_operator.restate.client import RegistrationRefusedError, RestateUnavailableError
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.view import Deployment, RestateView, Service

log = logging.getLogger(__name__)


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
        offered = await self.restate.client(revision.admin_url).discover(
            revision.uri, again=_known(revision, view), allow_breaking=_allows_breaking(snapshot)
        )
        if not offered:
            raise RegistrationRefusedError("the image serves no Restate service at all")
        for service in offered:
            await self._check_owner(service, view, snapshot)
        _check_compatibility(offered, view, snapshot, revision)

    async def register(self, revision: Revision, snapshot: Snapshot) -> Deployment:
        """Give a checked revision the new turns of its services. Raises as ``check``."""
        view = self._view(revision, snapshot)
        metadata = {names.OWNER_KEY: full_name(snapshot), names.REVISION_LABEL: revision.name}
        try:
            deployment = await self.restate.client(revision.admin_url).register(
                revision.uri,
                metadata,
                again=_known(revision, view),
                allow_breaking=_allows_breaking(snapshot),
            )
        finally:
            self.restate.forget(revision.admin_url)
        log.info("registered %s as %s", revision.name, deployment.id)
        return deployment

    async def deregister(
        self, url: str, deployment_id: str, may_go: Callable[[RestateView], bool]
    ) -> None:
        """Deregister what may go by looks made right before: this can't be undone.

        Raises:
            NotNowError: it may not go after all.
            RestateUnavailableError: that can't be told, or was not done.
        """
        client = self.restate.client(url)
        view = await self._last_look(url, may_go)
        # What still routes here leaves with it. The ingress refuses new turns of it first, so that
        # none slips in between the last look and the end.
        closing = [s.name for s in view.routed_to(deployment_id) if s.public]
        try:
            for service in closing:
                await client.set_public(service, public=False)
            if closing:
                await self._last_look(url, may_go)
            await client.deregister(deployment_id)
        except BaseException:
            for service in closing:
                with contextlib.suppress(RestateUnavailableError):
                    await client.set_public(service, public=True)
            raise
        finally:
            self.restate.forget(url)

    async def _last_look(self, url: str, may_go: Callable[[RestateView], bool]) -> RestateView:
        view = await self.restate.fresh_view(url)
        if not may_go(view):
            self.restate.forget(url)
            raise NotNowError("it is needed again")
        return view

    def _view(self, revision: Revision, snapshot: Snapshot) -> RestateView:
        view = snapshot.restates[revision.admin_url]
        if not isinstance(view, RestateView):
            raise NotNowError("Restate can't be asked who serves what")
        return view

    async def _check_owner(self, service: Service, view: RestateView, snapshot: Snapshot) -> None:
        holder = view.by_id(view.route(service.name))
        other = owner(holder) if holder and not is_of(snapshot, holder) else None
        if other and await self._exists(other):
            raise ServiceTakenError(
                f"service {service.name} is served by AgentDeployment {other};"
                " give this one's service another name, or delete that AgentDeployment"
            )

    async def _exists(self, agent: str) -> bool:
        """Whether an AgentDeployment, as namespace/name, still is there; where in doubt, it is."""
        try:
            await self.kube.get(AGENT_DEPLOYMENTS, *agent.split("/", 1))
        except KubeError as error:
            return not error.missing
        return True


def _known(revision: Revision, view: RestateView) -> bool:
    return view.by_uri(revision.uri) is not None


def _allows_breaking(snapshot: Snapshot) -> bool:
    return snapshot.agent.spec.rollout.breaking_changes == "Allow"


def _check_compatibility(
    offered: Sequence[Service], view: RestateView, snapshot: Snapshot, revision: Revision
) -> None:
    # Going back is wanted as it is: what a newer revision added may go again.
    if _allows_breaking(snapshot) or revision.name in snapshot.agent.status.get("history", ()):
        return
    active = _active_deployment(view, snapshot)
    served = view.routed_to(active.id) if active else ()
    if changes := breaking_changes(served, offered):
        raise RegistrationRefusedError(
            f"callers would miss something: {'; '.join(changes)}. Mend the image, or set"
            " spec.rollout.breakingChanges to Allow",
            BREAKING_CHANGES,
        )


def _active_deployment(view: RestateView, snapshot: Snapshot) -> Deployment | None:
    name = snapshot.agent.status.get("activeRevision")
    uri = next((r.uri for r in snapshot.revisions if r.name == name), None)
    return view.by_uri(uri) if uri else None

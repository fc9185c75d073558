"""Carry out what goes along with a plan's main actions."""

from dataclasses import dataclass
from http import HTTPStatus

from agent_operator.api import AgentDeployment, names
from agent_operator.kube.client import (
    AUTOSCALERS,
    BUDGETS,
    PODS,
    REPLICA_SETS,
    SERVICES,
    Body,
    Kube,
    Resource,
)
from agent_operator.kube.errors import KubeError
from agent_operator.kube.store import Key, Store, key_of
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import companions
from agent_operator.reconcile.errors import NameTakenError, NotNowError


@dataclass(frozen=True)
class Tender:
    """Looks after names, labels, autoscalers and budgets."""

    kube: Kube
    store: Store

    async def tend(self, action: do.Tending, agent: AgentDeployment) -> None:
        """Carry out one action.

        Raises:
            KubeError, NameTakenError, NotNowError: it did not happen, or only in part.
        """
        name = action.revision.name
        match action:
            case do.PublishUnready():
                patch = {"spec": {"publishNotReadyAddresses": action.early}}
                await self._patch(SERVICES, agent, name, patch)
            case do.LabelPods():
                await self._label(agent, action)
            case do.PointService():
                await self._point(agent, action)
            case do.SetAutoscaler():
                await self._set_autoscaler(agent, action)
            case do.SetBudget():
                await self._set_budget(agent, action)

    async def _set_autoscaler(self, agent: AgentDeployment, action: do.SetAutoscaler) -> None:
        if action.autoscaler is None:
            await self._delete(AUTOSCALERS, agent, action.revision.name)
            return
        replica_set = self._replica_set(agent, action.revision.name)
        manifest = companions.autoscaler(agent, replica_set, action.autoscaler)
        self.store.put(AUTOSCALERS, await self.kube.apply(AUTOSCALERS, manifest))

    async def _set_budget(self, agent: AgentDeployment, action: do.SetBudget) -> None:
        if not action.present:
            await self._delete(BUDGETS, agent, action.revision.name)
            return
        manifest = companions.budget(agent, self._replica_set(agent, action.revision.name))
        self.store.put(BUDGETS, await self.kube.apply(BUDGETS, manifest))

    async def _label(self, agent: AgentDeployment, action: do.LabelPods) -> None:
        patch = {"metadata": {"labels": {names.ROLE_LABEL: action.role}}}
        for pod in action.pods:
            try:
                await self._patch(PODS, agent, pod, patch)
            except KubeError as error:
                if not error.missing:
                    raise

    async def _point(self, agent: AgentDeployment, action: do.PointService) -> None:
        revision, port = action.revision.name, action.port
        if not action.exists and await self._make(agent, companions.front(agent, revision, port)):
            return
        patch = {"spec": companions.front_spec(revision, port)}
        await self._patch(SERVICES, agent, agent.metadata.name, patch)

    async def _make(self, agent: AgentDeployment, manifest: Body) -> bool:
        """Whether it was made; otherwise it is there already, and is the agent's own."""
        namespace, name = _key(agent)
        try:
            self.store.put(SERVICES, await self.kube.create(SERVICES, namespace, manifest))
        except KubeError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
        else:
            return True
        found = await self.kube.get(SERVICES, namespace, name)
        labels = found["metadata"].get("labels") or {}
        managed = labels.get(names.MANAGED_BY_LABEL) == names.MANAGER
        if not managed or key_of(SERVICES, found) != _key(agent):
            raise NameTakenError(f"a Service named {name} exists that is not this agent's")
        self.store.put(SERVICES, found)
        return False

    def _replica_set(self, agent: AgentDeployment, name: str) -> Body:
        for body in self.store.children(REPLICA_SETS, _key(agent)):
            if body["metadata"]["name"] == name:
                return body
        raise NotNowError(f"ReplicaSet {name} is gone")

    async def _patch(
        self, resource: Resource, agent: AgentDeployment, name: str, patch: Body
    ) -> None:
        namespace = agent.metadata.namespace
        self.store.put(resource, await self.kube.merge(resource, namespace, name, patch))

    async def _delete(self, resource: Resource, agent: AgentDeployment, name: str) -> None:
        await self.kube.delete(resource, agent.metadata.namespace, name)
        self.store.deleted_child(resource, _key(agent), name)


def _key(agent: AgentDeployment) -> Key:
    return agent.metadata.namespace, agent.metadata.name

"""Plain JSON requests to the API server over ``kubernetes.aio``'s connection and credentials.

The generated API classes turn answers into models; kopf and this operator work on mappings, and
server-side apply takes mappings, so only the client's transport is used.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from kubernetes.aio import client as kube_client
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import exceptions as kube_exceptions

from agent_operator.api import names
from agent_operator.kube.errors import KubeError

Body = dict[str, Any]

TIMEOUT_SECONDS: Final = 30
CONNECTIONS: Final = 16
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
JSON: Final = "application/json"
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@dataclass(frozen=True)
class Resource:
    """A kind of object, as its address needs it."""

    kind: str
    plural: str
    base: str
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """The address of an object, or of a list of them (of all namespaces without one)."""
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return "/".join(p for p in (f"{self.base}{inside}/{self.plural}", name, subresource) if p)


AGENT_DEPLOYMENTS: Final = Resource(names.KIND, names.PLURAL, names.API_PATH)
REPLICA_SETS: Final = Resource("ReplicaSet", "replicasets", "/apis/apps/v1")
SERVICES: Final = Resource("Service", "services", "/api/v1")
PODS: Final = Resource("Pod", "pods", "/api/v1")
CONFIG_MAPS: Final = Resource("ConfigMap", "configmaps", "/api/v1")
SECRETS: Final = Resource("Secret", "secrets", "/api/v1")
JOBS: Final = Resource("Job", "jobs", "/apis/batch/v1")
AUTOSCALERS: Final = Resource(
    "HorizontalPodAutoscaler", "horizontalpodautoscalers", "/apis/autoscaling/v2"
)
BUDGETS: Final = Resource("PodDisruptionBudget", "poddisruptionbudgets", "/apis/policy/v1")
EVENTS: Final = Resource("Event", "events", "/api/v1")
CHILDREN_RESOURCES: Final = (REPLICA_SETS, SERVICES, PODS, JOBS, AUTOSCALERS, BUDGETS)
"""What belongs to an AgentDeployment and is watched for it."""

CRDS: Final = Resource(
    "CustomResourceDefinition",
    "customresourcedefinitions",
    "/apis/apiextensions.k8s.io/v1",
    namespaced=False,
)


class Kube:
    """One connection to the API server."""

    def __init__(self, api: kube_client.ApiClient) -> None:
        self._api = api

    @classmethod
    async def connect(cls) -> "Kube":
        """Connect as the pod's service account, or with KUBECONFIG outside of a cluster."""
        configuration = kube_client.Configuration()
        # Each costs a handshake and a quarter of a megabyte.
        configuration.connection_pool_maxsize = CONNECTIONS
        try:
            await cls._configure(configuration)
        except (kube_config.ConfigException, OSError) as error:
            raise KubeError(
                0, f"no way to reach a cluster: {error}; set KUBECONFIG to a kubeconfig file"
            ) from error
        return cls(kube_client.ApiClient(configuration))

    @staticmethod
    async def _configure(configuration: kube_client.Configuration) -> None:
        if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
            kube_config.load_incluster_config(client_configuration=configuration)
            # No proxy leads to the API server from inside; to look for one, and for a netrc file,
            # at each request took a tenth of the operator's time.
            configuration.client_session_kwargs = {"trust_env": False}
        else:
            path = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
            await kube_config.load_kube_config(config_file=path, client_configuration=configuration)

    async def close(self) -> None:
        """Let the connections go."""
        await self._api.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Body:
        """One object."""
        return await self.request("GET", resource.path(namespace, name))

    async def metadata(self, resource: Resource, namespace: str | None, name: str) -> Body:
        """An object's metadata, and nothing of what is in it."""
        return await self.request("GET", resource.path(namespace, name), accept=METADATA)

    async def list(
        self, resource: Resource, namespace: str | None = None, **query: str
    ) -> tuple[list[Body], str]:
        """All objects of a kind, of one namespace or of all, and the version they were read at."""
        answer = await self.request("GET", resource.path(namespace), query=query)
        return list(answer.get("items") or ()), str(answer["metadata"].get("resourceVersion", ""))

    async def apply(self, resource: Resource, body: Body, subresource: str = "") -> Body:
        """Server-side apply of an object as this operator wants it; answers what it became."""
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        query = {"fieldManager": names.MANAGER, "force": "true"}
        return await self.request("PATCH", path, body=body, query=query, content_type=APPLY)

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Body) -> Body:
        """Change the fields named in a patch; ``None`` removes one."""
        path = resource.path(namespace, name)
        query = {"fieldManager": names.MANAGER}
        return await self.request("PATCH", path, body=patch, query=query, content_type=MERGE)

    async def create(self, resource: Resource, namespace: str | None, body: Body) -> Body:
        """Make a new object."""
        return await self.request("POST", resource.path(namespace), body=body)

    async def delete(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Delete an object, its dependents in the background; one that is gone already is fine."""
        options = {"propagationPolicy": "Background"}
        try:
            await self.request("DELETE", resource.path(namespace, name), body=options)
        except KubeError as error:
            if not error.missing:
                raise

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Body:
        """Send a request; answer the JSON object that comes back.

        Raises:
            KubeError: the API server refused it, or could not be asked.
        """
        prepared = await self._api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": accept, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = await self._api.call_api(*prepared, _request_timeout=TIMEOUT_SECONDS)
            await response.read()
        except kube_exceptions.ApiException as error:
            raise KubeError(error.status or 0, str(error.reason)) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise KubeError(0, f"the API server can't be reached: {error!r}") from error
        return _answer(response)


def _answer(response: Any) -> Body:
    try:
        answer = json.loads(response.data or b"{}")
    except ValueError as error:
        raise KubeError(response.status, "the API server answered no JSON") from error
    if response.status >= 400:
        raise KubeError(response.status, answer.get("message") or str(response.reason))
    return dict(answer)

"""What a revision is made of in the cluster: one ReplicaSet and one Service.

They belong to their AgentDeployment by label and by the operator's finalizer, not by owner
references: the garbage collector would take them away at a foreground deletion (Argo CD's default)
while turns still need them (docs/decisions/0007).
"""

from collections.abc import Sequence
from typing import Any, Final

from agent_operator.api import AgentDeployment, names
from agent_operator.api.base import ApiModel
from agent_operator.reconcile import restates
from agent_operator.reconcile.revisions import Wanted

Manifest = dict[str, Any]

# An agent finishes the calls in flight before it goes; the agent service takes 30 s at most.
TERMINATION_GRACE_SECONDS: Final = 45
STARTUP_SECONDS: Final = 600


def replica_set(agent: AgentDeployment, revision: Wanted) -> Manifest:
    """The ReplicaSet of a revision; its template never changes after creation."""
    labels = _labels(agent, revision.name)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            **_metadata(agent, revision.name),
            "annotations": {
                **restates.notes(revision.restate, revision.calling, agent.metadata.namespace),
                names.URI_ANNOTATION: revision.uri,
            },
        },
        "spec": {
            "replicas": revision.replicas,
            "selector": {"matchLabels": _selector(revision.name)},
            "template": {"metadata": {"labels": labels}, "spec": _pod(agent, revision)},
        },
    }


def service(agent: AgentDeployment, name: str, port: int) -> Manifest:
    """The Service of a revision, by name: the address that Restate calls it at."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(agent, name),
        "spec": {
            "selector": _selector(name),
            # Until it is registered: see reach.py.
            "publishNotReadyAddresses": True,
            "ports": [
                {
                    "name": "restate",
                    "port": port,
                    "targetPort": "restate",
                    "appProtocol": "kubernetes.io/h2c",
                }
            ],
        },
    }


def selector_text(revision: str) -> str:
    """The label selector of a revision's pods, as kubectl takes it."""
    return f"{names.REVISION_LABEL}={revision}"


def _selector(revision: str) -> dict[str, str]:
    return {names.REVISION_LABEL: revision}


def _labels(agent: AgentDeployment, revision: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": agent.metadata.name,
        names.MANAGED_BY_LABEL: names.MANAGER,
        names.AGENT_LABEL: agent.metadata.name,
        names.REVISION_LABEL: revision,
    }


def _metadata(agent: AgentDeployment, revision: str) -> Manifest:
    return {
        "name": revision,
        "namespace": agent.metadata.namespace,
        "labels": _labels(agent, revision),
    }


def _pod(agent: AgentDeployment, revision: Wanted) -> Manifest:
    spec = agent.spec
    pod: Manifest = {
        "enableServiceLinks": False,
        "automountServiceAccountToken": spec.service_account_name is not None,
        "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(agent, revision)],
        # The root file system is read-only; libraries still expect to write here.
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    if spec.service_account_name:
        pod["serviceAccountName"] = spec.service_account_name
    if spec.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret.name} for secret in spec.image_pull_secrets]
    return pod


def _container(agent: AgentDeployment, revision: Wanted) -> Manifest:
    spec = agent.spec
    probe = {"httpGet": {"path": "/health", "port": "restate"}, "timeoutSeconds": 5}
    container: Manifest = {
        "name": names.IMAGE_CONTAINER,
        "image": spec.image,
        "ports": [{"name": "restate", "containerPort": spec.port}],
        "env": _env(agent, revision),
        "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": STARTUP_SECONDS},
        "readinessProbe": {**probe, "periodSeconds": 5},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - in the pod
    }
    optional = {
        "imagePullPolicy": spec.image_pull_policy,
        "command": spec.command,
        "args": spec.args,
        "envFrom": _dump_all(spec.env_from),
        "resources": _dump(spec.resources),
    }
    return container | {key: value for key, value in optional.items() if value is not None}


def _env(agent: AgentDeployment, revision: Wanted) -> list[Manifest]:
    spec = agent.spec
    env: list[Manifest] = [
        {"name": "AGENT_NAME", "value": agent.metadata.name},
        {"name": "AGENT_NAMESPACE", "value": agent.metadata.namespace},
        {"name": "AGENT_REVISION", "value": revision.name},
        {"name": "PORT", "value": str(spec.port)},
    ]
    if spec.model and spec.model.name:
        env.append({"name": "AGENT_MODEL", "value": spec.model.name})
    if spec.model and spec.model.api_key_secret:
        key = spec.model.api_key_secret.model_dump(by_alias=True)
        env.append({"name": "GOOGLE_API_KEY", "valueFrom": {"secretKeyRef": key}})
    return env + (_dump_all(spec.env) or [])


def _dump(part: ApiModel | None) -> Manifest | None:
    return None if part is None else part.model_dump(mode="json", by_alias=True, exclude_none=True)


def _dump_all(parts: Sequence[ApiModel] | None) -> list[Manifest] | None:
    return [found for part in parts or () if (found := _dump(part))] or None

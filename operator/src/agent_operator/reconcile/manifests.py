"""What a revision is made of in the cluster: one ReplicaSet and one Service.

They belong to their AgentDeployment by label and by the operator's finalizer, not by owner
references: the garbage collector would take them away at a foreground deletion (Argo CD's default)
while turns still need them (docs/decisions/0007).
"""

from collections.abc import Sequence
from typing import Final

from agent_operator.api import AgentDeployment, AgentDeploymentSpec, names, providers
from agent_operator.api.base import ApiModel
from agent_operator.api.spec import Model
from agent_operator.reconcile import pod_template, restates, trust
from agent_operator.reconcile.pod_template import Manifest, ShortForms
from agent_operator.reconcile.revisions import Wanted

INGRESS_VARIABLE: Final = "RESTATE_INGRESS_URL"

CANDIDATE: Final = "candidate"
"""The role with which each revision begins: see roles.py."""


def replica_set(agent: AgentDeployment, revision: Wanted) -> Manifest:
    """The ReplicaSet of a revision; of its template only the role's label ever changes."""
    labels = {**labels_of(agent, revision.name), names.ROLE_LABEL: CANDIDATE}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            **_metadata(agent, revision.name),
            "annotations": {
                **restates.notes(revision.restate, revision.calling, agent.metadata.namespace),
                names.URI_ANNOTATION: revision.uri,
                **({names.SPEC_HASH_ANNOTATION: revision.spec_hash} if revision.spec_hash else {}),
            },
        },
        "spec": {
            "replicas": revision.replicas,
            "selector": {"matchLabels": _selector(revision.name)},
            "template": trust.offered(
                pod_template.render(agent.spec.template, _short_forms(agent, revision), labels)
            ),
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
                    "name": names.RESTATE_PORT,
                    "port": port,
                    "targetPort": names.RESTATE_PORT,
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


def labels_of(agent: AgentDeployment, revision: str) -> dict[str, str]:
    """The labels of all that belongs to a revision."""
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
        "labels": labels_of(agent, revision),
    }


def _short_forms(agent: AgentDeployment, revision: Wanted) -> ShortForms:
    spec = agent.spec
    pod = {
        "serviceAccountName": spec.service_account_name,
        "imagePullSecrets": _dump_all(spec.image_pull_secrets),
    }
    container = {
        "image": spec.image,
        "ports": [{"name": names.RESTATE_PORT, "containerPort": spec.port}],
        "env": _env(agent, revision),
        "imagePullPolicy": spec.image_pull_policy,
        "command": spec.command,
        "args": spec.args,
        "envFrom": _dump_all(spec.env_from),
        "resources": _dump(spec.resources),
    }
    return ShortForms(_given(pod), _given(container))


def _given(fields: Manifest) -> Manifest:
    return {key: value for key, value in fields.items() if value is not None}


def _env(agent: AgentDeployment, revision: Wanted) -> list[Manifest]:
    spec = agent.spec
    env: list[Manifest] = [
        {"name": "AGENT_NAME", "value": agent.metadata.name},
        {"name": "AGENT_NAMESPACE", "value": agent.metadata.namespace},
        {"name": "AGENT_REVISION", "value": revision.name},
        {"name": "PORT", "value": str(spec.port)},
    ]
    if revision.ingress and INGRESS_VARIABLE not in _named_by_user(spec):
        env.append({"name": INGRESS_VARIABLE, "value": revision.ingress})
    return env + (_model_env(spec.model) if spec.model else []) + (_dump_all(spec.env) or [])


def _named_by_user(spec: AgentDeploymentSpec) -> set[str]:
    """The variables that the spec gives to the agent's container."""
    containers = ((spec.template or {}).get("spec") or {}).get("containers") or ()
    own = [c for c in containers if c["name"] == names.IMAGE_CONTAINER]
    return {one.name for one in spec.env or ()} | {
        one["name"] for c in own for one in c.get("env") or ()
    }


def _model_env(model: Model) -> list[Manifest]:
    env: list[Manifest] = []
    if model.provider:
        env.append({"name": providers.PROVIDER_VARIABLE, "value": model.provider})
    if model.name:
        env.append({"name": providers.MODEL_VARIABLE, "value": model.name})
    if model.api_key_secret:
        key = model.api_key_secret.model_dump(by_alias=True)
        name = providers.key_variable(model.provider)
        env.append({"name": name, "valueFrom": {"secretKeyRef": key}})
    return env


def _dump(part: ApiModel | None) -> Manifest | None:
    return None if part is None else part.model_dump(mode="json", by_alias=True, exclude_none=True)


def _dump_all(parts: Sequence[ApiModel] | None) -> list[Manifest] | None:
    return [found for part in parts or () if (found := _dump(part))] or None

"""The Jobs of gates.

They carry no label of a revision: its Service and ReplicaSet would take their pods for its own, and
so would whoever counts pods by their role.
"""

import copy
import json
from typing import Any, Final

from agent_operator.api import AgentDeployment, names
from agent_operator.api.gates import Evaluation, Gate, Smoke
from agent_operator.reconcile import job_template, manifests
from agent_operator.reconcile.errors import GateSetupError
from agent_operator.reconcile.gate_facts import hash_of, job_name
from agent_operator.reconcile.gate_jobs import KEY_CONTAINER
from agent_operator.reconcile.pod_template import DEFAULT_CONTAINER
from agent_operator.reconcile.revisions import Wanted
from agent_operator.settings import Settings
from agent_operator.smoke import calls

Manifest = dict[str, Any]

NOBODY: Final = 65_532
GATE_CONTAINER: Final = "gate"
RESTATE_CONTAINER: Final = "restate"
SET_FOLDER: Final = "/etc/durable-agents-gate"
KEY_FOLDER: Final = "/run/gate-key"
KEY_FILE: Final = f"{KEY_FOLDER}/key.pem"
EVALUATE: Final = ("python", "-m", "agent_service.evaluate")
# A gate that gives up by itself can say why; the Job's own deadline only ends it.
TIME_TO_TELL: Final = 5

_POD_SECURITY: Final[Manifest] = {
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINER_SECURITY: Final[Manifest] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_AS_NOBODY: Final[Manifest] = {
    **_CONTAINER_SECURITY,
    "runAsUser": NOBODY,
    "runAsGroup": NOBODY,
}
_SMALL: Final[Manifest] = {
    "requests": {"cpu": "20m", "memory": "96Mi"},
    "limits": {"memory": "256Mi"},
}
# On loopback alone: whoever could reach it could call the candidate through it.
_RESTATE_ENV: Final = {
    "RESTATE_CLUSTER_NAME": "gate",
    "RESTATE_NODE_NAME": "gate",
    "RESTATE_BASE_DIR": "/restate-data",
    "RESTATE_BIND_ADDRESS": "127.0.0.1:5122",
    "RESTATE_ADVERTISED_ADDRESS": "http://127.0.0.1:5122",
    "RESTATE_ADMIN__BIND_ADDRESS": "127.0.0.1:9070",
    "RESTATE_ADMIN__ADVERTISED_ADDRESS": "http://127.0.0.1:9070",
    "RESTATE_INGRESS__BIND_ADDRESS": "127.0.0.1:8080",
    "RESTATE_INGRESS__ADVERTISED_ADDRESS": "http://127.0.0.1:8080",
    "RESTATE_DEFAULT_NUM_PARTITIONS": "1",
    "RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE": "64MB",
    "RESTATE_DISABLE_TELEMETRY": "true",
}
_A_REVISIONS: Final = frozenset({names.REVISION_LABEL, names.ROLE_LABEL})
_SIGNS: Final = "RESTATE_WORKER__INVOKER__REQUEST_IDENTITY_PRIVATE_KEY_PEM_FILE"
# A pod that had to leave its node says nothing about the candidate.
_FAILURE_POLICY: Final[Manifest] = {
    "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]
}


def job(agent: AgentDeployment, revision: Wanted, gate: Gate, settings: Settings) -> Manifest:
    """The Job that tries a candidate at a gate.

    Raises:
        GateSetupError: the operator lacks a setting for it, or the template is none.
    """
    if gate.smoke:
        template: Manifest = {"spec": _smoke_pod(agent, revision, gate, gate.smoke, settings)}
        spec: Manifest = {"template": template}
    elif gate.evaluation:
        spec = {"template": _evaluation_pod(agent, revision, gate.evaluation, settings)}
    else:
        spec = _own_spec(agent, revision, gate.job or {})
    return _job(agent, revision, gate, spec)


def _job(agent: AgentDeployment, revision: Wanted, gate: Gate, spec: Manifest) -> Manifest:
    own = (gate.job or {}).get("metadata") or {}
    labels = _labels(agent, revision, gate)
    template = spec["template"]
    metadata = template.get("metadata") or {}
    others = {k: v for k, v in (metadata.get("labels") or {}).items() if k not in _A_REVISIONS}
    shown = {} if gate.job else {DEFAULT_CONTAINER: GATE_CONTAINER}
    template["metadata"] = {
        "labels": {**others, **labels},
        "annotations": {**(metadata.get("annotations") or {}), **shown},
    }
    never = template["spec"].setdefault("restartPolicy", "Never") == "Never"
    defaults: Manifest = {"backoffLimit": 0, "activeDeadlineSeconds": gate.timeout_seconds}
    if never:
        defaults["podFailurePolicy"] = _FAILURE_POLICY
    # A Job that Kubernetes removes would be taken for one that never ran. The operator does it.
    spec.pop("ttlSecondsAfterFinished", None)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(revision.name, gate.name, hash_of(agent.spec.rollout.gates)),
            "namespace": agent.metadata.namespace,
            "labels": {**(own.get("labels") or {}), **labels},
            "annotations": own.get("annotations") or {},
        },
        "spec": {**defaults, **spec},
    }


def _labels(agent: AgentDeployment, revision: Wanted, gate: Gate) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": agent.metadata.name,
        names.MANAGED_BY_LABEL: names.MANAGER,
        names.AGENT_LABEL: agent.metadata.name,
        names.CANDIDATE_LABEL: revision.name,
        names.GATE_LABEL: gate.name,
    }


def _smoke_pod(
    agent: AgentDeployment, revision: Wanted, gate: Gate, smoke: Smoke, settings: Settings
) -> Manifest:
    image = _needed(settings.gate_image, "GATE_IMAGE", "the operator's own image")
    wish = smoke.model_dump(mode="json", by_alias=True, exclude_none=True)
    timeout = max(gate.timeout_seconds - TIME_TO_TELL, TIME_TO_TELL)
    key = {"name": "gate-key", "mountPath": KEY_FOLDER}
    tmp = {"name": "gate-tmp", "mountPath": "/tmp"}  # noqa: S108 - in the pod
    make_key: Manifest = {
        "name": KEY_CONTAINER,
        "image": image,
        "args": ["gate-key", KEY_FILE],
        "securityContext": _AS_NOBODY,
        "resources": _SMALL,
        "volumeMounts": [key, tmp],
    }
    restate = _restate(settings, signs=True)
    restate["volumeMounts"] = [*restate["volumeMounts"], {**key, "readOnly": True}]
    run: Manifest = {
        "name": GATE_CONTAINER,
        "image": image,
        "args": [
            "smoke",
            f"--uri={revision.uri}",
            f"--timeout={timeout}",
            f"--smoke={json.dumps(wish, sort_keys=True)}",
            *calls.arguments(revision.calling),
        ],
        "env": calls.variables(revision.calling),
        "securityContext": _AS_NOBODY,
        "resources": _SMALL,
        "volumeMounts": [tmp],
    }
    pod: Manifest = {
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": TIME_TO_TELL,
        "securityContext": {**_POD_SECURITY, "fsGroup": NOBODY},
        "initContainers": [make_key, restate],
        "containers": [run],
        "volumes": [
            {"name": "gate-key", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "gate-tmp", "emptyDir": {}},
            *_restate_volumes(),
        ],
    }
    if agent.spec.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": s.name} for s in agent.spec.image_pull_secrets]
    return pod


def _evaluation_pod(
    agent: AgentDeployment, revision: Wanted, evaluation: Evaluation, settings: Settings
) -> Manifest:
    """The candidate's own pod, with another command, and with a Restate to run its turns on."""
    template: Manifest = copy.deepcopy(manifests.replica_set(agent, revision)["spec"]["template"])
    pod = template["spec"]
    run = next(c for c in pod["containers"] if c["name"] == names.IMAGE_CONTAINER)
    # What runs beside the agent must not keep the Job from ending.
    beside = [{**c, "restartPolicy": "Always"} for c in pod["containers"] if c is not run]
    for field in ("ports", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle"):
        run.pop(field, None)
    source = evaluation.config_map
    path = f"{SET_FOLDER}/{source.key}" if source else evaluation.path
    run["name"] = GATE_CONTAINER
    run["command"] = list(evaluation.command or EVALUATE)
    run["args"] = [
        f"--set={path}",
        *(f"--threshold={m}={least}" for m, least in sorted(evaluation.thresholds.items())),
        *([evaluation.agent] if evaluation.agent else agent.spec.args or []),
    ]
    if source:
        mount = {"name": "gate-set", "mountPath": SET_FOLDER, "readOnly": True}
        run["volumeMounts"] = [*(run.get("volumeMounts") or ()), mount]
        pod["volumes"].append({"name": "gate-set", "configMap": {"name": source.name}})
    pod["containers"] = [run]
    before = pod.get("initContainers") or []
    pod["initContainers"] = [*before, *beside, _restate(settings, signs=False)]
    pod["volumes"] = [*(pod.get("volumes") or ()), *_restate_volumes()]
    return template


def _restate(settings: Settings, *, signs: bool) -> Manifest:
    """A throw-away Restate server: a native sidecar, which ends when the gate does."""
    image = _needed(settings.gate_restate_image, "GATE_RESTATE_IMAGE", "Restate's server image")
    env = {**_RESTATE_ENV, **({_SIGNS: KEY_FILE} if signs else {})}
    return {
        "name": RESTATE_CONTAINER,
        "image": image,
        "restartPolicy": "Always",
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "securityContext": _AS_NOBODY,
        "resources": {
            "requests": {"cpu": "50m", "memory": "192Mi"},
            "limits": {"memory": "512Mi"},
        },
        "volumeMounts": [
            {"name": "gate-restate", "mountPath": "/restate-data"},
            {"name": "gate-restate-tmp", "mountPath": "/tmp"},  # noqa: S108 - in the pod
        ],
    }


def _restate_volumes() -> list[Manifest]:
    return [{"name": name, "emptyDir": {}} for name in ("gate-restate", "gate-restate-tmp")]


def _own_spec(agent: AgentDeployment, revision: Wanted, template: Manifest) -> Manifest:
    """A user's own Job: what it doesn't say is as in an agent's pods."""
    job_template.check(template)
    spec: Manifest = copy.deepcopy(template["spec"])
    pod = spec["template"]["spec"]
    for container in (*pod["containers"], *(pod.get("initContainers") or ())):
        _secured(container, agent, revision)
    pod.setdefault("automountServiceAccountToken", False)
    pod.setdefault("enableServiceLinks", False)
    pod["securityContext"] = {**_POD_SECURITY, **(pod.get("securityContext") or {})}
    return spec


def _secured(container: Manifest, agent: AgentDeployment, revision: Wanted) -> None:
    given = container.get("securityContext") or {}
    container["securityContext"] = {**_CONTAINER_SECURITY, **given}
    told = {
        "AGENT_NAME": agent.metadata.name,
        "AGENT_NAMESPACE": agent.metadata.namespace,
        "AGENT_REVISION": revision.name,
        "AGENT_URL": revision.uri,
    }
    env = container.get("env") or []
    known = [variable.get("name") for variable in env]
    more = [{"name": name, "value": text} for name, text in told.items() if name not in known]
    container["env"] = [*more, *env]


def _needed(image: str, variable: str, what: str) -> str:
    if not image:
        raise GateSetupError(
            f"the operator can't run this gate: its setting {variable} is empty; give it {what}"
        )
    return image

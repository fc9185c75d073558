"""The pods of a revision: what the user's template and short forms say, restricted otherwise.

A field that the user gives is kept, one by one: ``runAsNonRoot: false`` takes none of the other
restrictions away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent_operator.api import names

Manifest = dict[str, Any]

# An agent finishes the calls in flight before it goes; the agent service takes 30 s at most.
TERMINATION_GRACE_SECONDS: Final = 45
STARTUP_SECONDS: Final = 600

DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
"""Which container ``kubectl logs`` shows, where there are several."""

TMP: Final = "/tmp"  # noqa: S108 - in the pod
_LONGEST_VOLUME_NAME: Final = 63
_PROBE: Final = {
    "httpGet": {"path": "/health", "port": names.RESTATE_PORT},
    "timeoutSeconds": 5,
}
_PROBES: Final = {
    "startupProbe": {**_PROBE, "periodSeconds": 1, "failureThreshold": STARTUP_SECONDS},
    "readinessProbe": {**_PROBE, "periodSeconds": 5},
}


@dataclass(frozen=True)
class ShortForms:
    """What the spec's short forms say of the pod, and of the agent's container."""

    pod: Manifest
    container: Manifest


def render(given: Manifest | None, short: ShortForms, labels: Mapping[str, str]) -> Manifest:
    """The pod template that a ReplicaSet gets."""
    given = given or {}
    metadata = {**(given.get("metadata") or {})}
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    spec = _pod(given.get("spec") or {}, short)
    if len(spec["containers"]) > 1:
        chosen = {DEFAULT_CONTAINER: names.IMAGE_CONTAINER}
        metadata["annotations"] = {**chosen, **(metadata.get("annotations") or {})}
    return {"metadata": metadata, "spec": spec}


def _pod(given: Manifest, short: ShortForms) -> Manifest:
    containers = [_secured(container) for container in _containers(given, short)]
    starters = [_secured(container) for container in given.get("initContainers") or ()]
    account = short.pod.get("serviceAccountName") or given.get("serviceAccountName")
    pod = {
        "enableServiceLinks": False,
        "automountServiceAccountToken": account is not None,
        "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
        **given,
        **short.pod,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            **(given.get("securityContext") or {}),
        },
        "containers": containers,
        "volumes": _volumes(given.get("volumes") or (), [*containers, *starters]),
    }
    if starters:
        pod["initContainers"] = starters
    if secrets := _named(short.pod.get("imagePullSecrets"), given.get("imagePullSecrets")):
        pod["imagePullSecrets"] = secrets
    return pod


def _containers(given: Manifest, short: ShortForms) -> list[Manifest]:
    """The agent's first, then the others."""
    containers = given.get("containers") or ()
    own: Manifest = next((c for c in containers if c["name"] == names.IMAGE_CONTAINER), {})
    agent = {**_PROBES, **own, **short.container, "name": names.IMAGE_CONTAINER}
    for field in ("env", "ports"):
        agent[field] = [*short.container[field], *(own.get(field) or ())]
    return [agent, *(c for c in containers if c["name"] != names.IMAGE_CONTAINER)]


def _secured(container: Manifest) -> Manifest:
    given = container.get("securityContext") or {}
    capabilities = {"drop": ["ALL"], **(given.get("capabilities") or {})}
    context = {"readOnlyRootFilesystem": True, **given, "capabilities": capabilities}
    # The API server takes it for a contradiction in a container that may do everything.
    if not given.get("privileged") and "SYS_ADMIN" not in (capabilities.get("add") or ()):
        context.setdefault("allowPrivilegeEscalation", False)
    secured = {**container, "securityContext": context}
    mounts = container.get("volumeMounts") or ()
    # The root file system is read-only; libraries still expect to write here.
    if context["readOnlyRootFilesystem"] and not any(_is_tmp(mount) for mount in mounts):
        tmp = {"name": _tmp_volume(container["name"]), "mountPath": TMP}
        secured["volumeMounts"] = [*mounts, tmp]
    return secured


def _is_tmp(mount: Manifest) -> bool:
    return str(mount["mountPath"]).rstrip("/") == TMP


def _tmp_volume(container: str) -> str:
    """One for each container: what one writes there is no other's business."""
    if container == names.IMAGE_CONTAINER:
        return "tmp"
    return f"tmp-{container}"[:_LONGEST_VOLUME_NAME].rstrip("-")


def _volumes(given: Sequence[Manifest], containers: Sequence[Manifest]) -> list[Manifest]:
    """The user's, and those for temporary files, unless the user gave one of that name."""
    tmps = {_tmp_volume(container["name"]) for container in containers}
    mounted = {mount["name"] for c in containers for mount in c.get("volumeMounts") or ()}
    missing = sorted((tmps & mounted) - {volume["name"] for volume in given})
    return [*given, *({"name": name, "emptyDir": {}} for name in missing)]


def _named(*lists: Sequence[Manifest] | None) -> list[Manifest]:
    """Elements of several lists, one for each name."""
    return list({element["name"]: element for some in lists for element in some or ()}.values())

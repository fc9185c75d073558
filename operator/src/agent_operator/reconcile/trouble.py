"""Why the pods of a revision don't start, in words: read from the ReplicaSet and its pods. Pure."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from agent_operator.kube.client import Body
from agent_operator.reconcile.snapshot import Failure

_IMAGE_REASONS: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
    }
)
_CRASH_REASONS: Final = frozenset({"CrashLoopBackOff", "RunContainerError"})
_LEFT_WORD: Final = "agent_service: "
_CONFIG_REASONS: Final = frozenset({"CreateContainerConfigError", "CreateContainerError"})


def of_revision(replica_set: Body, pods: Sequence[Body]) -> Failure | None:
    """The first thing that keeps a revision's pods from being ready, if anything is known."""
    for condition in (replica_set.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return Failure("PodsRefused", f"pods can't be made: {condition.get('message', '')}")
    return of_pods(pods)


def of_pods(pods: Sequence[Body]) -> Failure | None:
    """The first thing that keeps pods from being ready."""
    for pod in sorted(pods, key=lambda p: str(p["metadata"]["name"])):
        if "deletionTimestamp" not in pod["metadata"] and (found := _of_pod(pod)):
            return found
    return None


def _of_pod(pod: Body) -> Failure | None:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return Failure("Unschedulable", f"pod {name}: {condition.get('message', '')}")
    return _of_containers(f"pod {name}", _statuses(status))


def _statuses(status: Body) -> list[tuple[str, Body]]:
    """Each container's status, with what it is, in the order in which they start."""
    starters = [("init container", s) for s in status.get("initContainerStatuses") or ()]
    others = [("container", s) for s in status.get("containerStatuses") or ()]
    return [(f"{what} {body.get('name', '')}", body) for what, body in [*starters, *others]]


def _of_containers(pod: str, statuses: Iterable[tuple[str, Body]]) -> Failure | None:
    for what, container in statuses:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
        where = f"{pod}, {what}"
        if reason in _IMAGE_REASONS:
            image = container.get("image", "")
            return Failure("ImageCantBePulled", f"{where}, image {image}: {message or reason}")
        if reason in _CONFIG_REASONS:
            return Failure("ContainerCantBeMade", f"{where}: {message or reason}")
        crashed = reason in _CRASH_REASONS or int(container.get("restartCount", 0)) > 0
        if crashed and not container.get("ready"):
            return Failure("PodsCrash", f"{where} {_crash(container, message)}")
    return None


def waits_for(replica_set: Body, pods: Sequence[Body]) -> str | None:
    """What a revision's pods wait for, where nothing is wrong yet: told once it takes too long."""
    template = (replica_set.get("spec") or {}).get("template") or {}
    ending = {
        f"init container {container['name']}"
        for container in (template.get("spec") or {}).get("initContainers") or ()
        if container.get("restartPolicy") != "Always"
    }
    for pod in sorted(pods, key=lambda p: str(p["metadata"]["name"])):
        if "deletionTimestamp" not in pod["metadata"] and (found := _waits_for(pod, ending)):
            return found
    return None


def _waits_for(pod: Body, ending: Collection[str]) -> str | None:
    """``ending``: the containers that end before the next one starts."""
    name = pod["metadata"]["name"]
    for what, container in _statuses(pod.get("status") or {}):
        state = container.get("state") or {}
        where = f"pod {name}, {what}"
        if "waiting" in state:
            # Only events, which aren't watched, say more.
            reason = state["waiting"].get("reason", "no reason given")
            return f"{where} waits ({reason}): kubectl describe pod {name} says for what"
        if "running" in state and what in ending:
            return f"{where} has not ended yet"
        if "running" in state and not container.get("ready"):
            probe = "readiness" if container.get("started") else "startup"
            told = f"its log may say why: kubectl logs {name}"
            return f"{where} runs, but its {probe} probe does not succeed; {told}"
    return None


def _crash(container: Body, message: str) -> str:
    """How a container ended last, and why if it left word of that in its status.

    Its own log stays out: it may hold what must not be shown.
    """
    ended = (container.get("lastState") or {}).get("terminated") or {}
    if not ended:
        return message or "does not start"
    how = ended.get("reason", "Error")
    restarts = container.get("restartCount", 0)
    first, *_ = str(ended.get("message", "")).splitlines() or [""]
    # Only what the agent service wrote for this: a pod may be told to put its log there, too.
    why = first if first.startswith(_LEFT_WORD) else "its log (kubectl logs --previous) says why"
    return (
        f"ended with exit code {ended.get('exitCode')} ({how}) and was started again"
        f" {restarts} times; {why}"
    )

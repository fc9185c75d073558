"""How a gate's Job stands, and why: read from the Job and its pods. Pure."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from agent_operator.api import names
from agent_operator.api.status import GateState
from agent_operator.kube.client import Body
from agent_operator.reconcile import trouble
from agent_operator.reconcile.gate_facts import GateJob

MESSAGE_LENGTH: Final = 300
KEY_CONTAINER: Final = "gate-key"
PUBLIC_KEY: Final = re.compile(r"publickeyv1_[1-9A-HJ-NP-Za-km-z]{32,64}")


def of_jobs(jobs: Sequence[Body], pods: Sequence[Body]) -> tuple[GateJob, ...]:
    """The gates' Jobs that are there to stay, by name."""
    found = [_job(job, _pods_of(job, pods)) for job in jobs if not _ending(job)]
    return tuple(sorted(found, key=lambda job: job.name))


def trusted_by(pods: Iterable[Body]) -> frozenset[str | None]:
    """The keys that a revision's pods trust for a gate's sake; ``None`` stands for no key."""
    return frozenset(
        (pod["metadata"].get("annotations") or {}).get(names.GATE_KEY_ANNOTATION)
        for pod in pods
        if not _ending(pod)
    )


def _job(job: Body, pods: Sequence[Body]) -> GateJob:
    name = job["metadata"]["name"]
    revision = job["metadata"]["labels"].get(names.CANDIDATE_LABEL, "")
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("status") != "True":
            continue
        if condition.get("type") == "Complete":
            return GateJob(name, revision, GateState.PASSED)
        if condition.get("type") == "Failed":
            why = _why(job, condition, pods)
            return GateJob(name, revision, GateState.FAILED, why, logged=bool(pods))
    held_up = trouble.of_pods(pods)
    message = held_up.message if held_up else ""
    return GateJob(name, revision, GateState.RUNNING, message, key=_key(pods))


def _why(job: Body, condition: Body, pods: Sequence[Body]) -> str:
    if condition.get("reason") == "DeadlineExceeded":
        return f"it did not end within {job['spec'].get('activeDeadlineSeconds')} s"
    for pod in sorted(pods, key=lambda p: str(p["metadata"]["creationTimestamp"]), reverse=True):
        for ended in _terminated(pod, "containerStatuses"):
            if ended.get("exitCode"):
                return _reason(ended) or f"it ended with exit code {ended['exitCode']}"
    return _short(str(condition.get("message") or condition.get("reason") or "it failed"))


def _reason(ended: Body) -> str:
    """What the container itself said, as JSON with a reason or as plain text. Never its log."""
    text = str(ended.get("message") or "")
    try:
        said: Any = json.loads(text)
    except ValueError:
        said = text
    return _short(str(said.get("reason") or "") if isinstance(said, dict) else text)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MESSAGE_LENGTH else f"{line[: MESSAGE_LENGTH - 1]}…"


def _key(pods: Sequence[Body]) -> str | None:
    for pod in pods:
        if _ending(pod):
            continue
        for ended in _terminated(pod, "initContainerStatuses", KEY_CONTAINER):
            said = str(ended.get("message") or "").strip()
            if ended.get("exitCode") == 0 and PUBLIC_KEY.fullmatch(said):
                return said
    return None


def _terminated(pod: Body, field: str, name: str | None = None) -> list[Body]:
    statuses = (pod.get("status") or {}).get(field) or ()
    return [
        ended
        for status in statuses
        if name in {None, status.get("name")}
        and (ended := (status.get("state") or {}).get("terminated"))
    ]


def _pods_of(job: Body, pods: Sequence[Body]) -> list[Body]:
    uid = job["metadata"].get("uid")
    return [
        pod
        for pod in pods
        if any(owner.get("uid") == uid for owner in pod["metadata"].get("ownerReferences") or ())
    ]


def _ending(body: Body) -> bool:
    return "deletionTimestamp" in body["metadata"]

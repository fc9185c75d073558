"""Why pods don't start, told apart."""

from typing import Any

import pytest

from agent_operator.reconcile import trouble


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "status": status}


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(containerStatuses=[{"image": "claims:2", "state": state, **more}])


CRASHED = {"terminated": {"exitCode": 3, "reason": "Error"}}

CASES: list[tuple[dict[str, Any], str, str]] = [
    (waiting("ImagePullBackOff", "not found"), "ImageCantBePulled", "claims:2: not found"),
    (waiting("ErrImageNeverPull"), "ImageCantBePulled", "ErrImageNeverPull"),
    (waiting("CreateContainerConfigError", 'secret "k" not found'), "ContainerCantBeMade", '"k"'),
    (waiting("CrashLoopBackOff", lastState=CRASHED, restartCount=2), "PodsCrash", "exit code 3"),
    (
        pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "no memory"}]),
        "Unschedulable",
        "no memory",
    ),
    (
        pod(containerStatuses=[{"restartCount": 1, "ready": False, "lastState": CRASHED}]),
        "PodsCrash",
        "exit code 3",
    ),
]


REFUSED = {
    "terminated": {
        "exitCode": 2,
        "reason": "Error",
        "message": "agent_service: no model to talk to: set GOOGLE_API_KEY\nmore",
    }
}
CASES += [
    (
        waiting("CrashLoopBackOff", lastState=REFUSED, restartCount=2),
        "PodsCrash",
        "was started again 2 times; agent_service: no model to talk to: set GOOGLE_API_KEY",
    )
]

FETCH_WAITS = {"state": {"waiting": {"reason": "ImagePullBackOff"}}, "name": "fetch", "image": "f"}
SIDECAR_CRASHES = {
    "name": "proxy",
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": CRASHED,
    "restartCount": 1,
}
FINE = {"name": "agent", "state": {"running": {}}, "ready": True}
CASES += [
    (
        pod(initContainerStatuses=[FETCH_WAITS], containerStatuses=[FINE]),
        "ImageCantBePulled",
        "pod p, init container fetch, image f",
    ),
    (
        pod(initContainerStatuses=[SIDECAR_CRASHES]),
        "PodsCrash",
        "pod p, init container proxy ended with exit code 3",
    ),
    (
        pod(containerStatuses=[FINE, SIDECAR_CRASHES]),
        "PodsCrash",
        "pod p, container proxy ended with exit code 3",
    ),
]


@pytest.mark.parametrize(("ill", "reason", "words"), CASES, ids=[f"{c[1:]}" for c in CASES])
def test_trouble(ill: dict[str, Any], reason: str, words: str) -> None:
    found = trouble.of_revision({}, [ill])
    assert found is not None
    assert found.reason == reason
    assert words in found.message


def test_a_quota_is_told() -> None:
    full = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    found = trouble.of_revision({"status": {"conditions": [full]}}, [])
    assert found is not None
    assert (found.reason, "exceeded quota" in found.message) == ("PodsRefused", True)


@pytest.mark.parametrize(
    "fine",
    [
        pod(),
        waiting("ContainerCreating"),
        pod(containerStatuses=[{"restartCount": 1, "ready": True, "lastState": CRASHED}]),
        {**waiting("CrashLoopBackOff"), "metadata": {"name": "p", "deletionTimestamp": "x"}},
    ],
)
def test_no_trouble(fine: dict[str, Any]) -> None:
    assert trouble.of_revision({}, [fine]) is None


STARTERS = [{"name": "fetch"}, {"name": "tail", "restartPolicy": "Always"}]
REPLICA_SET = {"spec": {"template": {"spec": {"initContainers": STARTERS}}}}


def slow(*containers: dict[str, Any], starters: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    statuses = {"initContainerStatuses": starters, "containerStatuses": containers}
    return pod(**statuses)


def runs(name: str, *, started: bool, ready: bool = False) -> dict[str, Any]:
    return {"name": name, "state": {"running": {}}, "started": started, "ready": ready}


CREATING = {"name": "agent", "state": {"waiting": {"reason": "ContainerCreating"}}}
ENDED = {"name": "fetch", "state": {"terminated": {"exitCode": 0}}, "ready": True}
SLOW: list[tuple[dict[str, Any], str]] = [
    (slow(CREATING), "container agent waits (ContainerCreating): kubectl describe pod p"),
    (
        slow(CREATING, starters=(runs("fetch", started=True),)),
        "init container fetch has not ended yet",
    ),
    (
        slow(CREATING, starters=(ENDED, runs("tail", started=False))),
        "init container tail runs, but its startup probe does not succeed",
    ),
    (slow(runs("agent", started=False)), "agent runs, but its startup probe does not succeed"),
    (
        slow(
            runs("agent", started=True),
            starters=(ENDED, runs("tail", started=True, ready=True)),
        ),
        "container agent runs, but its readiness probe does not succeed",
    ),
]


@pytest.mark.parametrize(("late", "words"), SLOW, ids=[w for _, w in SLOW])
def test_what_a_pod_waits_for(late: dict[str, Any], words: str) -> None:
    assert words in (trouble.waits_for(REPLICA_SET, [late]) or "")
    assert trouble.of_revision({}, [late]) is None, "nothing is wrong yet"


def test_a_log_that_was_put_into_the_status_is_not_shown() -> None:
    logged = {"terminated": {**CRASHED["terminated"], "message": "secret"}}
    found = trouble.of_pods([waiting("CrashLoopBackOff", lastState=logged, restartCount=2)])
    assert found is not None
    assert "secret" not in found.message


def test_a_pod_that_is_ready_waits_for_nothing() -> None:
    fine = slow(runs("agent", started=True, ready=True), starters=(ENDED,))
    going = {**slow(CREATING), "metadata": {"name": "p", "deletionTimestamp": "x"}}
    assert trouble.waits_for(REPLICA_SET, [going, fine]) is None

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


@pytest.mark.parametrize(("ill", "reason", "words"), CASES, ids=[c[1] for c in CASES])
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

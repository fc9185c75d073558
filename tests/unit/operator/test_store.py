"""The picture of the cluster: newer wins, and a list corrects what watches missed."""

from typing import Any

from agent_operator.api import names
from agent_operator.kube.client import AGENT_DEPLOYMENTS, PODS
from agent_operator.kube.store import ENDED_KEPT, Store, key_of

KEY = ("team", "claims")


def body(name: str, version: int, uid: str = "u", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "team",
            "name": name,
            "uid": uid,
            "resourceVersion": str(version),
            "labels": {names.AGENT_LABEL: "claims", **labels},
        }
    }


def test_newer_wins() -> None:
    store = Store()
    store.put(AGENT_DEPLOYMENTS, body("claims", 5))
    store.put(AGENT_DEPLOYMENTS, body("claims", 4))
    assert store.get(KEY) == body("claims", 5)


def test_the_echo_of_a_write_is_no_news() -> None:
    store = Store()
    assert store.put(AGENT_DEPLOYMENTS, body("claims", 5))
    assert not store.put(AGENT_DEPLOYMENTS, body("claims", 5))
    assert not store.put(AGENT_DEPLOYMENTS, body("claims", 4))
    assert store.put(AGENT_DEPLOYMENTS, body("claims", 6))


def test_what_nobody_reads_is_not_kept() -> None:
    store, managed = Store(), {"managedFields": [{"manager": "kubectl"}]}
    agent, pod = body("claims", 1), body("a", 1)
    agent["metadata"] |= managed
    agent["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "durableagents.dev/mine": "kept",
    }
    starter = {"name": "fetch"}
    pod["spec"] = {"containers": [{"name": "agent"}], "initContainers": [starter]}
    pod["status"] = {"phase": "Running"}
    store.put(AGENT_DEPLOYMENTS, agent)
    store.put(PODS, pod)
    kept = store.get(KEY) or {}
    assert "managedFields" not in kept["metadata"]
    assert kept["metadata"]["annotations"] == {"durableagents.dev/mine": "kept"}
    (kept,) = store.children(PODS, KEY)
    assert kept["spec"] == {"initContainers": [starter]}
    assert kept["status"] == {"phase": "Running"}
    assert "managedFields" in agent["metadata"], "what was given is not changed"


def test_another_of_the_same_name_takes_its_place() -> None:
    store = Store()
    store.put(AGENT_DEPLOYMENTS, body("claims", 9, uid="old"))
    store.put(AGENT_DEPLOYMENTS, body("claims", 12, uid="new"))
    store.remove(AGENT_DEPLOYMENTS, body("claims", 10, uid="old"))
    store.put(AGENT_DEPLOYMENTS, body("claims", 9, uid="old"))
    assert store.get(KEY) == body("claims", 12, uid="new")


def test_a_late_answer_brings_nothing_back() -> None:
    store = Store()
    store.put(AGENT_DEPLOYMENTS, body("claims", 5))
    store.remove(AGENT_DEPLOYMENTS, body("claims", 7))
    for version in (6, 7):
        assert not store.put(AGENT_DEPLOYMENTS, body("claims", version))
    assert store.get(KEY) is None


def test_who_only_lost_its_label_comes_back() -> None:
    """The API server tells of it as of a deletion, at the version of the change."""
    store = Store()
    store.put(PODS, body("a", 5))
    store.remove(PODS, body("a", 7))
    assert not store.put(PODS, body("a", 6)), "an answer from before"
    assert store.put(PODS, body("a", 8))
    assert store.put(PODS, body("a", 9))
    assert [p["metadata"]["resourceVersion"] for p in store.children(PODS, KEY)] == ["9"]


def test_who_is_missing_in_a_list_comes_back_in_a_later_version() -> None:
    store = Store()
    store.put(PODS, body("a", 5))
    store.replace(PODS, "team", [], version="8")
    assert not store.put(PODS, body("a", 7))
    assert store.put(PODS, body("a", 9))


def test_what_was_deleted_by_a_request_does_not_come_back() -> None:
    store = Store()
    store.put(PODS, body("a", 5))
    store.deleted(PODS, body("a", 5))
    assert not store.put(PODS, body("a", 6)), "an event from before, on its way"
    ending = body("a", 7)
    ending["metadata"]["deletionTimestamp"] = "2026-05-04T11:00:00Z"
    assert store.put(PODS, ending), "somebody's finalizer holds it"
    store.remove(PODS, body("a", 8))
    assert store.children(PODS, KEY) == []


def test_of_ends_only_so_many_are_remembered() -> None:
    store = Store()
    for number in range(ENDED_KEPT + 10):
        store.remove(PODS, body("a", number, uid=str(number)))
    assert len(store._ended) == ENDED_KEPT
    assert store.put(PODS, body("a", 0, uid="0"))


def test_children_belong_to_their_agent() -> None:
    store = Store()
    store.put(PODS, body("a", 1))
    store.put(PODS, body("b", 1))
    store.remove(PODS, body("a", 2))
    assert [p["metadata"]["name"] for p in store.children(PODS, KEY)] == ["b"]
    assert key_of(PODS, body("a", 1)) == KEY


def test_a_list_drops_what_was_deleted_unseen_and_keeps_what_is_newer() -> None:
    store = Store()
    store.put(PODS, body("deleted-unseen", 1))
    store.put(PODS, body("newer-than-the-list", 7))
    store.replace(PODS, "team", [body("listed", 2)], version="5")
    left = {p["metadata"]["name"] for p in store.children(PODS, KEY)}
    assert left == {"newer-than-the-list", "listed"}


def test_a_list_of_one_namespace_says_nothing_of_another() -> None:
    store = Store()
    store.put(PODS, body("here", 1))
    store.replace(PODS, "elsewhere", [], version="5")
    assert store.names(PODS) == {("team", "here")}

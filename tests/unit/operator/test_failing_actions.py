"""Actions beside a rollout's steps that keep failing: told once, and in no other's way."""

from dataclasses import replace
from typing import Any

import pytest

from agent_operator.api import AgentDeploymentStatus
from agent_operator.kube.client import AGENT_DEPLOYMENTS, EVENTS, REPLICA_SETS, Kube
from agent_operator.kube.errors import KubeError
from agent_operator.kube.store import Store
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import events, reconciler
from agent_operator.reconcile.apply import Applier
from agent_operator.reconcile.errors import NotNowError
from agent_operator.reconcile.plan import plan
from agent_operator.reconcile.reconciler import TOLD_AFTER, Reconciler
from agent_operator.reconcile.snapshot import FailingAction, Snapshot
from agent_operator.restate.client import CREDENTIALS_REFUSED, RestateUnavailableError
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.view import RestateView
from tests.unit.operator.build import (
    NOW,
    SETTINGS,
    agent,
    load,
    registered,
    revision,
    snapshot,
    view,
    wish,
)
from tests.unit.operator.test_unexpected import KEY, replica_set

V1, V2 = "claims:1", "claims:2"
REFUSED = "http://restate.test:9070 answered 403 to DELETE /deployments/dp_claims:1"


def failing(action: type[do.Action], image: str | None, message: str = REFUSED) -> FailingAction:
    return FailingAction(action.__name__, image and wish(image).name, message)


def shown(given: Snapshot, *found: FailingAction) -> AgentDeploymentStatus:
    return plan(replace(given, failing=found), NOW).status


def told(given: Snapshot, *found: FailingAction) -> list[tuple[str, str, str]]:
    """The events, which come once."""
    before, after = shown(given), shown(given, *found)
    assert events.between(after, after) == []
    return [(e.kind, e.reason, e.message) for e in events.between(before, after)]


def condition(status: AgentDeploymentStatus, kind: str) -> tuple[str, str, str]:
    found = next(c for c in status.conditions if c.type == kind)
    return found.status, found.reason, found.message


SERVING = snapshot(agent(), revision(), restate=view(registered()))
DRAINED = snapshot(
    agent(V2), revision(V1), revision(V2), restate=view(registered(V1), registered(V2))
)
DELETED = snapshot(agent(deleting=True), revision(), restate=view(registered()))
GHOST = snapshot(agent(deleting=True), restate=view(registered()))
NEW = snapshot(agent(finalizers=()))


@pytest.mark.parametrize("action", [do.SetAutoscaler, do.SetBudget])
def test_what_goes_along_with_the_active_revision(action: type[do.Action]) -> None:
    found = failing(action, V1, "metrics[0]: Forbidden")
    status, reason, message = condition(shown(SERVING, found), "Ready")
    assert (status, reason) == ("True", f"{action.__name__}Failed")
    assert "takes new turns" in message
    assert f"{action.__name__} does not work: metrics[0]: Forbidden" in message
    ((kind, reason, message),) = told(SERVING, found)
    assert (kind, reason) == ("Warning", f"{action.__name__}Failed")
    assert "metrics[0]: Forbidden" in message


def test_what_holds_a_drained_revision() -> None:
    found = failing(do.RemoveRevision, V1)
    old = next(r for r in shown(DRAINED, found).revisions if r.image == V1)
    assert old.reason == "RemoveRevisionFailed"
    assert REFUSED in (old.message or "")
    assert condition(shown(DRAINED, found), "Ready")[1] == "Serving"
    assert [(kind, reason) for kind, reason, _ in told(DRAINED, found)] == [
        ("Warning", "RemoveRevisionFailed")
    ]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (DELETED, failing(do.RemoveRevision, V1)),
        (GHOST, failing(do.ForgetDeployment, None)),
        (GHOST, failing(do.RemoveFinalizer, None)),
    ],
)
def test_what_holds_a_deletion(given: Snapshot, found: FailingAction) -> None:
    status, reason, message = condition(shown(given, found), "Progressing")
    assert (status, reason) == ("True", found.reason)
    assert message.startswith("being deleted; ")
    assert REFUSED in message
    ((kind, reason, message),) = told(given, found)
    assert (kind, reason) == ("Warning", found.reason)
    assert REFUSED in message


def test_what_keeps_a_rollout_from_its_beginning() -> None:
    found = failing(do.AddFinalizer, None, "a webhook says no")
    assert condition(shown(NEW, found), "Progressing")[1:] == (
        "AddFinalizerFailed",
        "AddFinalizer does not work: a webhook says no",
    )
    assert [reason for _, reason, _ in told(NEW, found)] == ["AddFinalizerFailed"]


class Api:
    """An API server that takes statuses and events."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.agent, self.version = body, 0
        self.change(**body)
        self.status = AgentDeploymentStatus()
        self.events: list[str] = []

    def change(self, **fields: Any) -> dict[str, Any]:
        self.version += 1
        metadata = self.agent["metadata"] | {"resourceVersion": str(self.version)}
        self.agent = {**self.agent, **fields, "metadata": metadata}
        return self.agent

    async def apply(self, resource: Any, body: dict[str, Any], subresource: str = "") -> Any:
        self.status = AgentDeploymentStatus.model_validate(body["status"])
        return self.change(status=body["status"])

    async def create(self, resource: Any, _: str, body: dict[str, Any]) -> dict[str, Any]:
        assert resource is EVENTS
        self.events.append(body["reason"])
        return {}


class Restate(RestateObserver):
    async def view(self, *_: Any, **__: Any) -> RestateView:
        return view(registered(), loads={V1: load()})


class Errors:
    """What comes of one kind of action, attempt by attempt; all else waits."""

    def __init__(self, kind: type[do.Action], *errors: Exception) -> None:
        self.kind, self.errors, self.done = kind, list(errors), list[str]()

    async def apply(self, action: do.Action, _: Snapshot) -> None:
        if isinstance(action, self.kind) and self.errors:
            raise self.errors.pop(0)
        self.done.append(type(action).__name__)
        raise NotNowError("nothing changes here, so that there is one round in each look")


def made(monkeypatch: pytest.MonkeyPatch, errors: Errors, **changes: Any) -> tuple[Reconciler, Api]:
    owner = agent(**changes)
    api = Api(owner.model_dump(mode="json", by_alias=True, exclude_none=True))
    store = Store()
    store.put(AGENT_DEPLOYMENTS, api.agent)
    store.put(REPLICA_SETS, replica_set(V1))
    monkeypatch.setattr(Applier, "apply", errors.apply)
    monkeypatch.setattr(reconciler, "RETRY_SECONDS", (0.0,))
    kube: Kube = api  # type: ignore[assignment]
    return Reconciler(kube, store, Restate(), SETTINGS), api


INVALID = KubeError(422, "metrics[0]: Forbidden")
SCALED = {"scaling": {"autoscaler": {"maxReplicas": 3}}}


async def test_an_autoscaler_that_is_refused_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = Errors(do.SetAutoscaler, *[INVALID] * 100)
    found, api = made(monkeypatch, errors, **SCALED)
    for _ in range(TOLD_AFTER):
        await found.reconcile(KEY)
        assert condition(api.status, "Ready")[1] == "Serving", "it may work the next time"
    for _ in range(TOLD_AFTER):
        await found.reconcile(KEY)
    assert condition(api.status, "Ready")[1] == "SetAutoscalerFailed"
    assert api.events.count("SetAutoscalerFailed") == 1
    assert "Annotate" in errors.done, "the others are tried"


async def test_it_is_told_no_more_once_it_works_or_is_not_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors = Errors(do.SetAutoscaler, *[INVALID] * 100)
    found, api = made(monkeypatch, errors, **SCALED)
    for _ in range(TOLD_AFTER + 1):
        await found.reconcile(KEY)
    assert condition(api.status, "Ready")[1] == "SetAutoscalerFailed"
    found.store.put(AGENT_DEPLOYMENTS, api.change(spec={"image": V1}))
    again = await found.reconcile(KEY)
    assert again is not None
    assert again.total_seconds() < 0.1, "the status still tells it"
    await found.reconcile(KEY)
    assert condition(api.status, "Ready")[1] == "Serving"


async def test_what_only_has_to_wait_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = RestateUnavailableError(REFUSED, CREDENTIALS_REFUSED)
    waits = [NotNowError("it is needed again")] * 20
    errors = Errors(do.RemoveRevision, *waits, *[refused] * 20)
    found, api = made(monkeypatch, errors, deleting=True)
    for _ in range(20 + TOLD_AFTER):
        await found.reconcile(KEY)
        assert condition(api.status, "Progressing")[1] == "Deleting"
    await found.reconcile(KEY)
    assert condition(api.status, "Progressing")[1] == "RemoveRevisionFailed"

"""What an action that did not work is called, and when it is tried again."""

import math
from typing import Any

import pytest

from agent_operator.kube.client import AGENT_DEPLOYMENTS, REPLICA_SETS, Kube
from agent_operator.kube.errors import KubeError
from agent_operator.kube.store import Store
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import setbacks
from agent_operator.reconcile.errors import ServiceTakenError
from agent_operator.reconcile.events import between
from agent_operator.reconcile.plan import STEADY, plan
from agent_operator.reconcile.reconciler import Reconciler
from agent_operator.reconcile.snapshot import Setback
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.view import RestateView
from tests.unit.operator.build import NOW, SETTINGS, agent, fresh, snapshot, view, wish

CREATE = do.CreateRevision(wish())
INVALID = KubeError(422, 'volumeMounts[0].name: Not found: "data"')
REASONS: list[tuple[do.Action, Exception, str, bool]] = [
    (CREATE, INVALID, "TemplateRefused", True),
    (CREATE, KubeError(403, "quota"), "KubernetesRefused", False),
    (CREATE, KubeError(0, "away"), "KubernetesRefused", False),
    (do.RegisterRevision(fresh()), INVALID, "KubernetesRefused", False),
    (do.RegisterRevision(fresh()), ServiceTakenError("taken"), "ServiceTaken", False),
]


@pytest.mark.parametrize(("action", "error", "reason", "final"), REASONS)
def test_the_reason(action: do.Action, error: Exception, reason: str, final: bool) -> None:
    found = setbacks.of(action, error)
    assert (found.reason, found.final) == (reason, final)
    assert str(error) in found.message


def test_a_refused_template_is_told_once_and_as_final() -> None:
    before = plan(snapshot(agent()), NOW).status
    refused = Setback("TemplateRefused", "no such volume", final=True)
    after = plan(snapshot(agent(), setback=refused), NOW).status
    progressing = next(c for c in after.conditions if c.type == "Progressing")
    assert (progressing.status, progressing.reason) == ("False", "TemplateRefused")
    assert progressing.message == "no such volume"
    assert [e.reason for e in between(before, after)] == ["TemplateRefused"]
    assert plan(snapshot(agent(), setback=refused), NOW).look_again == STEADY
    assert between(after, after) == []


class Api:
    """An API server that finds a template invalid, and counts."""

    def __init__(self) -> None:
        self.refused = 0
        self.agent: dict[str, Any] = {}

    async def apply(self, resource: Any, body: dict[str, Any], subresource: str = "") -> Any:
        if resource is REPLICA_SETS:
            self.refused += 1
            raise INVALID
        return {**self.agent, "status": body["status"]}

    async def create(self, *_: Any) -> dict[str, Any]:
        return {}


class Restate(RestateObserver):
    async def view(self, *_: Any, **__: Any) -> RestateView:
        return view()


async def test_a_refused_template_is_tried_once_for_each_spec() -> None:
    api, store = Api(), Store()
    kube: Kube = api  # type: ignore[assignment]
    reconciler = Reconciler(kube, store, Restate(), SETTINGS)
    key = ("team", "claims")

    def apply(image: str, version: str) -> None:
        body = agent(image).model_dump(mode="json", by_alias=True, exclude_none=True)
        body["metadata"]["resourceVersion"] = version
        api.agent = body
        store.put(AGENT_DEPLOYMENTS, body)

    apply("claims:1", "1")
    for _ in range(3):
        again = await reconciler.reconcile(key)
        assert again is not None
        assert math.isfinite(again.total_seconds())
    assert api.refused == 1
    apply("claims:2", "2")
    for _ in range(3):
        await reconciler.reconcile(key)
    assert api.refused == 2

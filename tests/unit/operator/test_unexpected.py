"""An action that meets an error nobody expects: it is told, retried, and in no other's way."""

import asyncio
from typing import Any

import pytest

from agent_operator import metrics
from agent_operator.api import names
from agent_operator.kube.client import AGENT_DEPLOYMENTS, REPLICA_SETS, Kube
from agent_operator.kube.store import Store
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import setbacks
from agent_operator.reconcile.apply import Applier
from agent_operator.reconcile.reconciler import Reconciler
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.view import RestateView
from tests.unit.operator.build import SETTINGS, agent, registered, view, wish

KEY = ("team", "claims")
V2 = "claims:2"
HUSH = "hush-hush"


class Api:
    """An API server that takes a status."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.agent = body
        self.shown: dict[str, Any] = {}

    async def apply(self, resource: Any, body: dict[str, Any], subresource: str = "") -> Any:
        self.shown = body["status"]
        return {**self.agent, "status": self.shown}

    async def create(self, *_: Any) -> dict[str, Any]:
        return {}


class Restate(RestateObserver):
    async def view(self, *_: Any, **__: Any) -> RestateView:
        return view(registered())


def body_of(image: str) -> dict[str, Any]:
    body = agent(image, drain={"delay": "0s"}).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    body["metadata"]["resourceVersion"] = "1"
    return body


def replica_set(image: str) -> dict[str, Any]:
    found = wish(image)
    return {
        "metadata": {
            "name": found.name,
            "namespace": "team",
            "uid": found.name,
            "resourceVersion": "1",
            "creationTimestamp": "2026-05-04T11:00:00Z",
            "labels": {names.AGENT_LABEL: "claims"},
            "annotations": {
                names.URI_ANNOTATION: found.uri,
                names.ADMIN_URL_ANNOTATION: found.restate.url,
            },
        },
        "spec": {
            "replicas": 1,
            "template": {
                "metadata": {},
                "spec": {"containers": [{"name": "agent", "image": image}]},
            },
        },
        "status": {"readyReplicas": 1},
    }


def made(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> tuple[Reconciler, Api, list[str]]:
    """A rollout whose first action, the new revision, fails; and what is done beside it."""
    api, store, done = Api(body_of(V2)), Store(), list[str]()

    async def apply(_: Applier, action: do.Action, __: Any) -> None:
        if isinstance(action, do.CreateRevision):
            raise error
        done.append(type(action).__name__)

    monkeypatch.setattr(Applier, "apply", apply)
    store.put(AGENT_DEPLOYMENTS, api.agent)
    store.put(REPLICA_SETS, replica_set("claims:1"))
    kube: Kube = api  # type: ignore[assignment]
    return Reconciler(kube, store, Restate(), SETTINGS), api, done


async def test_the_others_are_done_and_it_is_shown_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reconciler, api, done = made(monkeypatch, TypeError(HUSH))
    before = metrics.RECONCILE_ERRORS._value.get()
    again = await reconciler.reconcile(KEY)
    assert "PointService" in done, "what comes after it is done"
    assert again is not None
    assert again.total_seconds() < 1, "tried again soon"
    assert metrics.RECONCILE_ERRORS._value.get() == before + 1
    (line,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert line.exc_info, "with its traceback"
    await reconciler.reconcile(KEY)
    progressing = next(c for c in api.shown["conditions"] if c["type"] == "Progressing")
    assert progressing["reason"] == setbacks.UNEXPECTED
    assert "TypeError" in progressing["message"]
    assert HUSH not in str(api.shown), "it may quote anything"


async def test_an_end_of_the_operator_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reconciler, *_ = made(monkeypatch, asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await reconciler.reconcile(KEY)

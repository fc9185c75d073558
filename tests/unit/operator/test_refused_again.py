"""A registration that Restate lost, and refuses to take again."""

from typing import Any, cast

import pytest

from agent_operator.api import names
from agent_operator.kube.client import Kube
from agent_operator.kube.store import Store
from agent_operator.reconcile import actions as do
from agent_operator.reconcile.apply import Applier
from agent_operator.reconcile.errors import NotNowError
from agent_operator.reconcile.registration import Registrar, _check_compatibility
from agent_operator.restate.client import RegistrationRefusedError
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.view import Service
from tests.unit.operator.build import (
    SERVICE,
    agent,
    fresh,
    load,
    registered,
    revision,
    snapshot,
    view,
    wish,
)

V1, V2 = "claims:1", "claims:2"
LOST = revision(V1)
GIVEN = snapshot(
    agent(V2, status={"activeRevision": wish(V2).name, "history": [wish(V2).name]}),
    LOST,
    revision(V2),
    restate=view(registered(V2), loads={V1: load(suspended=1)}),
)


class Notes:
    """A Kubernetes that takes notes."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []

    async def merge(self, resource: object, namespace: str, name: str, patch: Any) -> Any:
        self.written.append(patch["metadata"]["annotations"])
        return {"kind": "ReplicaSet", "metadata": {"namespace": namespace, "name": name}}


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    async def refuse(*_: object) -> None:
        raise RegistrationRefusedError("META0006: no")

    monkeypatch.setattr(Registrar, "check", refuse)
    return Notes()


def applier(notes: Notes) -> Applier:
    return Applier(cast("Kube", notes), Store(), cast("RestateObserver", None))


async def test_it_is_tried_again_later_and_nothing_is_written(notes: Notes) -> None:
    """A note would be cleared by the next look, and so on without end."""
    with pytest.raises(NotNowError, match="META0006"):
        await applier(notes).apply(do.RegisterRevision(LOST), GIVEN)
    assert notes.written == []


async def test_a_candidate_has_failed(notes: Notes) -> None:
    candidate = fresh(V2)
    given = snapshot(agent(V2), candidate)
    await applier(notes).apply(do.RegisterRevision(candidate), given)
    (written,) = notes.written
    assert "META0006" in written[names.FAILURE_ANNOTATION]


def test_what_was_registered_before_is_not_compared_with_what_serves_now() -> None:
    """Though it is so old that the history has forgotten it."""
    serves = view(registered(V2, (SERVICE, "Added")))
    offered = [Service(SERVICE, "")]
    _check_compatibility(offered, serves, GIVEN, LOST)
    with pytest.raises(RegistrationRefusedError):
        _check_compatibility(offered, serves, GIVEN, fresh("claims:3"))

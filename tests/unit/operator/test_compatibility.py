"""What callers would miss."""

import pytest

from agent_operator.reconcile.compatibility import breaking_changes
from agent_operator.restate.view import Service

KEYED = {"turn": "Exclusive", "history": "Shared"}


def claims(kind: str = "VirtualObject", **handlers: str) -> Service:
    return Service("Claims", "dp_1", type=kind, handlers=handlers or KEYED)


CASES: list[tuple[list[Service], list[str]]] = [
    ([claims()], []),
    ([claims(**KEYED, more="Shared"), Service("New", "dp_1")], []),
    ([], ["service Claims is missing"]),
    ([claims("Workflow")], ["service Claims is a Workflow, and was a VirtualObject"]),
    ([claims(turn="Exclusive")], ["handler Claims/history is missing"]),
    (
        [claims(turn="Shared", history="Shared")],
        ["handler Claims/turn is Shared, and was Exclusive"],
    ),
]


@pytest.mark.parametrize(("then", "expected"), CASES, ids=[str(e) for _, e in CASES])
def test_breaking_changes(then: list[Service], expected: list[str]) -> None:
    assert breaking_changes([claims()], then) == expected


def test_what_goes_with_a_missing_service_is_not_told_apart() -> None:
    now = [claims(), Service("Claims.users", "dp_1"), Service("Claims.app", "dp_1")]
    assert breaking_changes(now, []) == ["service Claims is missing"]
    # But it is missed where the service itself stays: its sessions' state is there.
    assert breaking_changes(now, [claims(), now[2]]) == ["service Claims.users is missing"]
    assert breaking_changes([], now) == []

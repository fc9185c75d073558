"""The bench's arithmetic: its figures are what people believe."""

from typing import Any

from tests.bench.figures import Figure, Samples, Wanted, table
from tests.bench.scale import Scale
from tests.bench.watch import Seen, each_of, is_gone, is_leaving, is_ready, is_rolled_out


def seconds(*values: float) -> Samples:
    return Samples(values=list(values))


def deployment(generation: int = 2, **status: int) -> Seen:
    return Seen(
        0.0,
        "MODIFIED",
        {"metadata": {"generation": generation}, "spec": {"replicas": 1}, "status": status},
    )


def test_ratio_and_limits() -> None:
    figure = Figure("x", seconds(0.1, 0.4, 0.2), "y", seconds(0.1), Wanted(0.2, 0.3))
    assert figure.ratio == "2.00"
    assert figure.reached is False
    assert Figure("x", seconds(0.2), wanted=Wanted(0.2)).reached is True
    assert Figure("x", seconds(0.2)).reached is None
    assert Figure("x", seconds(0.2), "y", seconds(0.0)).ratio == "-"


def test_a_row_says_all_of_it() -> None:
    figure = Figure("waking", seconds(0.1, 0.4), "a turn", seconds(0.5), Wanted(worst=0.3))
    row = table([figure]).splitlines()[-1]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    expected = ["waking", "2", "0.250 s", "0.400 s", "a turn: 0.500 s", "0.50", "worst <= 0.3 s"]
    assert cells == [*expected, "NO"]


def test_rolled_out_is_what_kubectl_says() -> None:
    done: dict[str, Any] = {
        "observedGeneration": 2,
        "replicas": 1,
        "updatedReplicas": 1,
        "availableReplicas": 1,
    }
    assert is_rolled_out(deployment(**done))
    assert not is_rolled_out(deployment(**{**done, "replicas": 2}))
    assert not is_rolled_out(deployment(**{**done, "availableReplicas": 0}))
    assert not is_rolled_out(deployment(generation=3, **done))
    assert not is_rolled_out(deployment())


def test_pods() -> None:
    ready: dict[str, Any] = {
        "metadata": {},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    assert is_ready(Seen(0.0, "MODIFIED", ready))
    assert not is_ready(Seen(0.0, "ADDED", {"metadata": {}}))
    assert not is_leaving(Seen(0.0, "MODIFIED", ready))
    assert is_leaving(Seen(0.0, "DELETED", ready))
    assert is_leaving(Seen(0.0, "MODIFIED", {"metadata": {"deletionTimestamp": "2026-01-01"}}))


def test_each_of_many_is_waited_for_in_any_order_and_each_counts_once() -> None:
    last = each_of(["a", "b"], is_gone)
    events = [("a", "DELETED"), ("a", "DELETED"), ("b", "MODIFIED"), ("c", "DELETED")]
    seen = [Seen(0.0, kind, {"metadata": {"name": name}}) for name, kind in events]
    assert not any(last(event) for event in seen)
    assert last(Seen(0.0, "DELETED", {"metadata": {"name": "b"}}))


def test_many_objects_may_take_a_fifth_longer_than_deployments() -> None:
    found = Scale(200)
    for name, value in vars(found).items():
        if isinstance(value, Samples):
            value.add({"total": 12.1, "plain": 10.0, "memory": 150.0}.get(name, 1.0))
    figures = {figure.name: figure for figure in found.figures()}
    assert figures["200 objects created on a stub node -> all serve"].reached is False
    assert figures["200 objects: memory of the operator"].reached is True

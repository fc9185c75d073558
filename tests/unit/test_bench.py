"""The bench's arithmetic: its figures are what people believe."""

from typing import Any

from tests.bench.figures import Figure, Samples, Wanted, table
from tests.bench.watch import Seen, is_leaving, is_ready, is_rolled_out


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

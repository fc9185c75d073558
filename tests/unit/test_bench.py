"""The bench's arithmetic: its figures are what people believe."""

from typing import Any

import pytest

from tests.bench import operator_run, page
from tests.bench.agents import run
from tests.bench.agents.in_memory import InMemory
from tests.bench.agents.overhead import Line, costs, fit
from tests.bench.agents.scripted import message
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


def test_a_ratio_may_be_what_is_wanted() -> None:
    wanted = Wanted(ratio=2)
    figure = Figure("x", seconds(0.2), "y", seconds(0.1), wanted)
    assert figure.reached is True
    assert "| ratio <= 2 |" in table([figure])
    assert Figure("x", seconds(0.3), "y", seconds(0.1), wanted).reached is False
    # Without a baseline it isn't known, so it isn't reached.
    assert Figure("x", seconds(0.3), wanted=wanted).reached is False


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


PAGE = """# Benchmarks
<!-- one: made by `make bench`, don't edit -->
old
<!-- /one -->
by hand
<!-- two: made by `make bench`, don't edit -->
<!-- /two -->
"""


def test_each_run_writes_its_own_part_of_the_page() -> None:
    once = page.put(PAGE, "two", r"a \1 b")
    both = page.put(once, "one", "new")
    assert both.splitlines()[2:4] == ["new", "<!-- /one -->"]
    assert r"a \1 b" in both
    assert "by hand" in both
    assert page.put(both, "one", "old").replace("a \\1 b\n", "") == PAGE
    with pytest.raises(RuntimeError, match="three"):
        page.put(PAGE, "three", "")


def test_the_page_has_a_place_for_each_part() -> None:
    text = page.PAGE.read_text()
    for name in (operator_run.ONE_AGENT, operator_run.MANY, run.NAME):
        assert page.put(text, name, "x") != text


def test_a_calls_cost_is_the_slope_without_what_comes_along() -> None:
    assert fit({1: 5.0, 2: 7.0, 4: 11.0, 8: 19.0}) == Line(3.0, 2.0)
    lines = {"model": Line(3.0, 2.0), "alone": Line(4.0, 5.0), "together": Line(6.0, 1.0)}
    assert costs(lines) == {"model": 2.0, "alone": 3.0, "together": 1.0, "turn": 5.0}


async def test_the_model_does_what_it_is_told() -> None:
    runner = InMemory()
    await runner.turn("s", message(3, 2, "step"))
    await runner.turn("s", message(0, 1, "plain"))
    assert await runner.calls("s") == ["step"] * 6

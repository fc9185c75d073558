"""How differences between a turn and its replay are told."""

from __future__ import annotations

import pytest

from agent_service.testing.replay import Difference, first_difference, mismatch

SAID = """[570 Journal mismatch] Found a mismatch between the code paths.
- The mismatch happened while executing 'run' (index '9')
- Difference:
   name: step b650 != step d017"""


def test_a_step_of_another_name_is_told_with_both() -> None:
    found = mismatch(SAID, "step d017", 9)
    assert found.what == "step 'step b650' (entry 9 of the journal)"
    assert found.how == "  at first: step b650\n  when replayed: step d017"


def test_another_kind_of_step_is_told_as_restate_tells_it() -> None:
    found = mismatch("The previous execution ran 'run'\n\nThis one 'sleep'", "pause", None)
    assert found == Difference(
        "step 'pause'", "  The previous execution ran 'run'\n  This one 'sleep'"
    )


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"a": [1, {"b": "x"}]}, {"a": [1, {"b": "x"}]}, None),
        ({"a": [1, {"b": "x"}]}, {"a": [1, {"b": "y"}]}, ("a[1].b", '"x"', '"y"')),
        ({"a": 1}, {"a": 1, "b": 2}, ("b", "null", "2")),
        ([1, 2], [1], ("", "[1, 2]", "[1]")),
        ("x" * 300, "y", ("", '"' + "x" * 199 + "...", '"y"')),
        (None, {"a": 1}, ("", "null", '{"a": 1}')),
    ],
)
def test_the_first_difference_is_told_with_its_place(
    before: object, now: object, told: tuple[str, str, str] | None
) -> None:
    found = first_difference(before, now)
    if told is None:
        assert found is None
        return
    place, first, again = told
    where = f"  {place}\n" if place else ""
    assert found == f"{where}  at first: {first}\n  when replayed: {again}"

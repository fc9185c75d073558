"""docs/agents/known-defects.md names tests; they must be there."""

import re

from hack.restate import ROOT


def test_each_test_that_the_page_names_is_there() -> None:
    page = (ROOT / "docs" / "agents" / "known-defects.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    files = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    there = {name for text in files for name in re.findall(r"def (test_\w+)\(", text)}
    assert len(named) > 30
    assert named <= there, named - there

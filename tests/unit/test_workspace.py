"""Traps of the workspace itself."""

import operator
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_folder_operator_does_not_shadow_the_standard_library() -> None:
    assert operator.__file__ is not None
    assert Path(operator.__file__).parent == Path(sysconfig.get_path("stdlib"))
    assert not (ROOT / "operator" / "__init__.py").exists()

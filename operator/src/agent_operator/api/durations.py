"""Durations as people write them in a spec: ``500ms``, ``30s``, ``5m``, ``1h30m``."""

import re
from datetime import timedelta
from typing import Final

PATTERN: Final = r"^([0-9]{1,5}(ms|s|m|h))+$"
_PART: Final = re.compile(r"([0-9]{1,5})(ms|s|m|h)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse(text: str) -> timedelta:
    """Read a duration such as ``1h30m``.

    Raises:
        ValueError: the text is not a sequence of whole numbers, each with ms, s, m or h.
    """
    if not re.fullmatch(PATTERN, text):
        raise ValueError(f"{text!r} is not a duration; write for example 500ms, 30s, 5m or 1h30m")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return timedelta(seconds=seconds)

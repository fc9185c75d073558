"""The chart's values that name images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _split(reference: str) -> dict[str, str]:
    repository, _, tag = reference.rpartition(":")
    return {"repository": repository, "tag": tag}


def chart_values(images: Mapping[str, str]) -> dict[str, Any]:
    """Values for ``helm/durable-agents`` that make it run these images.

    Args:
        images: what ``ensure()`` returned, all of it or part.

    Returns:
        Nested values, such as ``{"operator": {"image": {"repository": ..., "tag": ...}}}``.
    """
    values: dict[str, Any] = {}
    if "operator" in images:
        values["operator"] = {"image": _split(images["operator"])}
    if "agent-service" in images:
        values["agentImage"] = _split(images["agent-service"])
    if "restate" in images:
        values["restate"] = {"image": _split(images["restate"])}
    return values

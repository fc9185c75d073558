from __future__ import annotations

import gc
import sys

import pytest

from agent_service import garbage
from agent_service.warmup import warm_up


@pytest.mark.parametrize("vertex", ["", "true"])
async def test_it_needs_no_model_and_no_key(vertex: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", vertex)
    await warm_up()
    # One of those that ADK leaves to the first turn.
    assert "google.adk.runners" in sys.modules


def test_what_is_imported_is_not_looked_at_by_the_collector() -> None:
    assert gc.isenabled()
    before = gc.get_freeze_count()
    try:
        garbage.put_off()
        assert not gc.isenabled()
        garbage.begin()
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.enable()
        gc.unfreeze()


def test_who_has_turned_the_collector_off_is_left_alone() -> None:
    gc.disable()
    try:
        garbage.put_off()
        garbage.begin()
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()

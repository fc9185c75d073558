from __future__ import annotations

import sys

import pytest

from agent_service.warmup import warm_up


@pytest.mark.parametrize("vertex", ["", "true"])
async def test_it_needs_no_model_and_no_key(vertex: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", vertex)
    await warm_up()
    # One of those that ADK leaves to the first turn.
    assert "google.adk.runners" in sys.modules

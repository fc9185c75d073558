"""Secrets of the process are in no text that it tells."""

from __future__ import annotations

import pytest

from agent_service.logs import redact
from agent_service.settings import PLACEHOLDER_KEY

KEY = "k-0123456789"


@pytest.mark.parametrize(
    "name",
    ["GOOGLE_API_KEY", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "DB_PASSWORD"],
)
def test_what_is_secret_by_its_name(name: str) -> None:
    assert redact(f"401: bad key {KEY}!", {name: KEY}) == f"401: bad key <{name}>!"


@pytest.mark.parametrize(
    ("name", "value"),
    [("AWS_ACCESS_KEY_ID", KEY), ("MODEL", KEY), ("SHORT_KEY", "abc"), ("A_KEY", PLACEHOLDER_KEY)],
)
def test_what_is_none(name: str, value: str) -> None:
    assert redact(f"it says {value}", {name: value}) == f"it says {value}"

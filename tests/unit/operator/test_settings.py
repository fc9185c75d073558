"""The operator's own settings: a wrong one is named, with what to give instead."""

import pytest

from agent_operator.settings import Settings, SettingsError


def test_a_lease_lasts_as_told() -> None:
    assert Settings.from_env({}).lease_seconds == 15
    assert Settings.from_env({"LEASE_SECONDS": "180"}).lease_seconds == 180


@pytest.mark.parametrize("value", ["14", "long", "-20", "15.5"])
def test_a_lease_that_is_too_short_or_no_number_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=f"LEASE_SECONDS is '{value}'.*15 or more"):
        Settings.from_env({"LEASE_SECONDS": value})


@pytest.mark.parametrize("url", ["http://10.0.0.300:9070", "http://10.0.0.5:90700"])
def test_a_restate_has_an_address_that_can_be(url: str) -> None:
    with pytest.raises(SettingsError, match="RESTATE_ADMIN_URL is no plain http"):
        Settings.from_env({"RESTATE_ADMIN_URL": url})


def test_an_ingress_is_an_address() -> None:
    assert Settings.from_env({}).ingress_url == ""
    given = Settings.from_env({"RESTATE_INGRESS_URL": "http://restate:8080/"})
    assert given.ingress_url == "http://restate:8080"
    with pytest.raises(SettingsError, match="RESTATE_INGRESS_URL is no plain http"):
        Settings.from_env({"RESTATE_INGRESS_URL": "restate:8080"})

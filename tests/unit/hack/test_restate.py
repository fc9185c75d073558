"""hack.restate where nothing has to run."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from hack import restate


@pytest.fixture
def empty_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(restate, "NPM", tmp_path / "npm")
    return tmp_path


def test_without_npm_one_line_says_so(empty_npm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(empty_npm))
    with pytest.raises(restate.RestateError, match=r"npm is missing: install Node\.js"):
        restate.binary()


def test_an_installed_server_is_used_without_npm(
    empty_npm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(empty_npm))
    path = restate._binary_path()
    path.parent.mkdir(parents=True)
    path.touch()
    (restate.NPM / ".stamp").write_text(restate._wanted_stamp())
    assert restate.binary() == path
    # Other pins than those installed ask for npm again.
    (restate.NPM / ".stamp").write_text("older")
    with pytest.raises(restate.RestateError, match="npm is missing"):
        restate.binary()


def test_an_unknown_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(restate.RestateError, match="riscv64"):
        restate.binary()


def test_the_lock_pins_what_package_json_asks_for() -> None:
    wanted = json.loads((restate.PINS / "package.json").read_text())["dependencies"]
    locked = json.loads((restate.PINS / "package-lock.json").read_text())["packages"]
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version
    assert not any("resolved" in package for package in locked.values())


def test_ports_are_distinct_and_outside_of_what_linux_hands_out() -> None:
    ports = restate.free_ports(20)
    assert len(set(ports)) == 20
    assert all(20_000 <= port < 32_000 for port in ports)


def test_a_server_that_was_not_started_says_so() -> None:
    server = restate.RestateServer()
    with pytest.raises(restate.RestateError, match="has not been started"):
        _ = server.ingress_url
    server.stop()
    server.close()

"""Log lines as a collector reads them, and as a person does."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from agent_operator import logs
from agent_operator.kube.store import Key
from agent_operator.loop import Loop

log = logging.getLogger("test.logs")


class Lines(logging.Handler):
    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def json(self) -> list[dict[str, Any]]:
        assert all("\n" not in line for line in self.lines)
        return [json.loads(line) for line in self.lines]


def listening(formatter: logging.Formatter) -> Iterator[Lines]:
    handler, root = Lines(formatter), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def as_json() -> Iterator[Lines]:
    yield from listening(logs.JsonFormatter())


@pytest.fixture
def as_text() -> Iterator[Lines]:
    yield from listening(logs.TextFormatter())


def test_a_line_outside_of_any_look(as_json: Lines) -> None:
    log.info("hello %s", "you")
    (line,) = as_json.json()
    assert line.pop("time").endswith("Z")
    assert line == {"level": "INFO", "logger": "test.logs", "message": "hello you"}


def test_a_line_says_what_it_is_about(as_json: Lines) -> None:
    with logs.reconciling("team", "claims"):
        with logs.about_revision("claims-1"):
            log.warning("x")
        log.warning("y")
    with logs.reconciling("team", "claims"):
        log.warning("z")
    x, y, z = as_json.json()
    assert (x["object"], x["revision"]) == ("team/claims", "claims-1")
    assert "revision" not in y
    assert x["reconcile"] == y["reconcile"] != z["reconcile"]


def test_an_exception_stays_on_its_line(as_json: Lines) -> None:
    try:
        int("two\nlines")
    except ValueError:
        log.exception("failed")
    (line,) = as_json.json()
    assert "ValueError: invalid literal" in line["exception"]


def test_lines_of_kopf_name_their_object(as_json: Lines) -> None:
    log.warning("x", extra={"k8s_ref": {"namespace": "team", "name": "claims", "uid": "u"}})
    (line,) = as_json.json()
    assert line["object"] == "team/claims"


def test_text(as_text: Lines) -> None:
    log.info("plain")
    with logs.reconciling("team", "claims"), logs.about_revision("claims-1"):
        log.info("about")
    plain, about = as_text.lines
    assert plain.endswith("Z INFO test.logs plain")
    assert " INFO test.logs [team/claims claims-1 " in about
    assert about.endswith("] about")


async def test_looks_at_the_same_time_are_told_apart(as_json: Lines) -> None:
    done = asyncio.Event()
    seen = 0

    async def look(key: Key) -> timedelta | None:
        nonlocal seen
        await asyncio.sleep(0.01)
        log.info("%s", key[1])
        seen += 1
        if seen == 3:
            done.set()
        if key[1] == "b":
            raise RuntimeError("no")
        return timedelta(hours=1)

    loop = Loop(look)
    for name in ("a", "b", "c"):
        loop.wake(("team", name))
    await asyncio.wait_for(done.wait(), 10)
    await asyncio.sleep(0)
    await loop.close()
    loop.wake(("team", "d"))  # nothing begins any more
    lines = as_json.json()
    told = [line for line in lines if line["logger"] == "test.logs"]
    assert {line["object"] for line in told} == {"team/a", "team/b", "team/c"}
    assert all(line["object"] == f"team/{line['message']}" for line in told)
    (failed,) = (line for line in lines if line["level"] == "ERROR")
    assert failed["object"] == "team/b"
    assert "RuntimeError: no" in failed["exception"]


def run(**env: str) -> subprocess.CompletedProcess[str]:
    """The operator without any cluster."""
    return subprocess.run(
        [sys.executable, "-m", "agent_operator"],
        env={"PATH": os.environ["PATH"], "KUBECONFIG": "missing", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_last_words_are_json_too() -> None:
    done = run(LOG_FORMAT="json")
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines[-1]["level"] == "CRITICAL"
    assert "KUBECONFIG" in lines[-1]["message"]


def test_an_unknown_format_is_refused() -> None:
    done = run(LOG_FORMAT="xml")
    assert done.returncode == 1
    assert "LOG_FORMAT is 'xml'; give text or json" in done.stderr

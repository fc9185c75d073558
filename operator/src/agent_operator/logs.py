"""Log lines that say which object, revision and reconcile they are about; as text or as JSON.

A line holds what the code says, never a request's or an answer's body, and no environment.
"""

import json
import logging
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal

LogFormat = Literal["text", "json"]

_OBJECT: ContextVar[str | None] = ContextVar("object", default=None)
_RECONCILE: ContextVar[str | None] = ContextVar("reconcile", default=None)
_REVISION: ContextVar[str | None] = ContextVar("revision", default=None)

# Both tell every request or watch; what they tell is in our own lines where it matters.
TALKATIVE: Final = ("httpx", "kopf")


@contextmanager
def reconciling(namespace: str, name: str) -> Iterator[None]:
    """All lines within are about one look at one object, told from others by a random id."""
    about = _OBJECT.set(f"{namespace}/{name}")
    reconcile = _RECONCILE.set(secrets.token_hex(4))
    try:
        yield
    finally:
        _OBJECT.reset(about)
        _RECONCILE.reset(reconcile)


@contextmanager
def about_revision(name: str | None) -> Iterator[None]:
    """All lines within are about one revision."""
    token = _REVISION.set(name)
    try:
        yield
    finally:
        _REVISION.reset(token)


def configure(level: str, log_format: LogFormat) -> None:
    """Make all loggers of the process write to stderr in one format."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    if log_format == "json":
        # An error that ends the process must not be the one thing that a collector can't read.
        sys.excepthook = _log_uncaught


def context(record: logging.LogRecord) -> dict[str, str]:
    """What a line is about: ``object`` (namespace/name), ``revision``, ``reconcile``, if known."""
    # kopf gives its lines the object that they are about.
    ref = getattr(record, "k8s_ref", None) or {}
    named = f"{ref.get('namespace')}/{ref['name']}" if ref.get("name") else None
    found = {
        "object": named or _OBJECT.get(),
        "revision": _REVISION.get(),
        "reconcile": _RECONCILE.get(),
    }
    return {key: value for key, value in found.items() if value}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the context, and ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        """A line, without its end."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **context(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """For people: time, level, logger, the context in brackets, message."""

    def format(self, record: logging.LogRecord) -> str:
        """A line, or more where there is an exception."""
        words = " ".join(context(record).values())
        bracket = f" [{words}]" if words else ""
        head = f"{_time(record)} {record.levelname} {record.name}{bracket} {record.getMessage()}"
        return f"{head}\n{self.formatException(record.exc_info)}" if record.exc_info else head


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logging.getLogger(__name__).critical("ended by an error", exc_info=(kind, error, trace))

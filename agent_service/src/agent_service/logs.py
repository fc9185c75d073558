"""Log lines as JSON objects, one a line, for people and for collectors."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping
from typing import override

from agent_service.settings import PLACEHOLDER_KEY

_LEVEL_VARIABLE = "LOG_LEVEL"
_SHORTEST_SECRET = 8
# Not *_KEY_ID, which names a key, nor what only says where one is.
_SECRET = re.compile(r"(_KEY|_TOKEN|_SECRET|_PASSWORD|_CREDENTIALS)$", re.IGNORECASE)


def redact(text: str, env: Mapping[str, str] | None = None) -> str:
    """Takes secrets of this process out of a text that comes from elsewhere, such as a provider.

    What is secret is told by the variable's name: ``OPENAI_API_KEY``, ``AWS_SECRET_ACCESS_KEY``.
    Values of fewer than 8 characters stay: they would be found in words.
    """
    source = os.environ if env is None else env
    for name, value in source.items():
        secret = value.strip()
        if len(secret) >= _SHORTEST_SECRET and secret != PLACEHOLDER_KEY and _SECRET.search(name):
            text = text.replace(secret, f"<{name}>")
    return text


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object; ``extra={"fields": {...}}`` adds to it."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(getattr(record, "about", {}))
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return redact(json.dumps(line, ensure_ascii=False, default=str))


def set_up_logging() -> None:
    """Sends log lines to stderr; LOG_LEVEL (default INFO) sets our own level and that of agents."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    show_lines_of("agent_service")


def show_lines_of(package: str) -> None:
    """Lets a package's log lines pass from LOG_LEVEL on; others' only from WARNING on."""
    level = os.environ.get(_LEVEL_VARIABLE, "").strip().upper() or "INFO"
    known = logging.getLevelNamesMapping()
    logging.getLogger(package).setLevel(known.get(level, logging.INFO))

"""Log lines as JSON objects, one a line, for people and for collectors."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import override

from agent_service.settings import KEY_VARIABLES, PLACEHOLDER_KEY

_LEVEL_VARIABLE = "LOG_LEVEL"


def redact(text: str, env: Mapping[str, str] | None = None) -> str:
    """Takes the model's keys out of a text that comes from elsewhere, such as a provider."""
    source = os.environ if env is None else env
    for name in KEY_VARIABLES:
        key = source.get(name, "").strip()
        if key and key != PLACEHOLDER_KEY:
            text = text.replace(key, f"<{name}>")
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

"""Whose requests are taken: those that Restate signed with a key that the settings name.

While a revision is a candidate, the operator's gates try it through a Restate server of their own.
Its key is in a file that is empty at all other times, so it is looked at for each request. Without
keys in the settings nothing is checked, whatever the file says.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import restate

from agent_service.settings import Settings

logger = logging.getLogger(__name__)

_KEY = re.compile(r"publickeyv1_[1-9A-HJ-NP-Za-km-z]+")


def trusting(services: Sequence[restate.VirtualObject], settings: Settings) -> Any:
    """Makes the ASGI app that serves ``services`` to whom the settings trust."""
    keys = list(settings.identity_keys)
    if not keys:
        return restate.app(services)
    return _Checked(services, keys, Path(settings.gate_key_file))


class _Checked:
    """One app for the lasting keys, and one more while there is a gate's key."""

    def __init__(
        self, services: Sequence[restate.VirtualObject], keys: list[str], file: Path
    ) -> None:
        self._services, self._keys, self._file = services, keys, file
        self._app: Any = restate.app(services, identity_keys=keys)
        self._gate_app: Any = None
        self._gate_key = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._now()(scope, receive, send)

    def _now(self) -> Any:
        key = _read(self._file)
        if not key:
            self._gate_app, self._gate_key = None, ""
            return self._app
        if key != self._gate_key:
            logger.info("a gate's key is trusted for now", extra={"fields": {"key": key}})
            self._gate_app = restate.app(self._services, identity_keys=[*self._keys, key])
            self._gate_key = key
        return self._gate_app


def _read(file: Path) -> str:
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if _KEY.fullmatch(text) else ""

"""Log lines of turns: not again on a replay, and with what they are about."""

from __future__ import annotations

import logging
from typing import Final, override

from agent_service.telemetry.attempts import current_attempt, current_invocation

# What these say is about the attempt, replayed or not: a journal that doesn't match, for one.
_ALWAYS: Final = ("restate", "asyncio", "hypercorn")


class TurnLines(logging.Filter):
    """Hides the lines of a turn's code that an earlier attempt has written, and adds fields.

    The SDK's own filter goes by a context variable that each task of a turn sets for itself, so
    after a resume it hides new lines of other tasks, too. This one asks the state machine.
    """

    def __init__(self, revision: str) -> None:
        super().__init__()
        self._revision = revision

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        context = current_invocation()
        if context is None:
            return True
        attempt = current_attempt()
        fields: dict[str, object] = {
            "agent": context.handler.service_tag.name if attempt is None else attempt.agent,
            "session": context.invocation.key,
            "invocation": context.invocation.invocation_id,
            "revision": self._revision,
        }
        if attempt is not None and attempt.scope is not None and attempt.scope.number:
            fields["turn"] = attempt.scope.number
        record.about = fields
        if record.name.partition(".")[0] in _ALWAYS:
            return True
        if attempt is None:
            return not context.vm.is_replaying()
        return attempt.tells_anew(hash((record.name, record.lineno, record.getMessage())))


def watch_log_lines(revision: str) -> None:
    """Makes all lines that the root logger's handlers write aware of turns."""
    for handler in logging.getLogger().handlers:
        for old in [each for each in handler.filters if isinstance(each, TurnLines)]:
            handler.removeFilter(old)
        handler.addFilter(TurnLines(revision))

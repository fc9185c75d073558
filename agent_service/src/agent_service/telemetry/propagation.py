"""The ids of a turn's trace, which have to be the same in all of its attempts.

They come from what all attempts share: the caller's ``traceparent``, which the journal keeps, or
the invocation's id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from restate.server_context import ServerInvocationContext

HEADER: Final = "traceparent"

_FORM: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True)
class Parent:
    """What a ``traceparent`` header says (W3C Trace Context)."""

    trace_id: int
    span_id: int
    flags: int


def parse(header: str | None) -> Parent | None:
    """Reads a ``traceparent`` header; None where there is none that is valid."""
    match = _FORM.fullmatch((header or "").strip())
    if match is None:
        return None
    parent = Parent(int(match[1], 16), int(match[2], 16), int(match[3], 16))
    return parent if parent.trace_id and parent.span_id else None


def derived(bits: int, *parts: object) -> int:
    """Returns an id of so many bits that is always the same for the same parts, and never 0."""
    digest = blake2b("\x1f".join(map(str, parts)).encode(), digest_size=bits // 8).digest()
    return int.from_bytes(digest) or 1


def incoming(context: ServerInvocationContext) -> Parent | None:
    """Returns what a turn hangs below: Restate's span of the attempt, or what its caller sent.

    Restate names its own span where its tracing is on, in the trace that the caller's header
    names, if there is one.
    """
    return parse(context.attempt_headers.get(HEADER)) or _sent(context)


def turn_ids(context: ServerInvocationContext) -> tuple[int, int]:
    """Returns the ids of the turn's trace and of its own span."""
    invocation = context.invocation.invocation_id
    parent = incoming(context)
    trace_id = parent.trace_id if parent else derived(128, "trace", invocation)
    return trace_id, derived(64, "turn", invocation)


def outgoing(context: ServerInvocationContext, invocation: str) -> str:
    """Returns the ``traceparent`` header for the turn's own calls.

    It becomes part of the journal. So it depends on nothing that may be another one in the next
    attempt, such as whether anything is traced.

    Args:
        context: the SDK's.
        invocation: in which the journal began, that of the turn itself unless it was restarted.
    """
    sent = _sent(context)
    trace_id = sent.trace_id if sent else derived(128, "trace", invocation)
    flags = sent.flags if sent else 1
    return f"00-{trace_id:032x}-{derived(64, 'turn', invocation):016x}-{flags:02x}"


def _sent(context: ServerInvocationContext) -> Parent | None:
    return parse(dict(context.invocation.headers).get(HEADER))

"""The state that Restate sends along with a call, read without writing it to the journal.

``context.get`` copies what it reads into the journal, so a turn that reads its whole session would
journal it anew each time. Restate sends the object's state with each attempt's first message
(``StartMessage``: service protocol, `dev.restate.service.protocol`), where this reads it.

Only what can't change while an attempt is tried again may be read here: a turn holds its session
alone, so the turns before it are such.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

HEADER_BYTES = 8
START_MESSAGE = 0x0000
# Fields of StartMessage, and of its StateEntry.
_STATE_MAP, _PARTIAL_STATE, _RETRIES = 4, 5, 7
_KEY, _VALUE = 1, 2
# Protobuf's wire types.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class SentState:
    """The state as it was when an attempt began.

    Attributes:
        entries: by key, as written.
        complete: whether it is all of it; Restate leaves out what exceeds
            `worker.invoker.eager-state-size-limit` (32 MiB by default).
        retries: how many attempts have failed since the journal's last entry.
    """

    entries: Mapping[str, bytes]
    complete: bool
    retries: int = 0


@dataclass
class _FirstMessage:
    """Collects the first message of a call, which may come in several pieces."""

    state: SentState | None = None
    _over: bool = False
    _buffer: bytearray = field(default_factory=bytearray)

    def take(self, piece: bytes) -> None:
        if self._over:
            return
        self._buffer += piece
        if len(self._buffer) < HEADER_BYTES:
            return
        kind = int.from_bytes(self._buffer[:2])
        end = HEADER_BYTES + int.from_bytes(self._buffer[4:HEADER_BYTES])
        if kind == START_MESSAGE and len(self._buffer) < end:
            return
        if kind == START_MESSAGE:
            self.state = parse_start(bytes(self._buffer[HEADER_BYTES:end]))
        self._over = True
        self._buffer.clear()


# The SDK reads the call in a task of its own, so the handler can only share an object with it.
_first: ContextVar[_FirstMessage | None] = ContextVar("agent_service_first_message", default=None)


def sent_state() -> SentState | None:
    """Returns the whole state as sent with the attempt that runs here.

    ``None``: it was too large to be sent, or came in a form that this can't read.
    """
    first = _first.get()
    sent = first.state if first is not None else None
    return sent if sent is not None and sent.complete else None


def attempts_in_vain() -> int:
    """How many attempts in a row added nothing to the journal; 0 if that can't be told."""
    first = _first.get()
    return first.state.retries if first is not None and first.state is not None else 0


def with_sent_state(app: Any) -> Any:
    """Wraps the SDK's ASGI app so that ``sent_state`` works in its handlers."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or "/invoke/" not in scope["path"]:
            await app(scope, receive, send)
            return
        first = _FirstMessage()
        _first.set(first)

        async def listening() -> Any:
            event = await receive()
            if event.get("type") == "http.request":
                first.take(event.get("body", b""))
            return event

        await app(scope, listening, send)

    return wrapped


def parse_start(message: bytes) -> SentState | None:
    """Reads the state from a StartMessage's bytes; ``None`` where they are of another form."""
    entries: dict[str, bytes] = {}
    complete, retries = True, 0
    try:
        for number, value in _fields(message):
            if number == _STATE_MAP and isinstance(value, bytes):
                entry = dict(_fields(value))
                key = entry.get(_KEY, b"")
                content = entry.get(_VALUE, b"")
                if isinstance(key, bytes) and isinstance(content, bytes):
                    entries[key.decode()] = content
            elif number == _PARTIAL_STATE:
                complete = not value
            elif number == _RETRIES and isinstance(value, int):
                retries = value
    except (IndexError, ValueError):
        return None
    return SentState(entries, complete, retries)


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire == _BYTES:
            size, position = _varint(message, position)
        else:
            size = {_FIXED64: 8, _FIXED32: 4}.get(wire, -1)
        if size < 0 or position + size > len(message):
            raise ValueError("no protobuf message")
        yield number, message[position : position + size]
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7

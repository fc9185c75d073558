"""Reading the state out of a call's first message."""

from __future__ import annotations

from typing import Any

import pytest

from agent_service.durable.eager import SentState, parse_start, sent_state, with_sent_state


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _start(entries: dict[str, bytes], *, partial: bool = False) -> bytes:
    """A StartMessage as Restate sends it, with fields before and after the state."""
    message = _bytes(1, b"\x01" * 16) + _bytes(2, b"inv_1") + _number(3, 1)
    for key, value in entries.items():
        message += _bytes(4, _bytes(1, key.encode()) + _bytes(2, value))
    message += _number(5, 1) if partial else b""
    return message + _bytes(6, b"session-1") + _number(7, 300)


def _framed(message: bytes, kind: int = 0) -> bytes:
    return kind.to_bytes(2) + b"\x00\x00" + len(message).to_bytes(4) + message


@pytest.mark.parametrize("value", [b"{}", b"", b"\x80" * 300, b"x" * 70_000])
def test_entries_are_read_as_they_were_written(value: bytes) -> None:
    read = parse_start(_start({"session": b"{}", "turn/000001": value}))
    assert read == SentState({"session": b"{}", "turn/000001": value}, complete=True, retries=300)


def test_a_part_is_told_from_the_whole() -> None:
    read = parse_start(_start({"session": b"{}"}, partial=True))
    assert read == SentState({"session": b"{}"}, complete=False, retries=300)


@pytest.mark.parametrize("cut", [1, 3, 20])
def test_what_has_another_form_is_no_state(cut: int) -> None:
    assert parse_start(_start({"session": b"{}"})[:-cut] + b"\xff" * cut) is None


async def _seen_by_handler(pieces: list[bytes], path: str = "/invoke/A/turn") -> SentState | None:
    """What a handler sees once the app has read all pieces, as the SDK does."""
    seen: list[SentState | None] = []
    waiting = list(pieces)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        seen.append(sent_state())

    async def receive() -> dict[str, Any]:
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(event: Any) -> None:
        raise AssertionError("nothing is sent")

    await with_sent_state(app)({"type": "http", "path": path}, receive, send)
    assert waiting == []
    return seen[0]


@pytest.mark.parametrize("size", [1, 7, 8, 9, 64, 10_000])
async def test_the_message_may_come_in_pieces(size: int) -> None:
    whole = _framed(_start({"k": b"v" * 500})) + _framed(b"input", 0x0400)
    pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
    assert await _seen_by_handler(pieces) == SentState({"k": b"v" * 500}, True, 300)


async def test_another_first_message_is_no_state() -> None:
    assert await _seen_by_handler([_framed(b"input", 0x0400)]) is None


async def test_a_part_is_not_taken_for_the_session() -> None:
    assert await _seen_by_handler([_framed(_start({"k": b"v"}, partial=True))]) is None


async def test_other_paths_pass_through() -> None:
    assert await _seen_by_handler([_framed(_start({"k": b"v"}))], path="/discover") is None

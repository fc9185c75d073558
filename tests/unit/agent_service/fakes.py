"""A virtual object's state in memory."""

from __future__ import annotations

from collections.abc import Mapping

from restate.serde import Serde


class FakeStore:
    """Keeps serialized values, as Restate does, and counts what is written."""

    def __init__(self, state: Mapping[str, bytes] | None = None) -> None:
        self.state: dict[str, bytes] = dict(state or {})
        self.written: list[str] = []

    async def get[T](self, name: str, serde: Serde[T]) -> T | None:
        value = self.state.get(name)
        return None if value is None else serde.deserialize(value)

    async def state_keys(self) -> list[str]:
        return list(self.state)

    def set[T](self, name: str, value: T, serde: Serde[T]) -> None:
        self.state[name] = serde.serialize(value)
        self.written.append(name)

    def clear(self, name: str) -> None:
        self.state.pop(name, None)

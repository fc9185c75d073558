"""What is kept in a virtual object's state: reading it, writing it, and models as JSON."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, TypeVar, override

from pydantic import BaseModel
from restate.serde import Serde

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class Reader(Protocol):
    """What reading a session needs of Restate; shared handlers have it too."""

    def get(self, name: str, serde: Serde[T]) -> Awaitable[T | None]:
        """Reads one state entry."""

    def state_keys(self) -> Awaitable[list[str]]:
        """Lists the state's keys."""


class Store(Reader, Protocol):
    """What writing a session needs as well."""

    def set(self, name: str, value: T, serde: Serde[T]) -> None:
        """Writes one state entry."""

    def clear(self, name: str) -> None:
        """Removes one state entry."""


class ModelSerde(Serde[M]):
    """A pydantic model as JSON, without what is None in it unless that is to be kept."""

    def __init__(self, model: type[M], *, keep_none: bool = False) -> None:
        self._model = model
        self._exclude_none = not keep_none

    @override
    def serialize(self, obj: M | None) -> bytes:
        return b"" if obj is None else obj.model_dump_json(exclude_none=self._exclude_none).encode()

    @override
    def deserialize(self, buf: bytes) -> M | None:
        return self._model.model_validate_json(buf) if buf else None

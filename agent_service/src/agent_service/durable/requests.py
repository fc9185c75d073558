"""How handlers read what callers send them."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import cast, override

from pydantic import BaseModel, ValidationError
from restate import TerminalError
from restate.serde import Serde


@dataclass(frozen=True)
class Unreadable:
    """A request body that doesn't fit; the handler refuses it with 400."""

    reason: str


class RequestSerde[M: BaseModel](Serde[M]):
    """Reads a request; the SDK would answer 500 if this raised, so it returns what is wrong."""

    def __init__(self, model: type[M]) -> None:
        self._model = model

    @override
    def serialize(self, obj: M | None) -> bytes:
        return b"" if obj is None else obj.model_dump_json().encode()

    @override
    def deserialize(self, buf: bytes) -> M | None:
        try:
            return self._model.model_validate_json(buf)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, p['loc'])) or 'body'}: {p['msg']}" for p in error.errors()
            )
            return cast("M", Unreadable(problems))


def readable[M: BaseModel](request: M | Unreadable) -> M:
    """Returns a request that could be read.

    Raises:
        restate.TerminalError: 400, it couldn't; with what is wrong.
    """
    if isinstance(request, Unreadable):
        raise TerminalError(f"the request is not valid: {request.reason}", HTTPStatus.BAD_REQUEST)
    return request

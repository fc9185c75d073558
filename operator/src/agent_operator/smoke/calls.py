"""How a smoke gate's Restate calls the candidate: as the real one is going to (``spec.restate``).

The values of headers reach the gate by its environment, those from Secrets by reference.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent_operator.restate.client import Calls
from agent_operator.restate.server import Calling, Header

_VALUE: Final = "GATE_HEADER_"


def arguments(calling: Calling) -> list[str]:
    """What the runner is told by its command line."""
    headers = [f"--header={_literal(header.name)}" for header in calling.headers]
    return [*(["--http11"] if calling.http11 else []), *headers]


def variables(calling: Calling) -> list[dict[str, Any]]:
    """The headers' values, as a container's ``env``."""
    return [
        {"name": f"{_VALUE}{number}", **_source(header)}
        for number, header in enumerate(calling.headers)
    ]


def read(http11: bool, headers: Sequence[str], environ: Mapping[str, str]) -> Calls:
    """What the runner was told. The blanks around a value are none of it, as at a registration."""
    values = (environ.get(f"{_VALUE}{number}", "").strip() for number in range(len(headers)))
    return Calls(http11, dict(zip(headers, values, strict=True)))


def _source(header: Header) -> dict[str, Any]:
    if header.secret is None:
        return {"value": _literal(header.value or "")}
    key = {"name": header.secret.name, "key": header.secret.key}
    return {"valueFrom": {"secretKeyRef": key}}


def _literal(text: str) -> str:
    """The kubelet would put variables in the place of ``$(NAME)``."""
    return text.replace("$", "$$")

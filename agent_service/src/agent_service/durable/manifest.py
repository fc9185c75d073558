"""What Restate is told of the handlers when it asks a deployment for them.

It asks twice for each revision that is registered, and whoever upgrades waits for the answers. The
SDK (1.3) makes the JSON schemas of all handlers anew each time: 58 ms and 200 KB for two agents. So
they are made once; those of handlers that only this package calls are left out, and with them what
ADK's types drag in (27 KB for a message).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import restate

# The schema that everything fits.
ANYTHING: Final = True


def keep_short(services: Iterable[restate.VirtualObject]) -> None:
    """Makes the services' manifest quick to make and to read; calls of them stay as they are."""
    for hint, private in _hints(services):
        if hint is not None and hint.generate_json_schema is not None:
            schema = ANYTHING if private else hint.generate_json_schema()
            hint.generate_json_schema = lambda made=schema: made


def _hints(services: Iterable[restate.VirtualObject]) -> Iterator[tuple[Any, bool]]:
    """The types of what handlers take and return, and whether they are called by us alone."""
    for service in services:
        for handler in service.handlers.values():
            yield handler.handler_io.input_type, bool(handler.ingress_private)
            yield handler.handler_io.output_type, bool(handler.ingress_private)

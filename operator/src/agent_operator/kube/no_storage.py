"""kopf's storages, which this operator has no use for: nothing is kept on objects, or compared.

kopf would otherwise take every event's object apart, in copies, to see what has changed since it
was last handled: most of the operator's CPU time while hundreds of objects are made.
"""

from typing import Any

import kopf


class NoDiffs(kopf.DiffBaseStorage):
    """No last handled state."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """What of an object would be compared: nothing."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        """What was handled last: never anything."""

    def store(self, **_: Any) -> None:
        """Keep nothing."""


class NoProgress(kopf.ProgressStorage):
    """No handlers that are under way."""

    def fetch(self, **_: Any) -> None:
        """How far a handler is: none is under way."""

    def store(self, **_: Any) -> None:
        """Keep nothing."""

    def purge(self, **_: Any) -> None:
        """There is nothing to remove."""

    def touch(self, **_: Any) -> None:
        """There is nothing to mark."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """What is compared, without marks of kopf's own: the same."""
        return essence

"""Whose session it is, and which: two of the three parts of a session's identity.

The third, the agent, is the virtual object's name. The other two are its key: ``ann:17`` is Ann's
session 17, and ``17`` is one that no user is named for. A ``:`` or ``%`` that belongs to a part is
percent-encoded in the key, so that no two sessions have the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Self
from urllib.parse import unquote

import restate
from restate import TerminalError

SEPARATOR: Final = ":"


@dataclass(frozen=True)
class SessionId:
    """A session of an agent.

    Attributes:
        user: whose it is; empty where nobody is named.
        session: which of the user's.
    """

    user: str
    session: str

    def __post_init__(self) -> None:
        if not self.session:
            raise ValueError("a session's name must not be empty")
        if self.user.startswith(SEPARATOR):
            raise ValueError(f"a user's name must not begin with {SEPARATOR!r}: {self.user!r}")

    @classmethod
    def of(cls, key: str) -> Self:
        """Reads the key of an agent's virtual object.

        Raises:
            ValueError: it is none; the message says what to write instead.
        """
        user, separator, session = key.rpartition(SEPARATOR)
        if separator and not user:
            raise ValueError(f"session key {key!r} has no user before the {SEPARATOR!r}")
        found = cls(unquote(user), unquote(session))
        if found.key != key:
            raise ValueError(
                f"session key {key!r} is not <session> or <user>:<session>: a ':' or '%' inside of"
                " a part is written as %3A or %25, and nothing else is encoded"
            )
        return found

    @classmethod
    def for_adk(cls, user_id: str, session: str) -> Self | None:
        """Reads ADK's names of a session; ``None``: there can't be such a one."""
        nobody = user_id.startswith(SEPARATOR)
        if not session or not user_id or (nobody and user_id != f"{SEPARATOR}{session}"):
            return None
        return cls("" if nobody else user_id, session)

    @property
    def key(self) -> str:
        """The virtual object's key."""
        session = _encoded(self.session)
        return f"{_encoded(self.user)}{SEPARATOR}{session}" if self.user else session

    @property
    def user_id(self) -> str:
        """The user as ADK knows it; a session without one has one of its own."""
        return self.user or f"{SEPARATOR}{self.session}"


def _encoded(part: str) -> str:
    return part.replace("%", "%25").replace(SEPARATOR, "%3A")


def session_of(context: restate.ObjectContext | restate.ObjectSharedContext) -> SessionId:
    """Returns the session whose object was called.

    Raises:
        restate.TerminalError: 400, the key is not one of a session.
    """
    try:
        return SessionId.of(context.key())
    except ValueError as error:
        raise TerminalError(str(error), HTTPStatus.BAD_REQUEST) from None

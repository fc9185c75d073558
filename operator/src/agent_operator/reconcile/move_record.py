"""What became of the invocations of an old revision that were to move on: kept on its ReplicaSet.

It says of each invocation that is in the operator's hands what was done to it, so that an operator
that starts anew goes on where the last one stopped, and tries nothing twice. Pure.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import TypeAdapter

# Ids are 38 characters, and all annotations of an object share 256 KiB.
STAYS_KEPT: Final = 1000
EXAMPLES: Final = 3


@dataclass(frozen=True)
class Outcome:
    """How many invocations had one outcome, and which were the first of them."""

    count: int = 0
    first: tuple[str, ...] = ()

    def with_one(self, invocation: str) -> "Outcome":
        """One more of them."""
        return Outcome(self.count + 1, (*self.first, invocation)[:EXAMPLES])

    def in_words(self) -> str:
        """Such as ``3 (inv_a, inv_b, ...)``."""
        more = ", ..." if self.count > len(self.first) else ""
        return f"{self.count} ({', '.join(self.first)}{more})"


@dataclass(frozen=True)
class Moves:
    """The record of moving a revision's invocations to the deployment ``to``.

    ``restart``: those that don't go on there might be restarted. ``moving`` were handed over, or
    paused for it, and their outcome is not known; ``restarting`` are being killed to be restarted.
    ``stays`` were tried and stay for good; ``done`` once nothing is left to try. ``lost`` were
    killed to be restarted, and Restate would not.
    """

    to: str
    restart: bool = False
    moving: tuple[str, ...] = ()
    restarting: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    moved: Outcome = field(default_factory=Outcome)
    restarted: Outcome = field(default_factory=Outcome)
    stayed: Outcome = field(default_factory=Outcome)
    lost: Outcome = field(default_factory=Outcome)
    done: bool = False

    @property
    def open(self) -> bool:
        """Whether an invocation is half moved: its revision must not go, whatever holds it."""
        return bool(self.moving or self.restarting)

    def without(self, invocation: str) -> "Moves":
        """It is no longer in the operator's hands."""
        return replace(
            self,
            moving=tuple(i for i in self.moving if i != invocation),
            restarting=tuple(i for i in self.restarting if i != invocation),
        )

    def with_moved(self, invocation: str) -> "Moves":
        """It goes on at the new deployment."""
        return replace(self.without(invocation), moved=self.moved.with_one(invocation))

    def with_stayed(self, invocation: str) -> "Moves":
        """It can't go on there, and is left where it was."""
        kept = (*self.stays, invocation)[:STAYS_KEPT]
        return replace(
            self.without(invocation), stays=kept, stayed=self.stayed.with_one(invocation)
        )

    def with_restarting(self, invocation: str) -> "Moves":
        """It is to be killed and restarted."""
        return replace(
            self.without(invocation), restarting=(*self.without(invocation).restarting, invocation)
        )

    def with_restarted(self, invocation: str, new: str) -> "Moves":
        """It runs anew, under another id."""
        return replace(self.without(invocation), restarted=self.restarted.with_one(new))

    def with_lost(self, invocation: str) -> "Moves":
        """It was killed to be restarted, and can't be."""
        return replace(self.without(invocation), lost=self.lost.with_one(invocation))

    def finished(self) -> "Moves":
        """Nothing is left to try: of those that stay, the count and the first are enough."""
        return replace(self, done=True, stays=())

    def in_words(self) -> str:
        """Such as ``2 moved (inv_a, inv_b), 1 stays``; empty where there was nothing to move."""
        parts = [
            f"{word}: {outcome.in_words()}"
            for word, outcome in (
                ("moved", self.moved),
                ("restarted as new", self.restarted),
                ("stay", self.stayed),
                ("killed, and Restate would not restart them", self.lost),
            )
            if outcome.count
        ]
        return ", ".join(parts)


_RECORD: Final = TypeAdapter(Moves)


def dump(record: Moves) -> str:
    """The record as its annotation holds it."""
    return _RECORD.dump_json(record, exclude_defaults=True).decode()


def load(text: str | None) -> Moves | None:
    """The record that an annotation holds, if there is one."""
    return _RECORD.validate_json(text) if text else None

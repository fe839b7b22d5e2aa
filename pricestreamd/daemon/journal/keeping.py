"""What must last, as those see it who change it: notes for the next commit, what was committed, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pricestreamd.state.rows import EventRow, StateChange
from pricestreamd.state.store import StateStore


class Keeping(Protocol):
    """The part of the journal that changes over the API use. Of two notes about one thing the later one counts."""

    @property
    def store(self) -> StateStore:
        """Where it is all kept."""

    @property
    def unwritten(self) -> list[EventRow]:
        """Firings that the store does not have yet, as far as is known, oldest first."""

    def note(self, change: StateChange) -> None:
        """Write `change` with the next commit."""

    async def committed(self) -> None:
        """Commit at once whatever has changed so far; raises StateError where the disk refuses."""


@dataclass(frozen=True, slots=True)
class Limits:
    """More than a person or a program of theirs can mean; each costs memory, and time at every start.

    `places`: an alert stands somewhere for each symbol that it covers, for some kilobytes, so globs need a bound, too.
    """

    alerts: int = 5000
    symbols: int = 5000
    places: int = 100_000

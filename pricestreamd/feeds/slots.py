"""The slots of a feed: who is in each, who is about to take its place, and who is going.

A slot is a place for a connection and its share of the symbols; its number is the label `connection` everywhere. While
one connection takes the place of another both deliver, and what both bring passes once (`overlap`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pricestreamd.feeds.connection.connection import Connection
from pricestreamd.feeds.overlap import Overlap
from pricestreamd.model.interface import MessageCallback
from pricestreamd.model.tick import Tick


@dataclass(slots=True)
class _Replacement:
    """`new` takes the place of `old`: first it is prepared, then it is in place while `old` goes.

    `gone_at`: when `old` had gone. What comes twice is not over then, for `new` may be behind.
    """

    old: Connection
    new: Connection
    gone_at: float | None = None


class Slots:
    """`connections` has the present connection of each slot; there is always one.

    `new` makes a connection for a slot, `deliver` passes a tick on to the callbacks; `latest` is the feed's own memory.
    """

    # The old connection stays for so long after its successor is live: not every server tells when a subscription has
    # begun. And the successor may be so far behind it.
    overlap_seconds = 1.0

    def __init__(
        self, new: Callable[[int], Connection], deliver: Callable[[Tick], object], latest: dict[str, Tick]
    ) -> None:
        self._new = new
        self._deliver = deliver
        self._latest = latest
        self._replacements: dict[int, _Replacement] = {}
        self.callbacks: tuple[MessageCallback, ...] = ()
        """They hear every tick of every connection, inline."""
        self.connections: dict[int, Connection] = {0: new(0)}

    # --- who is where

    def of(self, slot: int) -> list[Connection]:
        """The connection of `slot`, and the one that will take its place."""
        return [one for one in (self.connections.get(slot), self.successor(slot)) if one is not None]

    def heard_of(self, slot: int) -> list[Connection]:
        """As `of`, and the connection that was in place a moment ago, while it goes."""
        replacement = self._replacements.get(slot)
        if replacement is None or replacement.gone_at is not None:
            return self.of(slot)
        return [replacement.old, replacement.new]

    def successor(self, slot: int) -> Connection | None:
        """The connection that will take the place of that of `slot`."""
        replacement = self._replacements.get(slot)
        in_place = replacement is None or self.connections.get(slot) is not replacement.old
        return None if replacement is None or in_place else replacement.new

    def present(self) -> list[Connection]:
        """The connections of all slots, with those that will take their places."""
        return [one for slot in self.connections for one in self.of(slot)]

    @property
    def replacing(self) -> frozenset[int]:
        """The slots in which a replacement is not over."""
        return frozenset(self._replacements)

    # --- who comes and goes

    def fill(self, slot: int) -> Connection:
        """Put a new connection into `slot`."""
        connection = self.connections[slot] = self._made(slot)
        return connection

    def leave(self, slot: int) -> list[Connection]:
        """Give `slot` up; its connections are returned."""
        going = self.heard_of(slot)
        del self.connections[slot]
        self._replacements.pop(slot, None)
        return going

    def prepare(self, slot: int, reason: str) -> Connection:
        """A connection that is to take the place of that of `slot`, which hears of its ticks at once."""
        old, new = self.connections[slot], self._made(slot)
        new.reason = reason
        overlap = Overlap(self._deliver, self._latest.values())
        old.callbacks, new.callbacks = (overlap.old,), (overlap.new,)
        self._replacements[slot] = _Replacement(old, new)
        return new

    def put_in_place(self, slot: int) -> Connection:
        """The successor of `slot` takes its place; the old connection, which goes, is returned."""
        replacement = self._replacements[slot]
        self.connections[slot] = replacement.new
        return replacement.old

    def has_gone(self, connection: Connection, now: float) -> None:
        """`connection` has ended; where another has taken its place, that may be behind it for a moment."""
        replacement = self._replacements.get(connection.number)
        if replacement is not None and connection is replacement.old:
            replacement.gone_at = now

    def end_replacement(self, slot: int) -> None:
        """Whoever is left of the two delivers by itself."""
        replacement = self._replacements.pop(slot)
        for one in (replacement.old, replacement.new):
            one.callbacks = self.callbacks

    def end_overlaps(self, now: float) -> None:
        """End the replacements whose old connection has been gone for long enough."""
        for slot, replacement in list(self._replacements.items()):
            if replacement.gone_at is not None and now - replacement.gone_at >= self.overlap_seconds:
                self.end_replacement(slot)

    def _made(self, slot: int) -> Connection:
        connection = self._new(slot)
        connection.callbacks = self.callbacks
        return connection

"""The room for connections: so many at once, and when it is full, who has asked nothing for longest makes room.

So nobody shuts others out by holding connections open: neither ten thousand that say nothing nor those who send their
request a letter at a time. Only where all are being answered is the next one refused.
"""

from __future__ import annotations

from typing import Protocol


class Guest(Protocol):
    """A connection."""

    def cut(self) -> None:
        """End it at once, whatever it is about."""


class Room:
    """At most `most` connections. Each is idle (it waits for a request) or busy (one is being answered)."""

    def __init__(self, most: int) -> None:
        self.most = most
        # In the order in which they fell idle.
        self._idle: dict[Guest, None] = {}
        self._busy: set[Guest] = set()

    def __len__(self) -> int:
        return len(self._idle) + len(self._busy)

    def enter(self, guest: Guest) -> bool:
        """Let `guest` in, who has asked nothing yet; False where there is no room."""
        if len(self) >= self.most:
            if not self._idle:
                return False
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            oldest.cut()
        self._idle[guest] = None
        return True

    def busy(self, guest: Guest) -> None:
        """Its request is being answered."""
        if guest in self._idle:
            del self._idle[guest]
            self._busy.add(guest)

    def idle(self, guest: Guest) -> None:
        """Its request has been answered."""
        if guest in self._busy:
            self._busy.remove(guest)
            self._idle[guest] = None

    def leave(self, guest: Guest) -> None:
        """It is gone."""
        self._idle.pop(guest, None)
        self._busy.discard(guest)

"""The recent past of one symbol, in columns: 24 bytes an entry instead of some 300 for a dictionary."""

from __future__ import annotations

import math
from array import array
from typing import TypedDict

_NONE = math.nan
# Most symbols of a long list tick rarely; the columns double from here.
_FIRST_ROOM = 16


class HistoryEntry(TypedDict):
    """One price of the past. `timestamp` in epoch seconds; `volume` None where the provider reports none."""

    timestamp: float
    price: float
    volume: float | None


class History:
    """A ring of the last `size` entries (1 or more). Columns grow as entries come, up to `size`, and are reused then.

    `_next` is where the next entry goes; what lies from there to the end of the columns is older than what lies before
    it if the ring is `_full`, and unused otherwise.
    """

    __slots__ = ("_full", "_next", "_prices", "_room", "_timestamps", "_volumes", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._timestamps = array("d")
        self._prices = array("d")
        self._volumes = array("d")
        self._room = 0
        self._next = 0
        self._full = False

    def __len__(self) -> int:
        return self.size if self._full else self._next

    def append(self, timestamp: float, price: float, volume: float | None) -> None:
        """Add an entry; when full, over the oldest one."""
        at = self._next
        if at == self._room:
            at = self._make_room()
        # The volume first: it is the one of which nobody has looked whether it is a number.
        self._volumes[at] = _NONE if volume is None else volume
        self._timestamps[at] = timestamp
        self._prices[at] = price
        self._next = at + 1

    def _make_room(self) -> int:
        """At the end of the columns: where to go on."""
        room = self._room
        if room == self.size:
            self._full = True
            return 0
        more = array("d", bytes(8 * min(max(room, _FIRST_ROOM), self.size - room)))
        for column in (self._timestamps, self._prices, self._volumes):
            column.extend(more)
        self._room = len(self._prices)
        return room

    def entries(self, limit: int | None = None) -> list[HistoryEntry]:
        """The last `limit` entries (all without it), oldest first."""
        count = len(self)
        wanted = count if limit is None else max(0, min(limit, count))
        start = self._next - wanted
        return [self._entry(at) for at in range(start, self._next)]

    def _entry(self, at: int) -> HistoryEntry:
        # A negative place counts from the end, which is where the ring goes on.
        volume = self._volumes[at]
        return {
            "timestamp": self._timestamps[at],
            "price": self._prices[at],
            "volume": None if math.isnan(volume) else volume,
        }

    def resized(self, size: int) -> History:
        """A history of another size with the newest of these entries."""
        other = History(size)
        for entry in self.entries(size):
            other.append(entry["timestamp"], entry["price"], entry["volume"])
        return other

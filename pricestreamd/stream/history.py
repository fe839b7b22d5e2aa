"""The recent past of one symbol, in columns: 24 bytes an entry instead of some 300 for a dictionary."""

from __future__ import annotations

import math
from array import array
from typing import TypedDict


class HistoryEntry(TypedDict):
    """One price of the past. `timestamp` in epoch seconds; `volume` None where the provider reports none."""

    timestamp: float
    price: float
    volume: float | None


class History:
    """A ring of the last `size` entries. Columns grow with the first `size` entries and are reused after that."""

    __slots__ = ("_next", "_prices", "_timestamps", "_volumes", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._timestamps = array("d")
        self._prices = array("d")
        self._volumes = array("d")
        self._next = 0

    def __len__(self) -> int:
        return len(self._prices)

    def append(self, timestamp: float, price: float, volume: float | None) -> None:
        """Add an entry; when full, over the oldest one."""
        at = self._next
        if at == len(self._prices):
            self._timestamps.append(timestamp)
            self._prices.append(price)
            self._volumes.append(math.nan if volume is None else volume)
        else:
            self._timestamps[at] = timestamp
            self._prices[at] = price
            self._volumes[at] = math.nan if volume is None else volume
        at += 1
        self._next = 0 if at == self.size else at

    def entries(self, limit: int | None = None) -> list[HistoryEntry]:
        """The last `limit` entries (all without it), oldest first."""
        count = len(self._prices)
        # Until the ring is full the oldest entry is the first; after that it is the next to be written over.
        start = self._next if count == self.size else 0
        wanted = count if limit is None else max(0, min(limit, count))
        return [self._entry((start + offset) % count) for offset in range(count - wanted, count)]

    def _entry(self, at: int) -> HistoryEntry:
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

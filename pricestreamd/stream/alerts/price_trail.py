"""The prices of the last while of one symbol, for alerts that ask what the price was so long ago.

Only changes are kept, in columns of 16 bytes each: between two of them the price is that of the first.
"""

from __future__ import annotations

import math
from array import array

# Columns are cut when so many entries at their front are of no use any more.
_WORTH_CUTTING = 1024


class PriceTrail:
    """What is needed to know the last price that is at least `seconds` old.

    Prices come in order of time; one that is late counts as of the largest time so far. One that is older than all
    that is asked for comes from a clock that was set back: the past is moved with it.
    """

    __slots__ = ("_begin", "_now", "_prices", "_times", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._times = array("d")
        self._prices = array("d")
        self._begin = 0
        self._now = -math.inf

    def __len__(self) -> int:
        return len(self._times) - self._begin

    def push(self, timestamp: float, price: float) -> None:
        """The price at `timestamp`."""
        if timestamp < self._now - self.seconds:
            self._times = array("d", (at - self._now + timestamp for at in self._times))
            self._now = timestamp
        self._now = max(self._now, timestamp)
        if not self._prices or self._prices[-1] != price:
            self._times.append(self._now)
            self._prices.append(price)

    def rebase(self, ratio: float) -> None:
        """Prices are `ratio` times as high from now on, and so are those of before."""
        self._prices = array("d", (price * ratio for price in self._prices))

    def price_before(self) -> float | None:
        """The last price at least `seconds` old; None where none is known. What is older than that is forgotten."""
        times, cutoff = self._times, self._now - self.seconds
        begin, last = self._begin, len(times) - 1
        if last < 0 or times[begin] > cutoff:
            return None
        while begin < last and times[begin + 1] <= cutoff:
            begin += 1
        price = self._prices[begin]
        if begin >= _WORTH_CUTTING:
            del times[:begin], self._prices[:begin]
            begin = 0
        self._begin = begin
        return price

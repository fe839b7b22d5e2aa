"""What happens in a soak's market, from its seed alone: both processes know it without asking each other.

Symbols have Poisson rates, spread evenly over the orders of magnitude. Every tick of a symbol has a number, counted
from 0, which is its price less one; now and then a tick is two or three equal trades in one instant, because real ones
are, and because equal trades are what a de-duplication gets wrong.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

# The busiest symbol has so many times the rate of the quietest.
_SPREAD = 100.0
# Beyond the planned length: waiting for the last recovery, and the drain; and bursts, in which time goes faster.
_SPARE_SECONDS = 180.0
_SPARE_SHARE = 1.0


@dataclass(frozen=True)
class World:
    """`rate`: ticks a second, over all symbols together. `visitors`: so many of them, the last ones, come and go."""

    seed: int
    seconds: float
    symbols: int = 500
    rate: float = 1000.0
    visitors: int = 20

    @property
    def residents(self) -> range:
        """The symbols that are wanted all the time."""
        return range(self.symbols - self.visitors)

    @cached_property
    def rates(self) -> tuple[float, ...]:
        """Ticks a second of each symbol."""
        dice = random.Random(f"{self.seed}/rates")
        weights = [_SPREAD ** dice.random() for _ in range(self.symbols)]
        return tuple(weight * self.rate / sum(weights) for weight in weights)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where each symbol's row begins in a table of all ticks; the last number is the table's size."""
        starts = [0]
        for rate in self.rates:
            expected = rate * (self.seconds * (1 + _SPARE_SHARE) + _SPARE_SECONDS)
            # Seven standard deviations: no seed will ever need more.
            starts.append(starts[-1] + math.ceil(expected + 7.0 * math.sqrt(expected)) + 1)
        return tuple(starts)

    def copies(self, symbol: int, number: int) -> int:
        """How many equal trades the tick consists of."""
        throw = (symbol * 7919 + number * 104_729) % 97
        return 3 if throw == 0 else 2 if throw < 5 else 1

    def ticks(self) -> Iterator[tuple[float, int, int]]:
        """Market seconds since the start, symbol and number of every tick, in order, for ever."""
        dice = random.Random(f"{self.seed}/ticks")
        coming = [(dice.expovariate(rate), symbol, 0) for symbol, rate in enumerate(self.rates)]
        heapq.heapify(coming)
        while True:
            at, symbol, number = coming[0]
            yield at, symbol, number
            heapq.heapreplace(coming, (at + dice.expovariate(self.rates[symbol]), symbol, number + 1))

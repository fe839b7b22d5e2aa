"""How long a symbol may be silent, learned from the gaps between its ticks.

The gaps are kept in three sums, each gap counting less the longer it is past: their number, their seconds, and their
squared seconds. From these comes how old the last price is on average when one looks, `squares / seconds / 2`. If
prices come at random that is the mean gap; if they come in bursts it is longer, for one looks most likely into a lull:
so a busy opening does not make the lunch lull a fault. The limit is a factor times this age, or times the mean gap
where that is longer (prices at fixed intervals). The factor falls from 28 for fast symbols to 12 for slow ones, because
the longest of thousands of gaps a day is longer than the longest of forty; and it is larger while few gaps are known.

The figures are such that prices at random, from twenty a second to one in ten minutes, bring fewer than one false alarm
in a thousand days of a learned symbol, and recorded days (shares, currencies, crypto; also thinned to a thousandth)
none: the longest gap in them is four fifths of the limit at worst. What comes of it, for prices at random: 20 a second,
a limit of 30 s; one a second, 45 s; one in 10 s, 4 minutes; one a minute, a quarter of an hour; one in 10 minutes, two
hours.

Until enough gaps are seen 5 minutes are allowed; once a longer gap has ended with a tick, the symbol is known to be
slow, and what was seen so far counts instead.
"""

from __future__ import annotations

from math import exp, log, sqrt

# No symbol is stale sooner than this, however fast it is: a halt or a slow minute is no fault.
FLOOR = 30.0
# Until so many gaps are seen, and until the first tick after an opening (auctions may be late), this is allowed.
GAPS_TO_LEARN = 50
UNLEARNED = 300.0

# The rhythm is remembered over a trading day, and over so many gaps where that is longer.
_MEMORY_SECONDS = 23_400.0
_MEMORY_GAPS = 200
# What must be exceeded: `_FACTOR - _FALL * log(age)` times the age, `_LEAST` times at least.
_FACTOR, _FALL, _LEAST = 28.0, 3.0, 12.0
# With n gaps known, the estimate is off by some 1.4 / sqrt(n) of itself.
_DOUBT = 2.0
# A gap counts for no more than this many times what was allowed: one fault must not make us blind.
_MOST = 4.0
# Gaps are added to the sums in portions, because that is cheaper.
_PORTION_GAPS, _PORTION_SECONDS = 10, 60.0


class Gaps:
    """What is known of one symbol's gaps. Seconds."""

    __slots__ = (
        "_allowed",
        "_count",
        "_new_count",
        "_new_seconds",
        "_new_squares",
        "_seconds",
        "_slow",
        "_squares",
        "known",
    )

    def __init__(self) -> None:
        self.known = 0
        """How many gaps have been seen."""
        self._count = self._seconds = self._squares = 0.0
        self._new_count = 0
        self._new_seconds = self._new_squares = 0.0
        self._slow = False
        self._allowed = 0.0

    @property
    def limit(self) -> float:
        """How long the symbol may be silent."""
        if self.known >= GAPS_TO_LEARN:
            return max(FLOOR, self._allowed)
        return max(UNLEARNED, self._allowed) if self._slow else UNLEARNED

    def learn(self, gap: float) -> bool:
        """Take a gap into account; whether `limit` may have changed by it."""
        if gap >= UNLEARNED:
            self._slow = True
            gap = min(gap, max(UNLEARNED, _MOST * self._allowed))
        self._new_count += 1
        self._new_seconds += gap
        self._new_squares += gap * gap
        if self._new_count < _PORTION_GAPS and self._new_seconds < _PORTION_SECONDS:
            return False
        self._add_up()
        return True

    def _add_up(self) -> None:
        left = exp(-min(self._new_seconds / _MEMORY_SECONDS, self._new_count / _MEMORY_GAPS))
        self.known += self._new_count
        self._count = self._count * left + self._new_count
        self._seconds = self._seconds * left + self._new_seconds
        self._squares = self._squares * left + self._new_squares
        self._new_count = 0
        self._new_seconds = self._new_squares = 0.0
        age = max(self._squares / self._seconds / 2, self._seconds / self._count)
        factor = max(_LEAST, _FACTOR - _FALL * log(max(age, 1.0)))
        self._allowed = factor * age * (1 + _DOUBT / sqrt(self.known))

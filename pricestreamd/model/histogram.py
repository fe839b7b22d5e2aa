"""A histogram of plain integers: observing costs a bisection, and the collector reads it at scrape time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

# Around the objectives of the product: 1 ms and 10 ms for a listener, 1 s for an alert on the phone.
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


class Histogram:
    """Counts of observations in seconds; `counts[i]` are those <= `bounds[i]`, the last one those above all bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def add(self, other: Histogram) -> None:
        """Count what `other`, of the same bounds, has observed."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def cumulative(self) -> list[tuple[str, int]]:
        """`(upper bound as text, count of all observations up to it)`, ending with `+Inf`."""
        rows, running = [], 0
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            running += count
            rows.append((bound, running))
        return rows

"""How many ticks are due: an even stream at a rate, on injected time."""

from __future__ import annotations

import math

# Being late by more than this is not made up for: a burst would be a rate of its own.
_CATCH_UP_SECONDS = 1.0


class TickPace:
    """Counts out `rate` ticks a second from `start` on; `math.inf` is no pace at all."""

    def __init__(self, rate: float) -> None:
        if not rate > 0:
            raise ValueError(f"a rate is a positive number of ticks per second, or infinity, not {rate!r}")
        self.rate = rate
        self._origin = 0.0
        self._given = 0

    @property
    def unlimited(self) -> bool:
        """Whether ticks are due as fast as they are taken."""
        return self.rate == math.inf

    def start(self, now: float) -> None:
        """Begin, or begin again after a pause: the first tick is due at once."""
        self._origin = now
        self._given = 0

    def due(self, now: float) -> int:
        """How many ticks are due by `now` and were not given out before."""
        elapsed = now - self._origin
        behind = int(elapsed * self.rate) + 1 - self._given
        if behind > self.rate * _CATCH_UP_SECONDS + 1:
            self.start(now)
            behind = 1
        return behind

    def given(self, count: int) -> None:
        """`count` ticks were given out."""
        self._given += count

    def next_at(self) -> float:
        """When the next tick is due."""
        return self._origin + self._given / self.rate

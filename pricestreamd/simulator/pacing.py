"""How many ticks are due, on injected time: an even stream at a rate, or a Poisson process."""

from __future__ import annotations

import math
from collections.abc import Callable

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


class PoissonPace(TickPace):
    """Counts out ticks at random moments, `rate` a second in the mean. `die`: numbers evenly spread over [0, 1)."""

    def __init__(self, rate: float, die: Callable[[], float]) -> None:
        super().__init__(rate)
        self._die = die
        self._next = 0.0
        self._ready = 0

    def start(self, now: float) -> None:
        """Begin, or begin again after a pause."""
        self._next = now + self._wait()
        self._ready = 0

    def due(self, now: float) -> int:
        """How many moments have come by `now` that were not given out before."""
        if now - self._next > _CATCH_UP_SECONDS:
            self._next = now
        while self._next <= now:
            self._ready += 1
            self._next += self._wait()
        return self._ready

    def given(self, count: int) -> None:
        """`count` ticks were given out."""
        self._ready = max(0, self._ready - count)

    def next_at(self) -> float:
        """When the next tick is due."""
        return self._next

    def _wait(self) -> float:
        return -math.log(1.0 - self._die()) / self.rate

"""Was anybody awake? Times in which nobody looked, though there is a look every second or so.

A machine that sleeps, a virtual one that is paused, a process that is stopped: what comes meanwhile is read afterwards,
if at all, and would pass for news. The one sign that all of these share is a look that comes much too late, by a clock
that goes on while the machine is suspended. A wall clock that is set is no sleep.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

# A loop that works is never held up for so long.
_ASLEEP_SECONDS = 10.0
# What is read in so many seconds after waking may have lain in the socket since before.
_CATCHING_UP_SECONDS = 30.0


class Sleep(NamedTuple):
    """A time, in epoch seconds, in which nobody looked."""

    begin: float
    end: float


class Vigil:
    """Kept by looks, a second apart. `elapsed` is a monotonic clock that counts suspended time; `wall`: epoch seconds.

    Before `begin` and after `end` nobody has to look.
    """

    def __init__(self, elapsed: Callable[[], float], wall: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._wall = wall
        self._looked = math.inf
        self._looked_at = 0.0
        self._slept: Sleep | None = None

    def begin(self) -> None:
        """Looks come from now on."""
        self._looked, self._looked_at = self._elapsed(), self._wall()

    def end(self) -> None:
        """No more looks come."""
        self._looked = math.inf

    def look(self) -> Sleep | None:
        """The time since the last look, if that was a sleep."""
        before, before_at = self._looked, self._looked_at
        if before == math.inf:
            return None
        self.begin()
        if self._looked - before < _ASLEEP_SECONDS:
            return None
        slept = Sleep(min(before_at, self._looked_at), self._looked_at)
        known = self._slept
        # One who wakes for a moment and sleeps on has not caught up.
        begin = (
            known.begin if known is not None and 0.0 <= slept.begin - known.end <= _CATCHING_UP_SECONDS else slept.begin
        )
        self._slept = Sleep(begin, slept.end)
        return slept

    def heard_until(self, at: float) -> float:
        """Until when somebody listened who read his last message at `at`: what he found on waking was no news."""
        self.look()
        slept = self._slept
        if slept is not None and slept.begin < at <= slept.end + _CATCHING_UP_SECONDS:
            return slept.begin
        return at

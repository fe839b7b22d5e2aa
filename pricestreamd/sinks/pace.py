"""How fast may a destination be tried? Slower and slower while it is dead, gently when it is back. No clock in it.

dead    as many attempts in a row failed as `STRIKES`, whoever's they were. What is merely due again waits for pauses
        of 1, 2, 4 ... 30 s, one attempt after each; what was never tried need not wait, and so probes it
back    one attempt succeeded. The next ones leave gaps of 100, 50, 33 ... 2 ms, half a second in all: who just came
        up is not met by a thousand requests at once

A server that names a time by Retry-After is left alone until then, by the same who wait for pauses.
"""

from __future__ import annotations

STRIKES = 3
LONGEST_PAUSE_SECONDS = 30.0
FIRST_GAP_SECONDS = 0.1
GAPS = 50


class Pace:
    """Of one destination. `free_at`: before that time only what was never tried may be; times in seconds."""

    __slots__ = ("_failures", "_successes", "free_at")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing is known of the destination."""
        self._failures = 0
        self._successes = 0
        self.free_at = 0.0

    @property
    def dead(self) -> bool:
        """Whether the last attempts all failed."""
        return self._failures >= STRIKES

    def failed(self, now: float, retry_after: float | None = None) -> None:
        """An attempt failed at `now`; the server may have named a wait, in seconds."""
        self._failures += 1
        pause = retry_after or 0.0
        if self.dead:
            self._successes = 0
            # Beyond some failures the power would only grow into a number that no float holds.
            pause = max(pause, min(LONGEST_PAUSE_SECONDS, 2.0 ** min(self._failures - STRIKES, 10)))
        self.free_at = max(self.free_at, now + pause)

    def succeeded(self, now: float) -> bool:
        """An attempt succeeded at `now`. True: the one before it had failed."""
        was_failing, self._failures = self._failures > 0, 0
        self._successes += 1
        self.free_at = now + (FIRST_GAP_SECONDS / self._successes if self._successes <= GAPS else 0.0)
        return was_failing

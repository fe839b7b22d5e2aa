"""How many messages may go out: a rolling window, so that no span of its length ever holds more than the limit."""

from __future__ import annotations

from collections import deque


class RollingWindow:
    """At most `limit` messages in any `seconds`. Times are those of one monotonic clock."""

    __slots__ = ("_closed_until", "_limit", "_seconds", "_sent")

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._sent: deque[float] = deque()
        self._closed_until = float("-inf")

    def take(self, now: float, reserve: int = 0) -> bool:
        """Whether a message may go out at `now`, leaving room for `reserve` more; if so it is counted as sent."""
        if self.wait(now, reserve) > 0:
            return False
        self._sent.append(now)
        return True

    def wait(self, now: float, reserve: int = 0) -> float:
        """Seconds from `now` until `take` with the same `reserve` will be granted, if nothing else is sent."""
        while self._sent and now - self._sent[0] >= self._seconds:
            self._sent.popleft()
        wait = max(0.0, self._closed_until - now)
        # The room is free when the message that stands so far from the end has left the window.
        first = len(self._sent) - max(1, self._limit - reserve)
        if first >= 0:
            wait = max(wait, self._sent[first] + self._seconds - now)
        return wait

    def close(self, until: float) -> None:
        """Send nothing before `until`: the provider says that it was too much."""
        self._closed_until = max(self._closed_until, until)

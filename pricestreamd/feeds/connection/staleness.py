"""How long no price has come, over connections that follow each other: a silence outlasts each of them.

Times are those of one monotonic clock.
"""

from __future__ import annotations

# A stale connection is replaced; when its successor brings no prices either, the connection was not to blame, and each
# further one is given twice the time, up to this many seconds.
_LONGEST_LIMIT = 900.0


class Staleness:
    """The silence of one session. `since`: its beginning, once it is too long; None while prices come.

    `waited`: for how many seconds connections that are gone have waited for a price in vain, since the last one. The
    time in which none was open does not count: it has a reason of its own.
    """

    __slots__ = ("_given_up", "since", "waited")

    def __init__(self) -> None:
        self.since: float | None = None
        self.waited = 0.0
        # Connections that were given up for it.
        self._given_up = 0

    def give_up(self, seconds: float, now: float) -> bool:
        """One more connection is given up after so many `seconds` of silence; whether that is the first of it."""
        self._given_up += 1
        self.waited = 0.0
        if self.since is not None:
            return False
        self.since = now - seconds
        return True

    def end(self, now: float) -> float | None:
        """A price has come; how long the silence was, if there was one."""
        seconds = None if self.since is None else now - self.since
        self.excuse()
        return seconds

    def excuse(self) -> None:
        """There was a reason for it, and it is over."""
        self.since, self._given_up, self.waited = None, 0, 0.0

    def allowed(self, limit: float) -> float:
        """How long the present connection may be silent, where `limit` is what is usual."""
        if not self._given_up:
            return limit
        return max(limit, min(limit * 2.0 ** min(self._given_up, 16), _LONGEST_LIMIT))

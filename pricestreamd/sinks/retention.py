"""Before which time is what we keep too old? The clock may be wrong, and what is deleted does not come back. Pure.

A clock that runs more than a day ahead of what was known of the time is not believed before it has done so for a day:
by then somebody has set it right, or it was right, and the daemon was off for long. Meanwhile nothing is deleted.
"""

from __future__ import annotations

DAY_SECONDS = 86_400.0


class Retention:
    """Of so many `seconds`. `newest`, epoch seconds: of what is kept, if there is anything. `now` is monotonic."""

    def __init__(self, seconds: float, newest: float | None, now: float) -> None:
        self._seconds = seconds
        # A time that was believed, and when that was.
        self._known = newest
        self._known_at = now
        self._doubted_at: float | None = None

    @property
    def doubts(self) -> bool:
        """Whether the clock is not believed."""
        return self._doubted_at is not None

    def before(self, wall: float, now: float) -> float | None:
        """What is older than this, epoch seconds, is too old. None: nothing is, as far as is known."""
        known = wall if self._known is None else self._known + now - self._known_at
        if wall - known <= DAY_SECONDS:
            self._doubted_at = None
        elif self._doubted_at is None:
            self._doubted_at = now
        if self._doubted_at is not None and now - self._doubted_at < DAY_SECONDS:
            return None
        self._known, self._known_at, self._doubted_at = max(wall, known), now, None
        return wall - self._seconds

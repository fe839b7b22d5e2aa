"""The part of a spool that is in memory: what can be taken, what is in flight, and how far the spool is done with.

Each event has its place in the spool; what the disk refused has none (`NOWHERE`). Events are taken and answered for in
their order, so that everything before one place is done with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from pricestreamd.model.events import Event
from pricestreamd.sinks.delivery.queue import DropReason

NOWHERE = -1
_NEVER = 2**62


class Loaded:
    """`ready` is called once, when as many can be taken as `arm` asked for; `left` whenever events leave.

    `dropped` counts by reason, `delivered` what was delivered. `done_to`: everything before this place is done with.
    `handed_over` are those that somebody else counts now.
    """

    def __init__(self, dropped: dict[str, int], *, ready: Callable[[], None], left: Callable[[], None]) -> None:
        self.dropped = dropped
        self.delivered = 0
        self.handed_over = 0
        self.done_to = 0
        self.flight: list[Event] = []
        self._places: list[int] = []
        self._waiting: deque[tuple[int, Event]] = deque()
        self._wake_at = _NEVER
        # Behind what was delivered before the flight in front of it.
        self._ahead = 0
        self._ready = ready
        self._left = left

    @property
    def waiting(self) -> int:
        """Events that can be taken now."""
        return len(self._waiting)

    @property
    def in_memory_only(self) -> int:
        """Events here that are not on the disk."""
        return sum(place == NOWHERE for place, _ in self._waiting) + self._places.count(NOWHERE)

    def load(self, events: Iterable[tuple[int, Event]]) -> None:
        """Let these be taken after the others, each with its place."""
        self._waiting.extend(events)
        self._tell_ready()

    def arm(self, count: int) -> None:
        """Call `ready` as soon as `count` events can be taken, which may be now."""
        self._wake_at = count
        self._tell_ready()

    def take(self, most: int) -> list[Event]:
        """Take the oldest events, at most `most`; they are in flight until answered for. One flight at a time."""
        assert not self.flight, "the last batch is still in flight"  # noqa: S101 - a bug of ours, not of the world
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._places = [place for place, _ in taken]
        self.flight = [event for _, event in taken]
        self._left()
        return self.flight

    def settle(self, count: int | None = None) -> None:
        """The first `count` events of the flight were delivered, or all of them."""
        self.delivered += self._leave(count)

    def drop(self, reason: DropReason, count: int | None = None) -> int:
        """Give up the first `count` events of the flight, or all of them; returns how many were lost."""
        lost = self._leave(count)
        self.dropped[reason] += lost
        return lost

    def give_back(self) -> None:
        """The flight was not delivered: its events wait again, in front."""
        self._waiting.extendleft(reversed(list(zip(self._places, self.flight, strict=True))))
        self.flight, self._places = [], []

    def refresh(self) -> list[Event]:
        """The flight: nothing in it is ever outdated."""
        return self.flight

    def second(self) -> Event | None:
        """What comes after the flight, if it is known."""
        return self._waiting[0][1] if self._waiting else None

    def settle_second(self) -> None:
        """`second` was delivered before the flight was. It comes again, if a crash comes before the flight has left."""
        place, _ = self._waiting.popleft()
        self.delivered += 1
        self._ahead = max(self._ahead, place + 1)

    def release(self) -> None:
        """The flight is somebody else's now, who counts it."""
        self.handed_over += self._leave(None)

    def hand_over(self) -> list[Event]:
        """What waits and is not on the disk, the oldest first: another queue's from now on, and counted there."""
        events = [event for place, event in self._waiting if place == NOWHERE]
        self._waiting = deque(one for one in self._waiting if one[0] != NOWHERE)
        self.handed_over += len(events)
        return events

    def _leave(self, count: int | None) -> int:
        gone, self._places = self._places[:count], [] if count is None else self._places[count:]
        self.flight = [] if count is None else self.flight[count:]
        self.done_to = max([self.done_to, *(place + 1 for place in gone)])
        if not self.flight:
            self.done_to, self._ahead = max(self.done_to, self._ahead), 0
        self._left()
        return len(gone)

    def _tell_ready(self) -> None:
        if len(self._waiting) >= self._wake_at:
            self._wake_at = _NEVER
            self._ready()

"""When does a person hear of a crossing? At once, or later and then of all together. Of one recipient. No clock in it.

A *place* is an alert on one symbol. One message about a place closes its window: for `repeat_after` seconds there is no
other. What crosses meanwhile waits, and leaves at the end of the window in one message that says how many there were.
So nobody is left believing that there was one only.

Crossings that come within `GATHER_SECONDS`, or less than `BETWEEN_SECONDS` after a message, leave in one message,
whatever their places.

Whoever waits here is not told of yet, and stays in the outbox. There is one exception: where `MOST_WAITING` wait
already, or `MOST_OF_STORM` at a place in a storm (see `enter`), a crossing is only counted, as long as another one of
its place waits that will bring the count. The end of the process loses such a count, and never a crossing that waits.

In a storm whoever comes beside others of the place *rides*: it leaves with them, and is no reason for a message itself.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from pricestreamd.model.events import PriceAlert
from pricestreamd.model.tick import symbol_key

# A burst of alerts comes within milliseconds; nobody notices that a message left so much later.
GATHER_SECONDS = 0.2
BETWEEN_SECONDS = 2.0
MOST_WAITING = 10_000
# At one place. So many more crossings say no more to a person than their number.
MOST_OF_STORM = 1_000
# Ids of crossings that were told of and are asked for again: with one that was forgotten, a person hears of it twice.
REMEMBERED = 2 * MOST_WAITING
# Places whose window is closed. More than that, and those whose window is over are forgotten.
MOST_PLACES = 10_000

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Crossings:
    """What a message says of one place: the newest crossing, and how many there are with it.

    `again`: a message about the place has left before, so these are more of the same.
    """

    newest: PriceAlert
    count: int
    again: bool


@dataclass(frozen=True, slots=True)
class Due:
    """What may leave now. `ids` are the crossings that are told of by it."""

    crossings: Sequence[Crossings]
    ids: Sequence[str]


class _At:
    """One place. `closed_until`: the end of its window; `waiting` by id, in their order; `counted`: those only counted.

    `leaving`: how many of those that wait are in a message under way. `again`: they came while the window was closed.
    """

    __slots__ = ("again", "closed_until", "counted", "leaving", "newest", "waiting")

    def __init__(self) -> None:
        self.closed_until = -math.inf
        self.waiting: dict[str, PriceAlert] = {}
        self.leaving = 0
        self.counted = 0
        self.again = False
        self.newest: PriceAlert | None = None


class Repeats:
    """The rule for one recipient. `repeat_after` in seconds; 0: every crossing is told, bursts together."""

    def __init__(self, repeat_after: float) -> None:
        self._repeat_after = repeat_after
        self._places: dict[Place, _At] = {}
        self._of: dict[str, Place] = {}
        self._riding: set[str] = set()
        self._told: OrderedDict[str, None] = OrderedDict()
        self._gathering = False
        self._next_at = -math.inf

    def __len__(self) -> int:
        return len(self._of)

    def told(self, key: str) -> bool:
        """Whether a message has told of the crossing with this id, or it is counted by one that will."""
        return key in self._told

    def knows(self, key: str) -> bool:
        """Whether it has come before."""
        return key in self._told or key in self._of

    def rides(self, key: str) -> bool:
        """Whether it waits, and leaves with others of its place."""
        return key in self._riding

    @property
    def counted(self) -> int:
        """Crossings that are only counted, of which no message has told yet."""
        return sum(at.counted for at in self._places.values())

    def enter(self, key: str, alert: PriceAlert, now: float, *, storm: bool) -> bool:
        """A crossing has come, or comes again. `storm`: its place fires very often. True: it has only been counted."""
        if self.knows(key):
            return False
        place = _place(alert)
        at = self._places.get(place) or self._new_place(place, now)
        closed = now < at.closed_until
        at.again = at.again or closed
        if at.newest is None or alert.timestamp >= at.newest.timestamp:
            at.newest = alert
        if len(at.waiting) > at.leaving:
            if len(self._of) >= MOST_WAITING or (storm and len(at.waiting) >= MOST_OF_STORM):
                at.counted += 1
                self.remember(key)
                return True
            if storm:
                self._riding.add(key)
        if not closed and not self._gathering:
            self._gathering = True
            self._next_at = max(self._next_at, now + GATHER_SECONDS)
        at.waiting[key] = alert
        self._of[key] = place
        return False

    def wait(self, key: str, now: float) -> float:
        """Seconds until a message may tell of a crossing that waits; 0: now."""
        return max(0.0, self._next_at - now, self._places[self._of[key]].closed_until - now)

    def take(self, now: float) -> Due:
        """All whose window is open, in the order of their newest crossings. Then `left` or `stayed` must be told."""
        found: list[Crossings] = []
        ids: list[str] = []
        for at in self._places.values():
            if at.waiting and at.closed_until <= now and at.newest is not None:
                found.append(Crossings(at.newest, len(at.waiting) + at.counted, at.again))
                ids += at.waiting
                at.leaving = len(at.waiting)
        self._gathering = False
        return Due(sorted(found, key=lambda one: one.newest.timestamp), ids)

    def stayed(self, due: Due) -> None:
        """The message with `due` has not reached the recipient, as far as anybody knows."""
        for one in due.crossings:
            if (at := self._places.get(_place(one.newest))) is not None:
                at.leaving = 0

    def left(self, due: Due, now: float) -> None:
        """The message with `due` has reached the recipient. What has come since then waits for the next one."""
        self._next_at = now + BETWEEN_SECONDS
        of_place: dict[Place, int] = {}
        for key in due.ids:
            self.remember(key)
            self._riding.discard(key)
            if (place := self._of.pop(key, None)) is not None:
                del self._places[place].waiting[key]
                of_place[place] = of_place.get(place, 0) + 1
        for one in due.crossings:
            place = _place(one.newest)
            if (at := self._places.get(place)) is None:
                continue
            at.counted = max(0, at.counted - max(0, one.count - of_place.get(place, 0)))
            at.closed_until = now + self._repeat_after
            at.leaving = 0
            at.again = bool(at.waiting)
            if not at.waiting:
                at.newest = None

    def remember(self, key: str) -> None:
        """The recipient knows of this event, whatever it is."""
        self._told[key] = None
        self._told.move_to_end(key)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    def _new_place(self, place: Place, now: float) -> _At:
        if len(self._places) >= MOST_PLACES:
            for known in [known for known, at in self._places.items() if at.newest is None and at.closed_until <= now]:
                del self._places[known]
        at = self._places[place] = _At()
        return at


def _place(alert: PriceAlert) -> Place:
    return alert.alert_id, symbol_key(alert.symbol)

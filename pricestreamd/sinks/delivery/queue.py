"""The bounded queue in front of a sink: what waits, what is being delivered, what gave way and why.

Every event that was put in is in exactly one place, at all times:

    received = delivered + dropped{reason} + queued

`queued` are the events that wait and those in flight: taken by `take`, and not yet answered for by `settle`, `drop`
or `give_back`. When more than `size` wait, one gives way: the oldest or the newest, by policy. `price.alert` and
`price.error` never give way to other events: room for them is made by the oldest event of another kind. What is handed
over to another queue counts as received there, and here no more.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Literal, get_args

from pricestreamd.model.events import Event, PriceAlert, PriceError, PriceUpdate

DropReason = Literal["overflow", "conflated", "refused", "retries", "expired", "stopped", "spool_full", "corrupt"]
"""Why an event was not delivered: the queue was full; a newer price of its symbol came; the sink will never take it;
it was tried as often as allowed; it was tried for as long as allowed; the destination wants nothing more at all; the
oldest of a full spool gave way; its segment of the spool was damaged."""

Policy = Literal["drop_oldest", "drop_newest", "conflate"]

_PRECIOUS = frozenset({PriceAlert.event, PriceError.event})
_NEVER = 2**62


def _nothing() -> None:
    """Tell nobody."""


class BoundedQueue:
    """First in, first out, at most `size` waiting. `drop_newest`: who comes last gives way, else the oldest.

    `ready` is called once, when as many wait as `arm` asked for. `overflowed` is called when an event gives way, and
    then not again before `overflow_told`.
    """

    __slots__ = (
        "_attention",
        "_drop_newest",
        "_overflow_known",
        "_overflowed",
        "_ready",
        "_size",
        "_spared",
        "_waiting",
        "_wake_at",
        "delivered",
        "dropped",
        "flight",
        "received",
    )

    def __init__(
        self,
        size: int,
        *,
        drop_newest: bool = False,
        ready: Callable[[], None] = _nothing,
        overflowed: Callable[[], None] = _nothing,
    ) -> None:
        self._size = size
        self._drop_newest = drop_newest
        self._ready = ready
        self._overflowed = overflowed
        self._overflow_known = False
        self._waiting: deque[Event] = deque()
        # Alerts and errors that others gave way to. All older than what waits.
        self._spared: deque[Event] = deque()
        self._wake_at = _NEVER
        # As long as fewer than this wait, `put` has nothing to decide: one comparison an event.
        self._attention = size + 1
        self.flight: list[Event] = []
        self.received = 0
        self.delivered = 0
        # All reasons from the start: whoever reads it from another thread never sees it grow.
        self.dropped: dict[str, int] = dict.fromkeys(get_args(DropReason), 0)

    @property
    def waiting(self) -> int:
        """Events that wait to be taken."""
        return len(self._waiting) + len(self._spared)

    @property
    def queued(self) -> int:
        """Events that wait or are in flight."""
        return self.waiting + len(self.flight)

    @property
    def behind(self) -> int:
        """Events that wait, and cannot be taken yet: none."""
        return 0

    @property
    def at_risk(self) -> int:
        """Events that would be lost if the process died: all of them."""
        return self.queued

    def put(self, event: Event) -> None:
        """Let `event` wait; somebody may give way."""
        self.received += 1
        waiting = self._waiting
        waiting.append(event)
        if len(waiting) >= self._attention:
            self._attend()

    def arm(self, count: int) -> None:
        """Call `ready` as soon as `count` events wait, which may be now."""
        self._wake_at = count
        self._pay_attention()
        self._attend()

    def take(self, most: int) -> list[Event]:
        """Take the oldest events, at most `most`; they are in flight until answered for. One flight at a time."""
        assert not self.flight, "the last batch is still in flight"  # noqa: S101 - a bug of ours, not of the world
        self.flight = self._pop_oldest(min(most, self.waiting))
        self._pay_attention()
        return self.flight

    def settle(self, count: int | None = None) -> None:
        """The first `count` events of the flight were delivered, or all of them."""
        self.delivered += len(self._leave(count))

    def drop(self, reason: DropReason, count: int | None = None) -> int:
        """Give up the first `count` events of the flight, or all of them; returns how many were lost."""
        lost = len(self._leave(count))
        self.dropped[reason] += lost
        return lost

    def give_back(self) -> None:
        """The flight was not delivered: its events wait again, in front. More than `size` may wait until the next."""
        self._put_in_front(self.refresh())
        self.flight = []
        self._pay_attention()

    def refresh(self) -> list[Event]:
        """The flight, without what is outdated by now."""
        return self.flight

    def hand_over(self) -> list[Event]:
        """All that wait, the oldest first: another queue's from now on, and counted there."""
        events = self._pop_oldest(self.waiting)
        self.received -= len(events)
        self._pay_attention()
        return events

    def take_over(self, events: Sequence[Event]) -> None:
        """Let `events`, which are older, wait in front of all others; somebody may give way."""
        self.received += len(events)
        self._put_in_front(events)
        self._pay_attention()
        self._attend()

    def overflow_told(self) -> None:
        """Call `overflowed` again at the next event that gives way."""
        self._overflow_known = False

    def _put_in_front(self, events: Sequence[Event]) -> None:
        self._waiting.extendleft(reversed(self._spared))
        self._spared.clear()
        self._waiting.extendleft(reversed(events))

    def _leave(self, count: int | None) -> list[Event]:
        gone, self.flight = self.flight[:count], [] if count is None else self.flight[count:]
        return gone

    def _attend(self) -> None:
        waiting = self.waiting
        if waiting > self._size:
            for _ in range(waiting - self._size):
                self._make_room()
            if not self._overflow_known:
                self._overflow_known = True
                self._overflowed()
        if waiting >= self._wake_at:
            self._wake_at = _NEVER
            self._ready()
            self._pay_attention()

    def _pay_attention(self) -> None:
        self._attention = min(self._wake_at, self._size + 1) - len(self._spared)

    def _make_room(self) -> None:
        waiting, spared = self._waiting, self._spared
        self.dropped["overflow"] += 1
        if self._drop_newest and waiting and waiting[-1].event not in _PRECIOUS:
            waiting.pop()
            return
        while waiting:
            oldest = waiting.popleft()
            if oldest.event not in _PRECIOUS:
                return
            spared.append(oldest)
            self._attention -= 1
        # There is nothing but alerts and errors.
        if self._drop_newest:
            spared.pop()
        else:
            spared.popleft()
        self._pay_attention()

    def _pop_oldest(self, count: int) -> list[Event]:
        waiting, spared = self._waiting, self._spared
        if count == len(waiting) + len(spared):
            batch = [*spared, *waiting]
            spared.clear()
            waiting.clear()
            return batch
        return [spared.popleft() if spared else waiting.popleft() for _ in range(count)]


class ConflatingQueue(BoundedQueue):
    """Of the `price.update`s of one symbol only the newest waits; other events wait as in any queue.

    A newer price takes the place at the end, so that what is taken stays in the order of its making. A flight that
    comes back never replaces a newer price.
    """

    __slots__ = ("_keys", "_latest")

    def __init__(
        self,
        size: int,
        *,
        ready: Callable[[], None] = _nothing,
        overflowed: Callable[[], None] = _nothing,
    ) -> None:
        super().__init__(size, ready=ready, overflowed=overflowed)
        # By symbol, or by a number of its own for what is never conflated.
        self._latest: OrderedDict[str | int, Event] = OrderedDict()
        self._keys = itertools.count()

    @property
    def waiting(self) -> int:
        """Events that wait to be taken."""
        return len(self._latest) + len(self._spared)

    def put(self, event: Event) -> None:
        """Let `event` wait, instead of an older price of its symbol."""
        self.received += 1
        latest = self._latest
        key = self._key(event)
        if key in latest:
            self.dropped["conflated"] += 1
            latest.move_to_end(key)
        latest[key] = event
        if len(latest) >= self._attention:
            self._attend()

    def refresh(self) -> list[Event]:
        """The flight, without prices of which a newer one waits."""
        current = [event for event in self.flight if self._key(event) not in self._latest]
        self.dropped["conflated"] += len(self.flight) - len(current)
        self.flight = current
        return current

    def _put_in_front(self, events: Sequence[Event]) -> None:
        latest = self._latest
        for event in reversed([*events, *self._spared]):
            key = self._key(event)
            if key in latest:
                self.dropped["conflated"] += 1
                continue
            latest[key] = event
            latest.move_to_end(key, last=False)
        self._spared.clear()

    def _key(self, event: Event) -> str | int:
        # A suspect print is no price that stands: it replaces none.
        if event.event == PriceUpdate.event and isinstance(event, PriceUpdate) and not event.suspect:
            return event.symbol
        return next(self._keys)

    def _make_room(self) -> None:
        latest, spared = self._latest, self._spared
        self.dropped["overflow"] += 1
        while latest:
            _, oldest = latest.popitem(last=False)
            if oldest.event not in _PRECIOUS:
                return
            spared.append(oldest)
            self._attention -= 1
        spared.popleft()
        self._pay_attention()

    def _pop_oldest(self, count: int) -> list[Event]:
        return [self._spared.popleft() if self._spared else self._latest.popitem(last=False)[1] for _ in range(count)]


def make_queue(
    policy: Policy,
    size: int,
    *,
    ready: Callable[[], None] = _nothing,
    overflowed: Callable[[], None] = _nothing,
) -> BoundedQueue:
    """The queue that keeps `policy`."""
    if policy == "conflate":
        return ConflatingQueue(size, ready=ready, overflowed=overflowed)
    return BoundedQueue(size, drop_newest=policy == "drop_newest", ready=ready, overflowed=overflowed)

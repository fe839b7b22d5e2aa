"""How a delivery comes into memory: just committed, or read from the outbox, and never twice.

A row has times of the wall clock, an entry those of a monotonic one. A row waits as long as its time says, but never
longer than the schedule does: a wall clock that was set back delays nothing for long. Nor is it older than this
process: how long it was off says nothing against the destination. Of what was committed meanwhile the numbers tell
that it is not older than what was put before it, so a wall clock that is set ahead makes nothing old.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Literal

from pricestreamd.sinks.delivery.breaker import Breaker
from pricestreamd.sinks.delivery.retry import longest_delay
from pricestreamd.sinks.outbox.deliveries import NEVER, Deliveries, Entry
from pricestreamd.sinks.outbox.outcomes import Outcomes
from pricestreamd.sinks.settings import RetrySettings
from pricestreamd.state.rows import Delivery

# Of so many numbers it is known when they were put; together they cover the time for which anything is tried.
MARKS = 256


class Intake:
    """Of one sink, with its `deliveries`, `outcomes`, `breaker` and `retry` settings."""

    def __init__(
        self,
        deliveries: Deliveries,
        outcomes: Outcomes,
        breaker: Breaker,
        retry: RetrySettings,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._deliveries = deliveries
        self._outcomes = outcomes
        self._breaker = breaker
        self._retry = retry
        self._clock = clock
        self._wall = wall
        self._began = clock()
        # Number to when it was put: what has a greater one was committed later. As fine as `max_age` needs it.
        self._marks: deque[tuple[int, float]] = deque(maxlen=MARKS)
        self._arrivals = itertools.count()

    def put(self, delivery: Delivery) -> None:
        """Take in what was just committed; without a place for it, it is left to the outbox."""
        now = self._clock()
        self._mark(delivery.number, now)
        known = self._deliveries.known.get(delivery.event_id)
        if known is not None:
            self._deliveries.renew(known)
        elif self._unknown(delivery):
            entry = Entry(delivery, self._order(delivery), born=now, due=now, new=True)
            if not self._deliveries.admit(entry):
                self._deliveries.leave_out(now)

    def take_in(self, row: Delivery, forward: bool) -> Literal["taken", "left", "full"]:
        """Take in a pending row, if it is wanted in memory; `forward`: at once, if it may come early."""
        if not self._unknown(row):
            return "taken"
        now, wall = self._clock(), self._wall()
        wait = min(max(0.0, row.due_at - wall), longest_delay(self._retry, row.attempts))
        born = max(self._not_before(row.number), now - max(0.0, wall - row.created_at))
        entry = Entry(row, self._order(row), born=born, due=now + wait, new=False)
        if forward and not self._breaker.open and self._deliveries.may_come_early(entry):
            entry.at = now
        if self._deliveries.admit(entry):
            return "taken"
        if entry.at <= now:
            return "full"
        self._deliveries.leave_out(entry.at)
        return "left"

    def _mark(self, number: int, now: float) -> None:
        if not number:
            return  # it is in memory only
        fine = (self._retry.max_age or NEVER) / MARKS
        if not self._marks or (number > self._marks[-1][0] and now - self._marks[-1][1] >= fine):
            self._marks.append((number, now))

    def _not_before(self, number: int) -> float:
        """When, at the earliest, the row of that number was committed, or this process began, if that was later."""
        return next((at for known, at in reversed(self._marks) if known <= number), self._began)

    def _unknown(self, delivery: Delivery) -> bool:
        """Whether it is neither in memory nor settled by this process."""
        known = self._deliveries.known.get(delivery.event_id)
        if known is not None:
            if delivery.number:
                self._deliveries.confirm(known, delivery)
            return False
        if self._outcomes.settled(delivery.event_id):
            self._outcomes.say_again(delivery.event_id)
            return False
        return True

    def _order(self, delivery: Delivery) -> tuple[float, int]:
        # Without a number it has just been committed: later than all that was read.
        return delivery.number or NEVER, next(self._arrivals)

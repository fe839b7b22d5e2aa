"""Reads on in the outbox: what is there and not in memory, a page at a time, when it is wanted and there is room.

A pass goes through all that one sink owes, from the first number to the last; what is known is passed over. It stops
where memory is full of what is due, and goes on when there is room. The next pass begins when something is wanted that
was left out, or when memory fills up with what was put there before the outbox has said that it has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from pricestreamd.model.errors import StateError
from pricestreamd.sinks.outbox.deliveries import NEVER, Deliveries
from pricestreamd.sinks.outbox.outcomes import pause_after
from pricestreamd.sinks.waiting import happened
from pricestreamd.state.rows import Delivery

PAGE = 500
# While memory stays full, how often it is asked whether there is room.
LOOK_SECONDS = 1.0
# The least time between passes that only ask what the outbox has, and ten times as long as one takes.
CROWDED_SECONDS = 0.1
# A new delivery does not wait longer for a page that would tell of older ones.
PATIENCE_SECONDS = 0.5
# A pass reads all there is. Where a dead destination keeps memory full, the next one can wait.
BETWEEN_PASSES_SECONDS = 30.0

ReadPage = Callable[[int, int], Awaitable[list[Delivery]]]
"""Gets the number to begin beyond and how many; raises StateError."""
TakeIn = Callable[[Delivery, bool], Literal["taken", "left", "full"]]
"""Gets a row and whether to bring it forward. `full`: it is due, and there is no place for it."""


class Reader:
    """Of one sink. `failed` is told of each StateError; `progress` is called after each page."""

    def __init__(
        self,
        read: ReadPage,
        take_in: TakeIn,
        deliveries: Deliveries,
        *,
        failed: Callable[[StateError], object],
        progress: Callable[[], object],
        clock: Callable[[], float],
    ) -> None:
        self._read = read
        self._take_in = take_in
        self._deliveries = deliveries
        self._failed = failed
        self._progress = progress
        self._clock = clock
        self._wake = asyncio.Event()
        self._passing = False
        self._full = False
        self._failures = 0
        self._cursor = 0
        self._forward = False
        self._begun_at = -NEVER
        self._crowded_seconds = CROWDED_SECONDS
        self._reading = False
        self._asked_at = NEVER
        # Ids of what left memory while a page was being read: what the page says of them is outdated.
        self._outdated: set[str] = set()

    @property
    def read_to(self) -> float:
        """Numbers up to this one are known, or left out on purpose; all of them, where the disk lets us wait."""
        if not self._passing or self._full or self._failures or self._clock() - self._asked_at > PATIENCE_SECONDS:
            return NEVER
        return self._cursor

    def begin(self, *, forward: bool = False) -> None:
        """Begin a pass; `forward`: the destination is back, so what is not due yet is wanted, too."""
        self._passing, self._full, self._cursor = True, False, 0
        self._forward = forward
        self._begun_at = self._clock()
        self._deliveries.left_out_at = NEVER
        self._wake.set()

    def bring_forward(self) -> None:
        """The destination is back: whatever is in the outbox only is wanted at once."""
        if self._passing or self._deliveries.left_out_at < NEVER:
            self.begin(forward=True)

    def end(self) -> None:
        """Nothing more is read: nobody need wait for it."""
        self._passing = False

    def left(self, event_id: str) -> None:
        """What is in memory of this event is settled."""
        if self._reading:
            self._outdated.add(event_id)

    def look(self) -> None:
        """There may be something to read, or room for it."""
        self._wake.set()

    async def run(self) -> None:
        """Read whatever is wanted, until cancelled."""
        while True:
            if not self._wanted():
                self._wake.clear()
                await happened(self._wake, self._wait())
                continue
            cursor = self._cursor
            self._outdated.clear()
            try:
                self._reading, self._asked_at = True, self._clock()
                page = await self._read(cursor, PAGE)
            except StateError as exc:
                self._failures += 1
                self._failed(exc)
                self._progress()
                await asyncio.sleep(pause_after(self._failures))
                continue
            finally:
                self._reading, self._asked_at = False, NEVER
            self._failures = 0
            # Somebody may have begun another pass meanwhile.
            if cursor == self._cursor and self._passing:
                self._take_page(page)
            self._progress()

    def _wanted(self) -> bool:
        deliveries, now = self._deliveries, self._clock()
        if self._passing and not self._full:
            return True
        since = now - self._begun_at
        if deliveries.crowded and since >= self._crowded_seconds:
            self.begin(forward=self._forward)
        elif self._passing:
            self._full = not deliveries.has_room(now)
        elif deliveries.left_out_at <= now and self._worth_it(since, now):
            self.begin()
        return self._passing and not self._full

    def _worth_it(self, since: float, now: float) -> bool:
        deliveries = self._deliveries
        return deliveries.half_empty or (since >= BETWEEN_PASSES_SECONDS and deliveries.has_room(now))

    def _wait(self) -> float | None:
        """Seconds until it is worth looking again, if nobody says so before."""
        left_out_at = self._deliveries.left_out_at
        if self._deliveries.crowded:
            return self._crowded_seconds
        if self._passing:
            return LOOK_SECONDS
        return None if left_out_at == NEVER else max(LOOK_SECONDS, left_out_at - self._clock())

    def _take_page(self, page: list[Delivery]) -> None:
        for row in page:
            if row.event_id not in self._outdated and self._take_in(row, self._forward) == "full":
                self._full = True
                return
            self._cursor = row.number
        if len(page) < PAGE:
            self._passing = self._forward = False
            seconds = CROWDED_SECONDS + 10 * (self._clock() - self._begun_at)
            self._crowded_seconds = min(seconds, BETWEEN_PASSES_SECONDS)

"""Brings one batch after the other from a queue to the sink: tries again, halves what is refused, gives up, counts.

transient failure   the whole batch again, after the next of `retry.delays`; given up with the schedule's end
breaker open        one event at a time until one is taken; then twice as many, and twice again: a destination that
                    just came up, or can only take little at once, is not met by thousands
refused             the batch is halved until the event is found that the sink will never take; it alone is given up,
                    and what is before and after it is delivered in its order. The same where the sink has a bug
replaced            the first failure but a refusal ends it: what waits is for the sink that takes the place of this one
durable             a transient failure is never given up: the spool has room, and the destination will be back. What is
                    refused is kept as a dead letter. Where events go one by one, and the second one is taken while the
                    first is not, the first goes on by the outbox, at its own times, and holds up nobody. Where
                    `MOST_IN_A_ROW` were refused and none was taken, one more is given up after each pause, no faster:
                    it is probably not the events, and a person can mend it
gone (410)          nothing is tried any more until somebody asks for it; what is durable waits, the rest is dropped

A delivery survives the end of the task that began it: the next `carry`, or `let_go`, waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from pricestreamd.model.errors import SinkError, StateError
from pricestreamd.model.events import Event
from pricestreamd.model.histogram import Histogram
from pricestreamd.sinks.base import ErrorHook, is_refusal
from pricestreamd.sinks.delivery.breaker import LONGEST_PAUSE_SECONDS, no_longer_taken
from pricestreamd.sinks.delivery.cuts import Cuts
from pricestreamd.sinks.delivery.door import Door
from pricestreamd.sinks.delivery.flying import Enduring, Flying
from pricestreamd.sinks.delivery.queue import DropReason
from pricestreamd.sinks.delivery.refusals import Refusals
from pricestreamd.sinks.delivery.retry import Dice, Verdict, endless_delay, judge
from pricestreamd.sinks.settings import RetrySettings
from pricestreamd.sinks.waiting import ended, failure_of, happened

# While draining, the end is near: no wait between two attempts is longer.
DRAIN_PAUSE_SECONDS = 0.25
# Whether somebody has asked for another attempt at a destination that was gone.
REOPENED_SECONDS = 0.25
# Refused one after the other by a durable sink, before there are pauses between them.
MOST_IN_A_ROW = 20

_log = logging.getLogger(__name__)

Keep = Callable[[Sequence[Event], Exception, int], Awaitable[None]]
"""Keeps events as dead letters, with what the sink said and how often they were tried. Raises StateError."""


HandOver = Callable[[Event, Exception, int], Awaitable[None]]
"""Gives an event to the outbox, with what the sink said and how often it was tried. Raises StateError."""


class Courier:
    """Between `queue` and `door`, by `retry`. `most`: events at once; `spooled`: the queue, where events are durable.

    `keep` and `hand_over`: where durable events go that do not go this way. Without them they stay or are lost.
    """

    def __init__(
        self,
        name: str,
        queue: Flying,
        door: Door,
        retry: RetrySettings,
        *,
        most: int,
        spooled: Enduring | None,
        on_error: ErrorHook,
        clock: Callable[[], float],
        dice: Dice,
    ) -> None:
        self.retries = 0
        self.lost = 0
        self.keep: Keep | None = None
        self.hand_over: HandOver | None = None
        self.flush_seconds = Histogram()
        self._name = name
        self._queue = queue
        self._door = door
        self._breaker = door.breaker
        self._retry = retry
        self._most = most
        self._spooled = spooled
        self._on_error = on_error
        self._clock = clock
        self._dice = dice
        self._cuts = Cuts()
        self._delivery: asyncio.Task[None] | None = None
        self._size = 0
        # After an outage: events at once, until it is as many as ever.
        self._step: int | None = None
        # The schedule was used up by a bug of the sink: the pieces have one attempt each.
        self._tired = False
        self._refusals = Refusals(name, on_error=on_error, clock=clock)
        # Whether the next one of many that are refused in a row had its pause.
        self._paused = False
        self._ending = False
        self._replaced = False
        self.failed_at_last = False
        """Whether an attempt of one that is replaced has failed: what waits is for the other."""
        self._hurry = asyncio.Event()
        self._breaker.on_back(lambda _was_open: self._hurry.set())

    def end(self, *, replaced: bool = False) -> None:
        """The end is near: from now on no pause is long. `replaced`: another takes over what cannot be delivered."""
        self._ending, self._replaced = True, replaced
        self._hurry.set()

    def hurry(self) -> None:
        """End the pause that there is, or that comes after the attempt under way: the next attempt is made now."""
        self._hurry.set()

    async def sleep(self, seconds: float) -> None:
        """Pause before another attempt. It ends early when the other way has a success, or somebody asks."""
        if self._ending:
            await asyncio.sleep(min(seconds, DRAIN_PAUSE_SECONDS))
        else:
            await happened(self._hurry, seconds)
            self._hurry.clear()

    async def carry(self) -> None:
        """Deliver one batch: returns when each of its events is delivered or given up."""
        queue = self._queue
        if not queue.flight:
            self._cuts.clear()
            self._tired = False
            # What is outdated meanwhile, or gives way, is not yet in flight.
            await self._left_alone()
            queue.take(self._most)
        failures, first = 0, self._clock()
        try:
            while queue.flight:
                size, error = await self._attempt()
                if error is None:
                    queue.settle(size)
                    self._cuts.done(size)
                    self._refusals.in_a_row, self._paused = 0, False
                    failures, first = 0, self._clock()
                else:
                    failures += 1
                    if self._ends_with(error):
                        self.pause()
                        return
                    await self._failed(error, size, failures, self._clock() - first)
        finally:
            self._refusals.tell()

    def pause(self) -> None:
        """The task ends: what is not under way waits in the queue again."""
        if self._delivery is None:
            self._cuts.clear()
            self._queue.give_back()

    async def let_go(self) -> None:
        """Break off what is under way; what was delivered counts, the rest waits in the queue again."""
        if self._delivery is not None:
            if await ended(self._delivery):
                self._queue.settle(self._size)
            self._delivery = None
        self.pause()

    def abandon(self) -> None:
        """Nobody waits for what is under way any more: it is broken off, and its events wait in the queue again."""
        if self._delivery is not None:
            self._delivery.cancel()
            self._delivery = None
        self.pause()

    def _ends_with(self, error: Exception) -> bool:
        """Whether, at the end, what waits is better kept for somebody else than tried again."""
        if self._replaced and not is_refusal(error):
            self.failed_at_last = True
        return self.failed_at_last or bool(self._ending and self._spooled and (self._breaker.open or self._door.gone))

    def tell_failure(self, error: Exception) -> None:
        """The first failures, and that the breaker has opened; then nothing more until it closes."""
        self.failed_at_last = self._replaced
        was_open = self._breaker.open
        opened = self._breaker.failed(self._clock(), error)
        if opened:
            self._on_error(self._name, no_longer_taken(error, self._name), 0)
        elif not was_open:
            self._on_error(self._name, error, 0)

    # --- one attempt

    async def _attempt(self) -> tuple[int, Exception | None]:
        """Try as many as may be tried. Being cancelled here leaves the delivery going on."""
        delivery = self._delivery
        if delivery is None:
            await self._left_alone()
            self._hurry.clear()
            flight = self._queue.flight
            size = self._size = self._how_many(len(flight))
            batch = flight if size == len(flight) else flight[:size]
            delivery = self._delivery = asyncio.create_task(self._deliver(batch), name=f"sink {self._name} delivery")
        await asyncio.wait([delivery])
        self._delivery = None
        error = failure_of(delivery, self._name)
        if error is None:
            self._breaker.succeeded(self._clock())
            if self._step is not None:
                self._step = self._step * 2 if self._step * 2 < self._most else None
        return self._size, error

    async def _left_alone(self) -> None:
        """Wait for as long as the destination has asked for; at the end there is no time for that."""
        while not self._ending and (left := self._breaker.held_until - self._clock()) > 0:
            await self.sleep(left)

    async def _deliver(self, batch: list[Event]) -> None:
        began = self._clock()
        try:
            await self._door.deliver(batch)
        finally:
            seconds = self._clock() - began
            self.flush_seconds.observe(seconds)
        _log.debug("sink %s: %d events delivered in %.1f ms", self._name, len(batch), seconds * 1000)

    def _how_many(self, there: int) -> int:
        if self._breaker.open:
            self._step = 1
        return min(self._cuts.size or there, self._step or there, there)

    # --- what comes of a failure

    async def _failed(self, error: Exception, size: int, failures: int, age: float) -> None:
        verdict = judge(self._retry, error, failures=failures, age=age, dice=self._dice)
        bug = not isinstance(error, SinkError)
        if bug and (verdict.give_up or self._tired):
            self._tired, verdict = True, Verdict(0.0, verdict.give_up or "retries")
        if verdict.give_up == "stopped":
            await self._stopped(error)
        elif verdict.give_up == "refused" or (verdict.give_up and bug):
            if size > 1:
                self._cuts.halve(size, len(self._queue.flight))
            elif self._spooled and self._refusals.in_a_row >= MOST_IN_A_ROW and not self._paused:
                self._paused = True
                self._refusals.tell()
                self.tell_failure(self._refusals.all_of_them(error, LONGEST_PAUSE_SECONDS))
                await self.sleep(LONGEST_PAUSE_SECONDS)
            else:
                await self._give_up(error, failures)
        elif verdict.give_up and not self._spooled:
            self._breaker.failed(self._clock())
            self._lose(error, verdict.give_up)
        else:
            self.tell_failure(error)
            if not await self._sidelined(error, failures):
                await self._wait(verdict, error, failures)

    async def _sidelined(self, error: Exception, failures: int) -> bool:
        """Whether it was the event: one that comes after it was taken, so it goes its own way."""
        queue, other = self._spooled, self._spooled.second() if self._spooled else None
        held = self._breaker.held_until > self._clock()
        if held or not (queue and other and self.hand_over and self._most == 1 and self._breaker.open):
            return False
        event = queue.flight[0]
        try:
            await self._door.deliver([other])
        except Exception as exc:  # noqa: BLE001 - whatever a sink raises: then it was not the event
            self._breaker.failed(self._clock(), exc)
            return False
        self._breaker.succeeded(self._clock())
        queue.settle_second()
        try:
            await self.hand_over(event, error, failures)
        except StateError as exc:
            _log.warning("sink %s: event %s cannot go on by the outbox: %s", self._name, event.id, exc)
            return False
        queue.release()
        return True

    async def _wait(self, verdict: Verdict, error: Exception, failures: int) -> None:
        """Pause before the next attempt: by the schedule; where nothing is ever given up, at most for a probe's pause.

        The end of a pause may come early: the destination took something else meanwhile.
        """
        delay = verdict.delay
        if self._spooled:
            delay = endless_delay(self._retry, verdict, error, LONGEST_PAUSE_SECONDS)
        _log.debug("sink %s: attempt %d failed, the next in %.2f s", self._name, failures, delay)
        await self.sleep(delay)
        self.retries += 1
        before = len(self._queue.flight)
        if len(self._queue.refresh()) != before:
            self._cuts.clear()

    async def _stopped(self, error: Exception) -> None:
        told = not self._door.tell_gone()
        if self._spooled:
            if not told:
                self._on_error(self._name, error, 0)
            while self._door.gone and not self._ending:
                self._hurry.clear()
                await happened(self._hurry, REOPENED_SECONDS)
            return
        lost = self._queue.drop("stopped")
        self.lost += lost
        if not told:
            self._on_error(self._name, error, lost)

    def _lose(self, error: Exception, reason: DropReason) -> None:
        """The whole batch has had its time."""
        events = self._queue.flight
        self.lost += self._queue.drop(reason)
        self._refusals.tell_lost(events, error)

    async def _give_up(self, error: Exception, failures: int) -> None:
        """The first event of the flight will never be taken."""
        event = self._queue.flight[0]
        if self._spooled and self.keep is not None:
            try:
                await self.keep([event], error, failures)
            except StateError as exc:
                _log.error("sink %s: event %s is given up and could not be kept: %s", self._name, event.id, exc)
        self._paused = False
        self._queue.drop("refused", 1)
        self._cuts.done(1, delivered=False)
        self.lost += 1
        self._refusals.add(event, error)

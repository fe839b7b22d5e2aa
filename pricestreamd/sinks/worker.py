"""One sink at work: events come in by `offer`, leave in batches, and every one of them is counted.

The stream calls `offer`, which never waits. `run` is the long-lived task: it opens the sink, waits until a batch is
full or old enough, delivers it, and tries again what failed. `drain` ends it: what waits is delivered at once, within
a bound. A batch in flight survives the end of `run`: a delivery that goes on is waited for by the next `run`, any
other is put back in front. So a worker that is started again loses nothing and delivers nothing twice.

A sink that hangs holds up its own worker only. Its queue fills and events give way, counted and told of.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Any

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event
from pricestreamd.model.histogram import Histogram
from pricestreamd.sinks.base import ErrorHook, Sink, ignore
from pricestreamd.sinks.door import Door
from pricestreamd.sinks.filter import EventFilter
from pricestreamd.sinks.queue import make_queue
from pricestreamd.sinks.retry import Dice, Verdict, judge
from pricestreamd.sinks.settings import SinkSettings
from pricestreamd.sinks.waiting import GRACE_SECONDS, ended, failure_of, happened

# A sink that cannot be opened may be mended by an operator without a restart (a newer database put away).
REOPEN_SECONDS = 60.0
# While draining, the end is near: no wait between two attempts is longer.
DRAIN_PAUSE_SECONDS = 0.25
# Events that gave way are told of together, not one by one.
OVERFLOW_REPORT_SECONDS = 1.0

_log = logging.getLogger(__name__)


class SinkWorker:
    """Delivers events to `sink` by its `settings`; `door` is its way in, which the outbox lane of the sink shares.

    `clock` is monotonic, `dice` gives a number between two others; both are there for tests.
    """

    def __init__(
        self,
        sink: Sink,
        settings: SinkSettings,
        *,
        on_error: ErrorHook = ignore,
        clock: Callable[[], float] = time.monotonic,
        dice: Dice = random.uniform,
    ) -> None:
        self.sink = sink
        self.settings = settings
        self.door = Door(sink)
        self.retries = 0
        self.flush_seconds = Histogram()
        self._on_error = on_error
        self._clock = clock
        self._dice = dice
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._queue = make_queue(
            settings.queue.policy, settings.queue.size, ready=self._wake.set, overflowed=self._overflowed
        )
        self._batch_size = min(settings.batch.size, sink.most_at_once)
        self._filter = EventFilter(settings.events, settings.symbols, settings.min_severity, carries=sink.carries)
        self._answers = self._filter.answers
        self._put = self._queue.put
        self._opened = False
        self._closed = False
        self._runner: asyncio.Task[Any] | None = None
        self._delivery: asyncio.Task[None] | None = None
        self._lost = 0
        self._overflow_told = 0
        self._overflow_timer: asyncio.TimerHandle | None = None

    # --- what the stream calls

    def offer(self, event: Event) -> None:
        """Take `event` if it is for this sink. On the path of a tick: never waits, never raises."""
        try:
            mine = self._answers[event.event, event.symbol]  # type: ignore[attr-defined]  # without one: the slower way
        except (KeyError, AttributeError):
            mine = self._filter.admits(event)
        if mine:
            self._put(event)

    def put(self, event: Event) -> None:
        """Take `event` without asking the filter: for an alert that names this sink."""
        self._put(event)

    def wants(self, event: Event) -> bool:
        """Whether `event` is for this sink."""
        return self._filter.admits(event)

    def wants_named(self, event: str, symbol: str) -> bool:
        """Whether events of this name about `symbol` are for this sink."""
        return self._filter.admits_named(event, symbol)

    @property
    def patterns(self) -> tuple[str, ...]:
        """What the dispatcher must hand to `offer`: names, families or `*`, such that no event comes twice."""
        return self._filter.patterns

    def takes_all(self, event: str) -> bool:
        """Whether every event of this name comes here, whatever its symbol and severity."""
        return self._filter.admits_all(event)

    # --- counters: received = delivered + sum(dropped) + queued, always

    @property
    def name(self) -> str:
        """The sink's key in the configuration."""
        return self.sink.name

    @property
    def received(self) -> int:
        """Events taken by `offer` or `put`."""
        return self._queue.received

    @property
    def delivered(self) -> int:
        """Events the sink has taken."""
        return self._queue.delivered

    @property
    def dropped(self) -> dict[str, int]:
        """Reason to events given up."""
        return self._queue.dropped

    @property
    def queued(self) -> int:
        """Events that wait, and those in the batch being delivered."""
        return self._queue.queued

    # --- the long-lived task

    async def run(self) -> None:
        """Deliver until `drain` is called and nothing waits. May be cancelled and run again: nothing is lost.

        Where the end has begun already it returns at once: `drain` does what is left to do.
        """
        if self._stopping.is_set():
            return
        if self._runner is not None:
            raise RuntimeError(f"the worker of sink {self.name} runs already")
        await self._work()

    async def _work(self) -> None:
        self._runner = asyncio.current_task()
        self._tell_overflow()
        try:
            await self._open()
            while await self._gather():
                await self._flush()
            await self._close()
        finally:
            self._runner = None
            if self._delivery is None:
                self._queue.give_back()

    async def drain(self, timeout: float) -> int:
        """Deliver what waits, close, and end `run`, in at most `timeout` seconds.

        Returns how many events were not delivered: left in the queue, or lost meanwhile because the sink failed.
        """
        lost_before = self._lost
        self._stopping.set()
        self._wake.set()
        end = asyncio.get_running_loop().time() + timeout
        while not await self._ran_to_its_end(end):
            pass
        self._tell_overflow()
        await self._let_go()
        return self._queue.queued + self._lost - lost_before

    async def _ran_to_its_end(self, end: float) -> bool:
        """Wait for `run`, or run it, until the loop's clock says `end`. False: somebody else cancelled it before."""
        runner = self._runner or asyncio.create_task(self._work(), name=f"sink {self.name} drain")
        await asyncio.wait([runner], timeout=max(0.0, end - runner.get_loop().time()))
        if not runner.done():
            runner.cancel()
            await asyncio.wait([runner])
            return True
        if runner.cancelled():
            return False
        if isinstance(crash := runner.exception(), Exception):
            self._on_error(self.name, crash, 0)
        return True

    async def _let_go(self) -> None:
        """Cancel what did not finish, and have the sink close itself, now or when it comes to."""
        if self._delivery is not None:
            if await ended(self._delivery):
                self._queue.settle()
            else:
                self._queue.give_back()
            self._delivery = None
        if not self._closed:
            closing = asyncio.create_task(self._close(), name=f"sink {self.name} close")
            await asyncio.wait([closing], timeout=GRACE_SECONDS)
            await ended(closing)

    async def _close(self) -> None:
        self._opened = False
        await self.door.close(self)
        self._closed = True

    async def _open(self) -> None:
        failures = 0
        while not self._opened and not (self._stopping.is_set() and not self._queue.queued):
            try:
                self._closed = False
                await self.door.open(self)
                self._opened = True
            except Exception as exc:  # noqa: BLE001 - whatever a sink raises, it is tried again
                failures += 1
                self._on_error(self.name, exc, 0)
                verdict = self._judge(exc, failures, 0.0)
                await self._pause(REOPEN_SECONDS if verdict.give_up else verdict.delay)

    async def _gather(self) -> bool:
        """Wait until there is a batch to deliver. False: there is nothing left, and nothing more will come."""
        queue, batch = self._queue, self.settings.batch
        if queue.flight:
            return True
        while not queue.waiting:
            if self._stopping.is_set():
                return False
            await self._until(1, None)
        if queue.waiting < self._batch_size:
            await self._until(self._batch_size, batch.interval)
        return True

    async def _until(self, count: int, seconds: float | None) -> None:
        """Wait until `count` events wait, `seconds` have passed, or the end has begun."""
        self._wake.clear()
        self._queue.arm(count)
        if not self._stopping.is_set():
            await happened(self._wake, seconds)

    async def _flush(self) -> None:
        """Deliver one batch: all that waits, up to a bound. Returns when it is delivered or given up."""
        queue = self._queue
        batch = queue.flight or queue.take(self.sink.most_at_once)
        failures, first = 0, self._clock()
        while batch:
            started = self._clock()
            error = await self._deliver(batch)
            seconds = self._clock() - started
            self.flush_seconds.observe(seconds)
            if error is None:
                _log.debug("sink %s: %d events delivered in %.1f ms", self.name, len(batch), seconds * 1000)
                queue.settle()
                return
            failures += 1
            verdict = self._judge(error, failures, self._clock() - first)
            if verdict.give_up:
                lost = queue.drop(verdict.give_up)
                self._lost += lost
                if verdict.give_up != "stopped" or self.door.tell_gone():
                    self._on_error(self.name, error, lost)
                return
            self._on_error(self.name, error, 0)
            _log.debug("sink %s: attempt %d failed, the next in %.2f s", self.name, failures, verdict.delay)
            await self._pause(verdict.delay)
            self.retries += 1
            batch = queue.refresh()

    async def _deliver(self, batch: list[Event]) -> Exception | None:
        """Try once. Being cancelled here leaves the delivery going on, for the next `run` to wait for."""
        delivery = self._delivery
        if delivery is None:
            delivery = self._delivery = asyncio.create_task(self.door.deliver(batch), name=f"sink {self.name} delivery")
        await asyncio.wait([delivery])
        self._delivery = None
        return failure_of(delivery, self.name)

    async def _pause(self, seconds: float) -> None:
        """Wait before another attempt; when the end begins, or has begun, not for long."""
        if self._stopping.is_set():
            await asyncio.sleep(min(seconds, DRAIN_PAUSE_SECONDS))
        else:
            await happened(self._stopping, seconds)

    def _judge(self, error: Exception, failures: int, age: float) -> Verdict:
        return judge(self.settings.retry, error, failures=failures, age=age, dice=self._dice)

    # --- telling of events that gave way

    def _overflowed(self) -> None:
        # Before `run` has begun there is no loop to wait by; then `run` tells.
        if self._runner is not None:
            self._overflow_timer = self._runner.get_loop().call_later(OVERFLOW_REPORT_SECONDS, self._tell_overflow)

    def _tell_overflow(self) -> None:
        if self._overflow_timer is not None:
            self._overflow_timer.cancel()
            self._overflow_timer = None
        self._queue.overflow_told()
        lost = self._queue.dropped["overflow"] - self._overflow_told
        self._overflow_told += lost
        if lost:
            size, policy = self.settings.queue.size, self.settings.queue.policy
            text = f"the queue of sink {self.name} is full ({size} events, {policy}): {lost} gave way"
            self._on_error(self.name, SinkError(text, sink=self.name), lost)

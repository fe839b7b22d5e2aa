"""One sink at work: events come in by `offer`, leave in batches, and every one of them is counted.

The stream calls `offer`, which never waits. `run` is the long-lived task: it opens the sink, waits until a batch is
full or old enough, delivers it, and tries again what failed. `drain` ends it: what waits is delivered at once, within
a bound. A batch in flight survives the end of `run`: a delivery that goes on is waited for by the next `run`, any
other is put back in front. So a worker that is started again loses nothing and delivers nothing twice.

A sink that hangs holds up its own worker only. Its queue fills and events give way, counted and told of.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from pricestreamd.model.events import AlertBlind, Event, PriceAlert
from pricestreamd.model.histogram import Histogram
from pricestreamd.sinks.base import ErrorHook, Sink, SpoolFailed, ignore
from pricestreamd.sinks.delivery.breaker import LONGEST_PAUSE_SECONDS, Breaker
from pricestreamd.sinks.delivery.courier import Courier, HandOver, Keep
from pricestreamd.sinks.delivery.door import Door
from pricestreamd.sinks.delivery.overflow import Overflow
from pricestreamd.sinks.delivery.queue import BoundedQueue, make_queue
from pricestreamd.sinks.delivery.retry import Dice, endless_delay, judge
from pricestreamd.sinks.delivery.spool_queue import SpoolQueue
from pricestreamd.sinks.filter import EventFilter
from pricestreamd.sinks.settings import SinkSettings
from pricestreamd.sinks.waiting import GRACE_SECONDS, ended, happened
from pricestreamd.state.spool import Spool

# A sink that cannot be opened may be mended by an operator without a restart (a newer database put away).
REOPEN_SECONDS = 60.0
# At the end, for what is on its way from or to the disk.
LOOK_SECONDS = 0.05


class SinkWorker:
    """Delivers events to `sink` by its `settings`; `door` is its way in, which the outbox lane of the sink shares.

    With a `spool` it is durable: whatever comes in outlasts the process, until it is delivered. `clock` is monotonic,
    `dice` gives a number between two others; both are there for tests.
    """

    def __init__(
        self,
        sink: Sink,
        settings: SinkSettings,
        *,
        spool: Spool | None = None,
        on_error: ErrorHook = ignore,
        clock: Callable[[], float] = time.monotonic,
        dice: Dice = random.uniform,
    ) -> None:
        self.sink = sink
        self.settings = settings
        self.door = Door(sink)
        self._on_error = on_error
        self._clock = clock
        self._dice = dice
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._queue = self._make_queue(spool)
        limits = f"{settings.queue.size} events, {settings.queue.policy}"
        texts = {
            "overflow": f"the queue of sink {sink.name} is full ({limits})",
            "spool_full": f"the spool of sink {sink.name} is full",
        }
        self._overflow = Overflow(sink.name, texts, on_error=on_error, told=self._queue.overflow_told)
        self._courier = Courier(
            sink.name,
            self._queue,
            self.door,
            settings.retry,
            most=sink.most_at_once,
            spooled=self._queue if isinstance(self._queue, SpoolQueue) else None,
            on_error=on_error,
            clock=clock,
            dice=dice,
        )
        self._batch_size = min(settings.batch.size, sink.most_at_once)
        self._filter = EventFilter(settings.events, settings.symbols, settings.min_severity, carries=sink.carries)
        self._answers = self._filter.answers
        self._put = self._queue.put
        self._opened = False
        self._closed = False
        self._replaced = False
        self._runner: asyncio.Task[Any] | None = None

    def _make_queue(self, spool: Spool | None) -> BoundedQueue | SpoolQueue:
        policy, size, ready = self.settings.queue.policy, self.settings.queue.size, self._wake.set
        if spool is None:
            return make_queue(policy, size, ready=ready, overflowed=self._overflowed)

        def failed(error: Exception, lost: int) -> None:
            self._on_error(self.name, SpoolFailed(str(error), sink=self.name), lost)

        return SpoolQueue(self.name, spool, policy, size, ready=ready, overflowed=self._overflowed, failed=failed)

    def keep_letters(self, keep: Keep, hand_over: HandOver) -> None:
        """Of what is durable, what the sink will never take goes to `keep`, and what holds up others to `hand_over`."""
        self._courier.keep, self._courier.hand_over = keep, hand_over

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

    def take_over(self, events: Sequence[Event]) -> int:
        """Take what waited in the sink that had this one's place, in front of all; returns how many it takes.

        News of alerts are taken whatever the filter says: they may have been for whoever has this name.
        """
        mine = [
            event for event in events if self.wants(event) or (_is_news(event) and self._filter.carried(event.event))
        ]
        self._queue.take_over(mine)
        return len(mine)

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
    def retries(self) -> int:
        """Deliveries tried again."""
        return self._courier.retries

    @property
    def flush_seconds(self) -> Histogram:
        """Seconds of each delivery."""
        return self._courier.flush_seconds

    @property
    def breaker(self) -> Breaker:
        """Whether the destination is there, as both ways into the sink find it."""
        return self.door.breaker

    @property
    def queued(self) -> int:
        """Events that wait, and those in the batch being delivered."""
        return self._queue.queued

    @property
    def at_risk(self) -> int:
        """Of these, how many would be lost if the process died now."""
        return self._queue.at_risk

    @property
    def spool_failure(self) -> str | None:
        """Why what is durable cannot be written; None where it can."""
        return self._queue.failure if isinstance(self._queue, SpoolQueue) else None

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
        self._overflow.tell(self._queue.dropped)
        try:
            async with self._tended():
                await self._open()
                while await self._gather():
                    await self._courier.carry()
            await self._close()
        finally:
            self._runner = None
            self._courier.pause()

    def _tended(self) -> AbstractAsyncContextManager[None]:
        return self._queue.tended() if isinstance(self._queue, SpoolQueue) else nullcontext()

    async def drain(self, timeout: float, *, replaced: bool = False) -> int:
        """Deliver what waits, close, and end `run`, in at most `timeout` seconds.

        Returns how many events are lost: left in memory, or given up meanwhile because the sink failed. What is in the
        spool is safe there. `replaced`: another takes over what is left, so a destination that fails is not tried
        again, and one that is known to be away not at all; then `hand_over` has what is not counted here.
        """
        lost_before = self._courier.lost
        self._stopping.set()
        self._courier.end(replaced=replaced)
        self._replaced = replaced
        if replaced and (self.breaker.open or self.door.gone or self.breaker.held_until > self._clock()):
            timeout = 0.0
        if isinstance(self._queue, SpoolQueue):
            self._queue.end()
        self._wake.set()
        end = asyncio.get_running_loop().time() + timeout
        while not await self._ran_to_its_end(end):
            pass
        self._overflow.tell(self._queue.dropped)
        await self._let_go()
        if isinstance(self._queue, SpoolQueue):
            await self._queue.close()
        left = 0 if replaced else self._queue.at_risk
        return left + self._courier.lost - lost_before

    def hand_over(self) -> list[Event]:
        """What waits and would be lost with this sink, the oldest first: it is another's from now on, who counts it.

        What is still under way, because `drain` was broken off, is among it: it may arrive twice.
        """
        self._courier.abandon()
        return self._queue.hand_over()

    def try_now(self) -> None:
        """Somebody asks for it: if there is a pause before the next attempt, end it."""
        self._courier.hurry()

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
        await self._courier.let_go()
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
        while not self._opened and self._deliverable and not (self._stopping.is_set() and not self._queue.queued):
            try:
                self._closed = False
                await self.door.open(self)
                self._opened = True
            except Exception as exc:  # noqa: BLE001 - whatever a sink raises, it is tried again
                failures += 1
                self._courier.tell_failure(exc)
                verdict = judge(self.settings.retry, exc, failures=failures, age=0.0, dice=self._dice)
                soon = endless_delay(self.settings.retry, verdict, exc, LONGEST_PAUSE_SECONDS)
                await self._courier.sleep(REOPEN_SECONDS if verdict.give_up == "refused" else soon)

    async def _gather(self) -> bool:
        """Wait until there is a batch to deliver. False: there is nothing left, and nothing more will come."""
        queue, batch = self._queue, self.settings.batch
        if queue.flight:
            return True
        while not queue.waiting:
            if self._stopping.is_set() and not queue.behind:
                return False
            await self._until(1, LOOK_SECONDS if self._stopping.is_set() else None)
        if queue.waiting < self._batch_size and not self._stopping.is_set():
            await self._until(self._batch_size, batch.interval)
        return self._deliverable

    async def _until(self, count: int, seconds: float | None) -> None:
        """Wait until `count` events wait, `seconds` have passed, or the end has begun."""
        self._wake.clear()
        self._queue.arm(count)
        await happened(self._wake, seconds)
        if isinstance(self._queue, SpoolQueue):
            self._queue.check()

    @property
    def _deliverable(self) -> bool:
        """Whether to go on: at the end, what somebody else keeps does not wait for who is not there."""
        if self._replaced:
            return not (self.door.gone or self.breaker.open or self._courier.failed_at_last)
        if not self._stopping.is_set() or not isinstance(self._queue, SpoolQueue):
            return True
        return not (self.door.gone or (self.breaker.open and not self._queue.at_risk))

    def _overflowed(self) -> None:
        # Before `run` has begun there is no loop to wait by; then `run` tells.
        if self._runner is not None:
            self._overflow.begin(self._runner.get_loop(), self._queue.dropped)


def _is_news(event: Event) -> bool:
    """Whether `event` may have come here because its alert names the sink."""
    return isinstance(event, PriceAlert | AlertBlind)

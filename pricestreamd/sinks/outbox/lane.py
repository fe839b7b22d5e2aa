"""The durable lane of a sink: what must not be lost, delivered from the outbox, each delivery by its own clock.

    journal --commit--> outbox          deliveries   whose turn it is
       |                 |   ^          intake       how a row becomes an entry of those
       +--put--> OutboxLane -+          breaker      how fast the destination may be tried
                         |              outcomes     what came of attempts, on its way to the outbox
                         +--> door      reading      what is in the outbox and not in memory
                                        aftermath    what comes of each attempt

Attempts are made one after the other, in order. Beside one that takes longer than `BESIDE_SECONDS` the next is made, as
many at once as the sink takes (`concurrent`); half of those places are for what was never tried and is new. So what
hangs holds up no fresh alert for long. What fails is tried again by the sink's `retry`, or given up and kept (`dead`).
An attempt survives the end of `run`: the next `run`, or `drain`, waits for it, so that nothing is
delivered twice. A process that dies between a delivery and its outcome delivers once more, with the same id.

Rows have times of the wall clock, timers here are monotonic. A row waits as long as its time says, but never longer
than the schedule does, so a wall clock that was set back delays nothing for long. The outbox may fail at any time:
what is in memory is delivered all the same, and its outcome is written when that can be done.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event, event_of
from pricestreamd.model.histogram import Histogram
from pricestreamd.sinks.base import DestinationGone, ErrorHook, ignore
from pricestreamd.sinks.delivery.retry import Dice, judge
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.not_yet import NothingTried, NotYet
from pricestreamd.sinks.outbox.aftermath import Aftermath
from pricestreamd.sinks.outbox.deliveries import CAPACITY, NEVER, Deliveries, Entry
from pricestreamd.sinks.outbox.intake import Intake
from pricestreamd.sinks.outbox.letters import letter_of
from pricestreamd.sinks.outbox.outcomes import Outcomes
from pricestreamd.sinks.outbox.reading import Reader
from pricestreamd.sinks.waiting import GRACE_SECONDS, ended, failure_of, happened
from pricestreamd.state.rows import Backlog, Delivery, Letter, Outcome

# Where nobody's turn has come although its time has: others must be read before.
LOOK_SECONDS = 0.05
BESIDE_SECONDS = 1.0
# While draining, the end is near: nobody whose turn comes later than this is waited for.
DRAIN_PAUSE_SECONDS = 0.25
# Of the time for draining, so much is for writing down what was delivered.
SETTLING_SHARE = 0.2


class Outbox(Protocol):
    """Deliveries that outlast the process; the state store is one. Raises StateError where the disk refuses."""

    async def pending(self, sink: str, *, after: int = 0, limit: int = 1000) -> list[Delivery]:
        """Deliveries of `sink` that wait (none given up), in the order of `number`, those beyond `after`."""

    async def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Keep what came of attempts, in one transaction."""

    async def keep(self, letters: Sequence[Letter]) -> None:
        """Keep events of another way into the sink, given up there."""


class _Attempt(NamedTuple):
    entry: Entry
    began: float
    task: asyncio.Task[None]


class OutboxLane:
    """Delivers what the sink of `worker` owes, out of `outbox`.

    `on_error` is told as the worker's is: of each failed attempt, with 1 where the event was given up, and, as a
    `DestinationGone`, once that the destination wants nothing more. `clock` is monotonic, `wall` gives epoch seconds.
    `beside`: an attempt that takes longer, in seconds, does not hold up the next one.
    """

    def __init__(
        self,
        worker: SinkWorker,
        outbox: Outbox,
        *,
        on_error: ErrorHook = ignore,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        dice: Dice = random.uniform,
        capacity: int = CAPACITY,
        beside: float = BESIDE_SECONDS,
    ) -> None:
        self.name = worker.name
        self.retries = 0
        self.flush_seconds = Histogram()
        self._retry = worker.settings.retry
        self._door = worker.door
        self._on_error = on_error
        self._clock = clock
        self._wall = wall
        self._dice = dice
        self._breaker = worker.door.breaker
        self._breaker.on_back(self._back)
        self._deliveries = Deliveries(capacity)
        self._outcomes = Outcomes(outbox.settle, failed=self._tell, kept=self._kept)
        self._intake = Intake(self._deliveries, self._outcomes, self._breaker, self._retry, clock=clock, wall=wall)
        self._reader = Reader(
            lambda after, limit: outbox.pending(self.name, after=after, limit=limit),
            self._intake.take_in,
            self._deliveries,
            failed=self._tell,
            progress=self._look,
            clock=clock,
        )
        self._aftermath = Aftermath(
            self.name,
            self._deliveries,
            self._outcomes,
            self._breaker,
            self._retry,
            left=self._reader.left,
            on_error=on_error,
            wall=wall,
            dice=dice,
        )
        self._keep = outbox.keep
        worker.keep_letters(self._keep_letters, self._take_over)
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._runner: asyncio.Task[Any] | None = None
        self._concurrent = worker.sink.concurrent
        self._beside = beside
        # Under way, or ended and not yet looked at; in the order in which they began.
        self._attempts: list[_Attempt] = []

    # --- what the journal calls, in the loop

    def put(self, deliveries: Sequence[Delivery]) -> None:
        """Take what was just committed, or what could not be and must be told all the same; never waits.

        The number may be 0: not known. The outbox tells it when it is read the next time.
        """
        for delivery in deliveries:
            self._intake.put(delivery)
        self._look()

    def rescan(self) -> None:
        """Read all pending rows again and try everything now: somebody asked for it. Starts a stopped sink again."""
        self._door.reopen()
        self._deliveries.ask_for_all(self._clock())
        self._reader.begin(forward=True)
        self._look()

    def owed(self, backlog: Backlog) -> Backlog:
        """What of `backlog`, which was just read from the outbox, waits although the sink wants it."""
        return self._deliveries.without_held(backlog, self._wall())

    def unwritten(self, event_ids: Collection[str]) -> list[Outcome]:
        """What came of attempts at these events, as far as the outbox does not know it yet."""
        return self._outcomes.waiting(event_ids)

    def as_known(self, event_id: str) -> Delivery | None:
        """What is owed of an event, as it stands in memory; None where it is not there."""
        entry = self._deliveries.known.get(event_id)
        if entry is None:
            return None
        return replace(entry.delivery, attempts=entry.attempts, due_at=self._wall() + entry.at - self._clock())

    def put_off_until(self, event_id: str) -> float | None:
        """When the sink wants the event, in epoch seconds, if it has put it off; None where it is owed now."""
        entry = self._deliveries.known.get(event_id)
        return entry.owed_at if entry is not None and entry.owed_at > self._wall() else None

    async def _keep_letters(self, events: Sequence[Event], error: Exception, attempts: int) -> None:
        """What the worker has given up of what is durable: it waits for a person, as an alert would."""
        await self._keep([letter_of(event, self.name, error, attempts, now=self._wall()) for event in events])

    async def _take_over(self, event: Event, error: Exception, attempts: int) -> None:
        """What held up others in the worker: it goes on here, by the rest of its schedule. Not too many, though."""
        verdict = judge(self._retry, error, failures=attempts, age=0.0, dice=self._dice)
        now = self._wall()
        crowded = len(self._deliveries) >= self._deliveries.capacity // 2
        due_at = None if verdict.give_up or crowded else now + verdict.delay
        await self._keep([letter_of(event, self.name, error, attempts, now=now, due_at=due_at)])
        self._reader.begin()

    # --- counters: received = delivered + sum(dropped) + queued, always

    @property
    def delivered(self) -> int:
        """Deliveries that were made."""
        return self._aftermath.delivered

    @property
    def dropped(self) -> dict[str, int]:
        """Reason to deliveries given up; the outbox has kept them."""
        return self._aftermath.dropped

    @property
    def queued(self) -> int:
        """Deliveries in memory that wait, and those that are being tried. The outbox may hold more."""
        return len(self._deliveries)

    @property
    def received(self) -> int:
        """Deliveries taken, without those that were left to the outbox again, and those that were only counted."""
        return self._deliveries.received

    # --- the long-lived task

    async def run(self) -> None:
        """Deliver until `drain` is called. May be cancelled and run again: nothing is lost or made twice."""
        if self._stopping.is_set():
            return
        if self._runner is not None:
            raise RuntimeError(f"the outbox lane of sink {self.name} runs already")
        self._runner = asyncio.current_task()
        self._reader.begin()
        try:
            async with asyncio.TaskGroup() as group:
                works = (self._keep_delivering(), self._outcomes.run(), self._reader.run())
                tasks = [group.create_task(work, name=f"sink {self.name} outbox") for work in works]
                await self._stopping.wait()
                for task in tasks:
                    task.cancel()
        finally:
            self._runner = None
            self._door.more_durable(is_due=False)

    async def drain(self, timeout: float) -> int:
        """Deliver what is due now, write down what came of it, and end `run`, in at most `timeout` seconds.

        Returns how many deliveries are left in memory; the outbox has them.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        self._stopping.set()
        if self._runner is not None:
            await asyncio.wait([self._runner], timeout=timeout)
        self._reader.end()
        try:
            async with asyncio.timeout_at(end - timeout * SETTLING_SHARE):
                while await self._deliver_next(DRAIN_PAUSE_SECONDS):
                    pass
        except TimeoutError:
            await self._break_off()
        try:
            async with asyncio.timeout_at(end):
                while len(self._outcomes) and await self._outcomes.write():
                    pass
        except TimeoutError:
            pass  # what was delivered may be delivered once more, with the same id
        await self._close()
        return self.queued

    async def _keep_delivering(self) -> None:
        while True:
            await self._deliver_next(NEVER)

    async def _deliver_next(self, patience: float) -> bool:
        """Begin an attempt, or wait for the end of one or for somebody's turn.

        False: nothing is under way, and nobody's turn comes within `patience` seconds.
        """
        self._wake.clear()
        for attempt in [attempt for attempt in self._attempts if attempt.task.done()]:
            self._attempts.remove(attempt)
            self._end_attempt(attempt)
        now = self._clock()
        wait = self._begin_next(now)
        soon = self._deliveries.next_at(self._breaker.free_at) - now <= LOOK_SECONDS
        shut = self._door.gone is not None or self._breaker.held_until > now
        self._door.more_durable(is_due=soon and not shut)
        if wait == 0.0:
            return True
        if not self._attempts and wait > patience:
            return False
        await happened(self._wake, None if wait == NEVER else wait)
        return True

    def _begin_next(self, now: float) -> float:
        """Begin an attempt, if one may begin now; 0: it was begun, else seconds until it is worth looking again."""
        under_way, breaker = self._attempts, self._breaker
        if self._door.gone or len(under_way) >= self._concurrent:
            return NEVER
        if breaker.held_until > now:
            return breaker.held_until - now
        if under_way and (left := under_way[-1].began + self._beside - now) > 0:
            return left
        only_new = len(under_way) >= (1 if breaker.open else max(1, self._concurrent // 2))
        entry = self._deliveries.next(
            now, dead=breaker.open, free_at=breaker.free_at, read_to=self._reader.read_to, only_new=only_new
        )
        if entry is None:
            wait = self._deliveries.next_at(breaker.free_at, only_new=only_new) - now
            return wait if wait > 0 else LOOK_SECONDS
        self.retries += entry.attempts > 0
        task = asyncio.create_task(self._deliver(entry), name=f"sink {self.name} durable delivery")
        task.add_done_callback(lambda _task: self._wake.set())
        under_way.append(_Attempt(entry, now, task))
        return 0.0

    async def _deliver(self, entry: Entry) -> None:
        try:
            event = event_of(entry.delivery.body)
        except ValueError as exc:
            raise SinkError(f"what was kept cannot be read: {exc}", sink=self.name, transient=False) from exc
        await self._door.deliver_durable(self, event)

    # --- what comes of an attempt

    def _end_attempt(self, attempt: _Attempt) -> None:
        entry, now = attempt.entry, self._clock()
        error = failure_of(attempt.task, self.name)
        if isinstance(error, NotYet):
            # No attempt, and no time that it has had: the sink waits on purpose.
            entry.born += error.seconds
            self._deliveries.put_off(entry, now + error.seconds, owed_at=self._wall() + error.seconds)
            return
        if isinstance(error, NothingTried):
            self._aftermath.settled_untried(entry, error)
            self._reader.look()
            return
        self.flush_seconds.observe(now - attempt.began)
        if error is None:
            self._aftermath.delivered_now(entry, now)
        elif isinstance(error, DestinationGone):
            # Nothing of the schedule is used up: it is the destination that is gone, not the event that is bad.
            self._deliveries.again(entry, due=entry.due, at=entry.due)
            if self._door.tell_gone():
                self._on_error(self.name, error, 0)
        else:
            self._aftermath.failed(entry, error, now, early=attempt.began < entry.due)
        self._reader.look()

    async def _break_off(self) -> None:
        """End the attempts that are under way: what was not delivered waits for the next run, in the outbox."""
        attempts, self._attempts = self._attempts, []
        delivered = await asyncio.gather(*(ended(attempt.task) for attempt in attempts))
        for attempt, done in zip(attempts, delivered, strict=True):
            if done:
                self._aftermath.delivered_now(attempt.entry, self._clock())
            else:
                self._deliveries.again(attempt.entry, due=attempt.entry.due, at=attempt.entry.at)

    async def _close(self) -> None:
        self._door.more_durable(is_due=False)
        closing = asyncio.create_task(self._door.close(self), name=f"sink {self.name} close")
        await asyncio.wait([closing], timeout=GRACE_SECONDS)
        await ended(closing)

    def _back(self, was_open: bool) -> None:
        """The destination has taken something after a failure, from whichever lane."""
        self._deliveries.bring_forward(self._clock())
        if was_open:
            self._reader.bring_forward()
        self._look()

    def _kept(self, event_id: str) -> None:
        entry = self._deliveries.known.get(event_id)
        if entry is not None:
            entry.settled = True

    def _look(self) -> None:
        self._wake.set()
        self._reader.look()

    def _tell(self, error: Exception) -> None:
        self._on_error(self.name, error, 0)

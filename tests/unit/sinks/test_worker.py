"""The worker: batches, retries, restarts, the end, and that every event is counted at all times."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event
from pricestreamd.sinks.base import MOST_AT_ONCE, said
from pricestreamd.sinks.delivery.queue import Policy
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.settings import BatchSettings, QueueSettings, RetrySettings, SinkSettings
from tests.support.waiting import eventually
from tests.unit.sinks.samples import MemorySink, Script, alert, error, failed, refused, update, updates

LONG = 60.0
AT_ONCE = RetrySettings(delays=(0.0, 0.0, 0.0), max_age=None)


def made(sink: MemorySink, **fields: Any) -> SinkWorker:
    fields.setdefault("batch", BatchSettings(size=10, interval=0.01))
    on_error = fields.pop("on_error", lambda *_: None)
    return SinkWorker(sink, SinkSettings(**fields), on_error=on_error)


def counts_hold(worker: SinkWorker) -> bool:
    return worker.received == worker.delivered + sum(worker.dropped.values()) + worker.queued


@contextlib.asynccontextmanager
async def running(worker: SinkWorker) -> AsyncIterator[asyncio.Task[None]]:
    """The worker's task, ended without draining."""
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        await worker.drain(0)
        assert counts_hold(worker)


def offer_all(worker: SinkWorker, events: Sequence[Event]) -> None:
    for event in events:
        worker.offer(event)


async def test_a_full_batch_leaves_at_once() -> None:
    worker = made(sink := MemorySink(), batch=BatchSettings(size=10, interval=LONG))
    async with running(worker):
        await eventually(lambda: sink.is_open)
        offer_all(worker, updates(10))
        await eventually(lambda: sink.batches)
    assert sink.batches == [updates(10)]
    assert worker.delivered == 10


async def test_a_batch_that_is_not_full_leaves_after_the_interval() -> None:
    worker = made(sink := MemorySink(), batch=BatchSettings(size=10, interval=0.05))
    async with running(worker):
        loop = asyncio.get_running_loop()
        await eventually(lambda: sink.is_open)
        begun = loop.time()
        offer_all(worker, updates(9))
        await eventually(lambda: sink.batches)
        assert loop.time() - begun >= 0.045
    assert sink.batches == [updates(9)]


async def test_an_event_just_in_time_fills_the_batch() -> None:
    worker = made(sink := MemorySink(), batch=BatchSettings(size=3, interval=LONG))
    async with running(worker):
        for event in updates(3):
            worker.offer(event)
            await asyncio.sleep(0.002)
        await eventually(lambda: sink.batches)
    assert sink.batches == [updates(3)]


async def test_a_backlog_leaves_in_large_batches() -> None:
    worker = made(sink := MemorySink(), queue=QueueSettings(size=20_000))
    events = updates(MOST_AT_ONCE * 2 + 7)
    offer_all(worker, events)
    async with running(worker):
        await eventually(lambda: worker.delivered == len(events))
    assert list(map(len, sink.batches)) == [MOST_AT_ONCE, MOST_AT_ONCE, 7]
    assert sink.events == events


async def test_what_the_filter_leaves_out_is_not_received() -> None:
    worker = made(MemorySink(), symbols=("SYM1",), min_severity="critical")
    offer_all(worker, [*updates(9), error(1, "warning"), error(2, "critical")])
    assert worker.received == worker.queued == 4


async def test_put_asks_no_filter() -> None:
    worker = made(MemorySink(), events=("price.error",))
    worker.offer(alert())
    worker.put(alert())
    assert worker.received == 1


async def test_the_worker_tells_what_to_listen_to() -> None:
    assert made(MemorySink(), events=("price.*", "price.alert", "feed.connected")).patterns == (
        "price.*",
        "feed.connected",
    )


async def test_a_transient_failure_is_tried_again_with_the_same_batch() -> None:
    told: list[tuple[str, str, int]] = []
    worker = made(
        sink := MemorySink(), retry=AT_ONCE, on_error=lambda name, exc, lost: told.append((name, str(exc), lost))
    )
    sink.before = script = Script(failed("one"), failed("two"))
    async with running(worker):
        offer_all(worker, updates(3))
        await eventually(lambda: worker.delivered == 3)
    assert script.calls == [updates(3)] * 3
    assert worker.retries == 2
    assert told == [("memory", "one", 0), ("memory", "two", 0)]
    assert sum(worker.flush_seconds.counts) == 3


async def test_a_batch_is_given_up_after_its_last_attempt_and_the_next_one_goes_on() -> None:
    told: list[tuple[str, int]] = []
    worker = made(sink := MemorySink(), retry=AT_ONCE, on_error=lambda _name, exc, lost: told.append((str(exc), lost)))
    sink.before = Script(*[failed(str(n)) for n in range(1, 5)])
    async with running(worker):
        offer_all(worker, updates(3))
        await eventually(lambda: worker.dropped["retries"] == 3)
        offer_all(worker, updates(2, first=4))
        await eventually(lambda: worker.delivered == 2)
    assert sink.events == updates(2, first=4)
    away = "; 3 failures in a row: one event at a time is tried until it is back"
    assert told == [("1", 0), ("2", 0), ("3" + away, 0), ("4", 3)]


class Picky:
    """Refuses each batch that holds one of these numbers, and remembers what it was given."""

    def __init__(self, *numbers: int, error: Exception | None = None) -> None:
        self.numbers = set(numbers)
        self.sizes: list[int] = []
        self.error = error or refused()

    def __call__(self, batch: Sequence[Event]) -> None:
        self.sizes.append(len(batch))
        if any(event.number in self.numbers for event in batch):
            raise self.error


async def test_s3_of_a_refused_batch_the_bad_event_alone_is_given_up_and_told_of() -> None:
    told: list[tuple[str, int]] = []
    worker = made(
        sink := MemorySink(),
        batch=BatchSettings(size=1000, interval=0.0),
        on_error=lambda _name, exc, lost: told.append((str(exc), lost)),
    )
    sink.before = picky = Picky(700)
    offer_all(worker, updates(1000))
    async with running(worker):
        await eventually(lambda: worker.queued == 0)
    assert sink.events == [event for event in updates(1000) if event.number != 700]
    assert worker.dropped["refused"] == 1
    assert told == [("not that", 1)]
    assert len(picky.sizes) <= 2 * 10 + 1
    assert worker.retries == 0


async def test_s3_all_bad_events_of_a_batch_are_told_of_together_and_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[tuple[str, int]] = []
    worker = made(sink := MemorySink(), on_error=lambda _name, exc, lost: told.append((str(exc), lost)))
    bad = range(1, 41, 3)
    sink.before = Picky(*bad)
    offer_all(worker, updates(40))
    async with running(worker):
        await eventually(lambda: worker.queued == 0)
    assert [event.number for event in sink.events] == [number for number in range(1, 41) if number not in bad]
    assert told == [("not that", len(bad))]
    named = [record.getMessage() for record in caplog.records if "is refused" in record.getMessage()]
    assert named[0] == "sink memory: event run-1 (price.update) is refused: not that"
    assert len(named) == 10


async def test_a_sink_with_a_bug_ends_nothing() -> None:
    worker = made(sink := MemorySink(), retry=AT_ONCE)
    sink.before = Script(*[ZeroDivisionError()] * 400)
    async with running(worker) as task:
        offer_all(worker, updates(3))
        await eventually(lambda: worker.dropped["refused"] == 3)
        assert not task.done()


async def test_a_bug_that_meets_one_event_costs_that_one_alone() -> None:
    worker = made(sink := MemorySink(), retry=RetrySettings(delays=(0.0,), max_age=None))
    sink.before = Picky(7, error=ZeroDivisionError())
    offer_all(worker, updates(10))
    async with running(worker):
        await eventually(lambda: worker.queued == 0)
    assert [event.number for event in sink.events] == [1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert worker.dropped["refused"] == 1


async def test_a_bug_is_told_with_its_kind_one_traceback_and_not_a_line_for_each_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[tuple[str, int]] = []
    sink = MemorySink()
    sink.most_at_once = 1
    worker = SinkWorker(
        sink,
        SinkSettings(retry=RetrySettings(delays=(), max_age=None)),
        on_error=lambda _name, exc, lost: told.append((said(exc), lost)),
    )
    nothing: dict[str, object] = {}
    sink.before = lambda _: nothing["oops"]
    offer_all(worker, updates(114))
    with caplog.at_level(logging.WARNING):
        async with running(worker):
            await eventually(lambda: worker.queued == 0)
    assert worker.dropped["refused"] == worker.received == 114
    assert told[0] == ("KeyError: 'oops'", 1)
    traced = [record for record in caplog.records if record.exc_info]
    assert len(traced) == 1
    assert traced[0].getMessage() == "sink memory failed by a bug of its own: KeyError: 'oops'"
    assert "test_worker.py" in str(logging.Formatter().formatException(traced[0].exc_info))  # type: ignore[arg-type]  # there
    named = [record.getMessage() for record in caplog.records if "is refused" in record.getMessage()]
    assert len(named) == 10
    assert named[0] == "sink memory: event run-1 (price.update) is refused: KeyError: 'oops'"


# --- the breaker


async def test_after_failures_in_a_row_single_events_probe_and_the_rest_follows_in_growing_batches() -> None:
    told: list[str] = []
    worker = made(
        sink := MemorySink(),
        retry=RetrySettings(delays=(0.0,), max_age=60.0),
        on_error=lambda _name, exc, _lost: told.append(str(exc)),
    )
    states: list[str] = []

    def away(batch: Sequence[Event]) -> None:
        states.append(worker.breaker.state)
        sizes.append(len(batch))
        if len(sizes) <= 6:
            raise failed()

    sizes: list[int] = []
    sink.before = away
    offer_all(worker, updates(100))
    async with running(worker):
        await eventually(lambda: worker.queued == 0)
    assert sizes == [100, 100, 100, 1, 1, 1, 1, 2, 4, 8, 16, 32, 37]
    assert states == ["closed"] * 3 + ["half_open"] * 4 + ["closed"] * 6
    assert sink.events == updates(100)
    assert told == ["away", "away", "away; 3 failures in a row: one event at a time is tried until it is back"]
    assert worker.breaker.state == "closed"
    assert worker.breaker.times_opened == 1


async def test_a_destination_that_takes_little_at_once_gets_little_at_once() -> None:
    worker = made(sink := MemorySink(), retry=RetrySettings(delays=(0.0,), max_age=60.0))

    def small(batch: Sequence[Event]) -> None:
        if len(batch) > 10:
            raise failed("too much at once")

    sink.before = small
    offer_all(worker, updates(200))
    async with running(worker):
        await eventually(lambda: worker.queued == 0)
    assert sink.events == updates(200)


async def test_what_another_way_finds_out_ends_the_pause() -> None:
    worker = made(sink := MemorySink(), retry=RetrySettings(delays=(LONG,)))
    sink.before = script = Script(failed())
    async with running(worker):
        offer_all(worker, updates(3))
        await eventually(lambda: script.calls)
        await eventually(lambda: worker.breaker.failures)
        worker.breaker.succeeded(0.0)
        await eventually(lambda: worker.delivered == 3)


async def test_the_delays_are_waited() -> None:
    rolled: list[tuple[float, float]] = []

    def dice(low: float, high: float) -> float:
        rolled.append((low, high))
        return low

    schedule = RetrySettings(delays=(0.05, 0.1), jitter=0.2, max_age=None)
    sink = MemorySink()
    worker = SinkWorker(sink, SinkSettings(retry=schedule, batch=BatchSettings(size=1)), dice=dice)
    sink.before = Script(failed(), failed())
    async with running(worker):
        begun = asyncio.get_running_loop().time()
        worker.offer(update())
        await eventually(lambda: worker.delivered == 1)
        assert asyncio.get_running_loop().time() - begun >= 0.115
    assert rolled == [(0.8, 1.2), (0.8, 1.2)]


async def test_a_batch_is_given_up_at_its_greatest_age() -> None:
    now = [0.0]
    sink = MemorySink()
    schedule = RetrySettings(delays=(0.0,), jitter=0, max_age=100.0)
    worker = SinkWorker(
        sink, SinkSettings(retry=schedule, batch=BatchSettings(size=1)), clock=lambda: now[0], dice=lambda low, _: low
    )

    def away(_: Sequence[Event]) -> None:
        now[0] += 60
        raise failed()

    sink.before = away
    async with running(worker):
        worker.offer(update())
        await eventually(lambda: worker.dropped["expired"] == 1)
    assert worker.retries == 1


async def test_conflation_goes_on_between_two_attempts() -> None:
    worker = made(sink := MemorySink(), queue=QueueSettings(policy="conflate"), retry=AT_ONCE)

    def away(batch: Sequence[Event]) -> None:
        sink.before = None
        worker.offer(update(3, "A", 3.0))
        raise failed()

    sink.before = away
    offer_all(worker, [update(1, "A"), update(2, "B")])
    async with running(worker):
        await eventually(lambda: worker.queued == 0)
    assert [event.number for event in sink.events] == [2, 3]
    assert worker.dropped["conflated"] == 1


# --- restarts


async def test_a_delivery_survives_the_end_of_its_task_and_is_not_made_twice() -> None:
    worker = made(sink := MemorySink())
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    entered = Script()

    def slow(batch: Sequence[Event]) -> asyncio.Future[None]:
        entered(batch)
        return gate

    sink.before = slow
    first = asyncio.create_task(worker.run())
    offer_all(worker, updates(3))
    await eventually(lambda: entered.calls)
    first.cancel()
    await asyncio.wait([first])
    assert worker.queued == 3
    offer_all(worker, updates(2, first=4))
    async with running(worker):
        gate.set_result(None)
        await eventually(lambda: worker.delivered == 5)
    assert sink.events == updates(5)
    assert list(map(len, entered.calls)) == [3, 2]
    assert sink.opened == 1


async def test_a_batch_that_waits_for_its_next_attempt_goes_back_in_front() -> None:
    told: list[Exception] = []
    worker = made(
        sink := MemorySink(),
        retry=RetrySettings(delays=(LONG,)),
        on_error=lambda _name, exc, _lost: told.append(exc),
    )
    sink.before = Script(failed())
    first = asyncio.create_task(worker.run())
    offer_all(worker, updates(3))
    await eventually(lambda: told)
    offer_all(worker, updates(2, first=4))
    first.cancel()
    await asyncio.wait([first])
    assert worker.queued == 5
    async with running(worker):
        await eventually(lambda: worker.delivered == 5)
    assert sink.events == updates(5)


async def test_a_delivery_that_is_cancelled_inside_the_sink_is_a_failure_and_not_the_end() -> None:
    told: list[str] = []
    worker = made(sink := MemorySink(), retry=AT_ONCE, on_error=lambda _name, exc, _lost: told.append(str(exc)))

    def cancelled(_: Sequence[Event]) -> None:
        sink.before = None
        raise asyncio.CancelledError

    sink.before = cancelled
    async with running(worker):
        offer_all(worker, updates(3))
        await eventually(lambda: worker.delivered == 3)
    assert told == ["the delivery of sink memory was broken off: CancelledError()"]


async def test_drain_takes_over_from_a_task_that_is_being_cancelled() -> None:
    worker = made(sink := MemorySink(), batch=BatchSettings(size=100, interval=LONG))
    task = asyncio.create_task(worker.run())
    await eventually(lambda: sink.is_open)
    offer_all(worker, updates(3))
    task.cancel()
    assert await worker.drain(5) == 0
    assert sink.events == updates(3)


async def test_a_worker_runs_once_at_a_time() -> None:
    worker = made(MemorySink())
    async with running(worker):
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="runs already"):
            await worker.run()


# --- opening


async def test_a_sink_that_cannot_be_opened_is_tried_again_while_events_wait() -> None:
    told: list[str] = []
    sink = MemorySink()
    sink.open_errors = [failed("not yet"), OSError("nor now")]
    worker = made(sink, retry=AT_ONCE, on_error=lambda _name, exc, _lost: told.append(str(exc)))
    offer_all(worker, updates(3))
    async with running(worker):
        await eventually(lambda: worker.delivered == 3)
    assert told == ["not yet", "nor now"]


async def test_a_sink_that_refuses_to_open_keeps_its_events_within_the_bound() -> None:
    sink = MemorySink()
    sink.open_errors = [refused("newer")]
    worker = made(sink, queue=QueueSettings(size=5))
    async with running(worker):
        await eventually(lambda: not sink.open_errors)
        offer_all(worker, updates(8))
        assert (worker.queued, worker.dropped["overflow"]) == (5, 3)


# --- the end


async def test_drain_delivers_what_waits_at_once_and_closes() -> None:
    worker = made(sink := MemorySink(), batch=BatchSettings(size=10_000, interval=LONG))
    task = asyncio.create_task(worker.run())
    await eventually(lambda: sink.is_open)
    offer_all(worker, updates(7))
    assert await worker.drain(5) == 0
    assert sink.events == updates(7)
    assert not sink.is_open
    assert task.done()
    assert task.exception() is None


async def test_drain_delivers_also_what_a_worker_got_that_never_ran() -> None:
    worker = made(sink := MemorySink())
    offer_all(worker, updates(7))
    assert await worker.drain(5) == 0
    assert sink.events == updates(7)


async def test_drain_of_a_worker_without_events_does_not_even_open() -> None:
    worker = made(sink := MemorySink())
    assert await worker.drain(5) == 0
    assert sink.opened == 0


async def test_drain_after_the_task_was_cancelled_takes_up_what_was_in_flight() -> None:
    worker = made(sink := MemorySink())
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sink.before = lambda _: gate
    task = asyncio.create_task(worker.run())
    offer_all(worker, updates(3))
    await eventually(lambda: worker.queued and not worker._queue.waiting)
    task.cancel()
    await asyncio.wait([task])
    asyncio.get_running_loop().call_soon(gate.set_result, None)
    assert await worker.drain(5) == 0
    assert sink.events == updates(3)


async def test_drain_ends_within_its_bound_and_tells_how_many_are_left() -> None:
    worker = made(sink := MemorySink(), batch=BatchSettings(size=2, interval=LONG))
    sink.before = lambda _: asyncio.get_running_loop().create_future()
    task = asyncio.create_task(worker.run())
    await eventually(lambda: sink.is_open)
    offer_all(worker, updates(3))
    begun = asyncio.get_running_loop().time()
    assert await worker.drain(0.1) == 3
    assert asyncio.get_running_loop().time() - begun < 1
    assert task.cancelled()
    assert worker.queued == 3
    assert not sink.is_open


async def test_a_task_that_begins_after_the_end_has_nothing_to_do() -> None:
    worker = made(sink := MemorySink())
    task = asyncio.create_task(worker.run())
    offer_all(worker, updates(3))
    assert await worker.drain(5) == 0
    await task
    assert sink.events == updates(3)
    assert sink.opened == 1


async def test_drain_counts_what_a_failing_sink_lost_meanwhile() -> None:
    worker = made(sink := MemorySink(), retry=RetrySettings(delays=()))
    sink.before = Script(failed())
    offer_all(worker, updates(3))
    assert await worker.drain(5) == 3
    assert worker.dropped["retries"] == 3


async def test_drain_does_not_wait_for_the_next_attempt() -> None:
    worker = made(sink := MemorySink(), retry=RetrySettings(delays=(LONG,)))
    sink.before = script = Script(failed())
    task = asyncio.create_task(worker.run())
    offer_all(worker, updates(3))
    await eventually(lambda: script.calls)
    assert await worker.drain(5) == 0
    assert sink.events == updates(3)
    await task


async def test_drain_of_a_sink_that_cannot_be_opened_ends_within_its_bound() -> None:
    sink = MemorySink()
    sink.open_errors = [failed() for _ in range(1000)]
    worker = made(sink)
    offer_all(worker, updates(3))
    assert await worker.drain(0.1) == 3


async def test_drain_tells_of_a_bug_and_raises_nothing() -> None:
    class Broken(MemorySink):
        async def close(self) -> None:
            raise ZeroDivisionError

    told: list[Exception] = []
    worker = made(Broken(), on_error=lambda _name, exc, _lost: told.append(exc))
    worker.offer(update())
    assert await worker.drain(5) == 0
    assert list(map(type, told)) == [ZeroDivisionError]


# --- overflow


async def test_events_that_gave_way_are_told_of_together() -> None:
    told: list[tuple[str, int]] = []
    worker = made(
        sink := MemorySink(),
        queue=QueueSettings(size=5),
        on_error=lambda _name, exc, lost: told.append((str(exc), lost)),
    )
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sink.before = lambda _: gate
    async with running(worker):
        offer_all(worker, updates(5))
        await eventually(lambda: not worker._queue.waiting)
        offer_all(worker, updates(25, first=6))
        await eventually(lambda: told)
        gate.set_result(None)
        await eventually(lambda: worker.queued == 0)
    assert told == [("the queue of sink memory is full (5 events, drop_oldest): 20 gave way", 20)]


async def test_a_sink_that_hangs_delays_nobody() -> None:
    stuck, healthy = MemorySink("stuck"), MemorySink("healthy")
    stuck.before = lambda _: asyncio.get_running_loop().create_future()
    first, second = made(stuck, queue=QueueSettings(size=50)), made(healthy)
    async with running(first), running(second):
        for event in updates(1000):
            first.offer(event)
            second.offer(event)
            await asyncio.sleep(0)
        await eventually(lambda: second.delivered == 1000)
    assert first.delivered == 0
    assert first.dropped["overflow"] >= 900


# --- the counting rule, whatever happens


class Course:
    """A worker to which anything may happen. Each method is one thing; all are called by name."""

    def __init__(self, policy: Policy, size: int, batch: int, delays: tuple[float, ...]) -> None:
        self.sink = MemorySink()
        self.sink.before = self._before
        self.worker = SinkWorker(
            self.sink,
            SinkSettings(
                queue=QueueSettings(size=size, policy=policy),
                batch=BatchSettings(size=batch, interval=0.0),
                retry=RetrySettings(delays=delays, max_age=None),
            ),
        )
        self.pending: list[asyncio.Future[None]] = []
        self.offered = 0
        self.task = asyncio.create_task(self.worker.run())

    def _before(self, _: Sequence[Event]) -> asyncio.Future[None]:
        self.pending.append(asyncio.get_running_loop().create_future())
        return self.pending[-1]

    async def offer(self, count: int) -> None:
        offer_all(self.worker, updates(count, first=self.offered + 1))
        self.offered += count

    async def alert(self, _: int) -> None:
        self.offered += 1
        self.worker.offer(alert(self.offered))

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def fail(self, how: int) -> None:
        if self.pending and not self.pending[-1].done():
            self.pending[-1].set_exception([failed(), refused(), KeyError("bug")][how % 3])

    async def succeed(self, _: int) -> None:
        if self.pending and not self.pending[-1].done():
            self.pending[-1].set_result(None)

    async def cancel_delivery(self, _: int) -> None:
        if self.pending:
            self.pending[-1].cancel()

    async def restart(self, _: int) -> None:
        self.task.cancel()

    def lost(self) -> int:
        return self.worker.dropped["retries"] + self.worker.dropped["refused"]

    async def follow(self, happenings: list[tuple[str, int]]) -> None:
        for what, number in happenings:
            await getattr(self, what)(number)
            if self.task.done():
                self.task = asyncio.create_task(self.worker.run())
            assert counts_hold(self.worker)
            assert self.worker.received == self.offered
        self.sink.before = None
        await self.succeed(0)
        lost = self.lost()
        assert await self.worker.drain(5) == self.lost() - lost
        assert self.worker.queued == 0
        assert counts_hold(self.worker)
        await asyncio.wait([self.task])


HAPPENINGS = st.tuples(
    st.sampled_from(["offer", "offer", "alert", "turns", "turns", "fail", "succeed", "cancel_delivery", "restart"]),
    st.integers(1, 6),
)


@settings(max_examples=150)
@given(
    policy=st.sampled_from(["drop_oldest", "drop_newest", "conflate"]),
    size=st.integers(2, 10),
    batch=st.integers(1, 4),
    delays=st.sampled_from([(), (0.0,), (0.0, 0.0)]),
    happenings=st.lists(HAPPENINGS, max_size=40),
)
def test_received_is_delivered_and_dropped_and_queued_whatever_happens(
    policy: Policy, size: int, batch: int, delays: tuple[float, ...], happenings: list[tuple[str, int]]
) -> None:
    async def whatever_happens() -> None:
        course = Course(policy, size, batch, delays)
        await course.follow(happenings)
        # What was delivered was delivered once, and in order.
        numbers = [event.number for event in course.sink.events]
        assert len(numbers) == course.worker.delivered
        assert numbers == sorted(set(numbers))

    asyncio.run(whatever_happens())


def test_an_error_of_a_sink_says_whether_it_is_worth_another_attempt() -> None:
    assert SinkError("x").transient
    assert failed(retry_after=3).retry_after == 3


async def test_the_debug_log_tells_of_batches_and_failed_attempts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pricestreamd.sinks")
    sink = MemorySink()
    sink.before = Script(failed())
    worker = made(sink, retry=AT_ONCE)
    async with running(worker):
        offer_all(worker, updates(10))
        await eventually(lambda: sink.batches)
        await eventually(lambda: len(caplog.records) == 2)
    tried, delivered = [record.getMessage() for record in caplog.records]
    assert tried == "sink memory: attempt 1 failed, the next in 0.00 s"
    assert delivered.startswith("sink memory: 10 events delivered in ")

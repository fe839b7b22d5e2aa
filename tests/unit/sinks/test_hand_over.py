"""A sink that is replaced: what it could not deliver goes to the one in its place, in front, in order, all counted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.model.events import Event, PriceAlert, PriceUpdate
from pricestreamd.sinks.delivery.queue import Policy, make_queue
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.settings import BatchSettings, QueueSettings, RetrySettings, SinkSettings
from pricestreamd.state.spool import LEAST_SEGMENT_BYTES, Spool
from tests.support.waiting import eventually
from tests.unit.sinks.samples import MemorySink, alert, custom, failed, refused, update, updates

# Longer than any test may take.
LONG = 300.0
SELDOM = RetrySettings(delays=(0.0, 0.0, LONG), jitter=0, max_age=None)


def made(sink: MemorySink, *, spool: Path | None = None, **fields: Any) -> SinkWorker:
    fields = {"batch": BatchSettings(size=100, interval=0.01), "retry": SELDOM, **fields}
    room = None if spool is None else Spool(spool, LEAST_SEGMENT_BYTES * 16, reserve=0)
    return SinkWorker(sink, SinkSettings(durable=spool is not None, **fields), spool=room)


def counts_hold(worker: SinkWorker) -> bool:
    return worker.received == worker.delivered + sum(worker.dropped.values()) + worker.queued


def put_all(worker: SinkWorker, events: Sequence[Event]) -> None:
    for event in events:
        worker.put(event)


@contextlib.asynccontextmanager
async def at_work(worker: SinkWorker) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        await worker.drain(5)
        await asyncio.wait([task])
        assert counts_hold(worker)


async def away(events: Sequence[Event], **fields: Any) -> SinkWorker:
    """A sink whose password is wrong, with these events; its next attempt is far away."""
    sink = MemorySink()
    sink.open_errors = [failed("wrong password")] * 1000
    worker = made(sink, **fields)
    task = asyncio.create_task(worker.run())
    put_all(worker, events)
    await eventually(lambda: worker.breaker.open)
    task.cancel()
    await asyncio.wait([task])
    return worker


async def replaced(old: SinkWorker, new: SinkWorker) -> int:
    lost = await old.drain(LONG, replaced=True)
    taken = new.take_over(old.hand_over())
    assert counts_hold(old)
    assert counts_hold(new)
    assert old.queued == old.at_risk == 0
    return taken if not lost else -lost


async def test_what_waits_for_a_destination_that_is_away_goes_to_the_new_sink_at_once_in_front_and_in_order() -> None:
    old = await away(updates(166))
    new = made(sink := MemorySink())
    put_all(new, updates(34, first=167))
    async with asyncio.timeout(LONG / 10):
        assert await replaced(old, new) == 166
    assert (old.received, old.delivered, sum(old.dropped.values())) == (0, 0, 0)
    async with at_work(new):
        await eventually(lambda: new.delivered == 200)
    assert sink.events == updates(200)


async def test_where_the_new_sink_is_durable_it_goes_to_its_spool(tmp_path: Path) -> None:
    old = await away(updates(208))
    new = made(sink := MemorySink(), spool=tmp_path)
    sink.open_errors = [failed()] * 1000
    assert await replaced(old, new) == 208
    task = asyncio.create_task(new.run())
    await eventually(lambda: new.at_risk == 0)
    task.cancel()
    await asyncio.wait([task])
    assert await new.drain(5) == 0
    # The process ends, and the next one finds them.
    later = made(sink := MemorySink(), spool=tmp_path)
    async with at_work(later):
        await eventually(lambda: later.delivered == 208)
    assert sink.events == updates(208)


async def test_what_a_durable_sink_has_on_the_disk_is_the_new_ones_anyway_and_comes_once(tmp_path: Path) -> None:
    sink = MemorySink()
    sink.before = lambda _: (_ for _ in ()).throw(failed())
    old = made(sink, spool=tmp_path)
    task = asyncio.create_task(old.run())
    put_all(old, updates(300))
    await eventually(lambda: old.at_risk == 0 and old.breaker.open)
    task.cancel()
    await asyncio.wait([task])
    assert await old.drain(LONG, replaced=True) == 0
    new = made(sink := MemorySink(), spool=tmp_path)
    assert new.take_over(old.hand_over()) == 0
    async with at_work(new):
        await eventually(lambda: new.delivered == 300)
    assert sink.events == updates(300)


async def test_what_a_full_disk_left_in_memory_goes_to_the_new_sink(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sink = MemorySink()
    sink.open_errors = [failed()] * 1000
    old = made(sink, spool=tmp_path / "file" / "no-folder")
    task = asyncio.create_task(old.run())
    put_all(old, updates(50))
    await eventually(lambda: old.spool_failure is not None and old.breaker.open)
    put_all(old, updates(50, first=51))
    task.cancel()
    await asyncio.wait([task])
    new = made(sink := MemorySink())
    assert await replaced(old, new) == 100
    async with at_work(new):
        await eventually(lambda: new.delivered == 100)
    assert sink.events == updates(100)


async def test_a_new_queue_keeps_its_bound_and_its_policy() -> None:
    old = await away(updates(50))
    new = made(MemorySink(), queue=QueueSettings(size=20))
    assert await replaced(old, new) == 50
    assert (new.queued, new.dropped["overflow"]) == (20, 30)


async def test_what_the_new_filter_does_not_want_is_not_taken_and_what_named_the_sink_is() -> None:
    ticks: list[Event] = [update(1, "AAPL"), update(2, "MSFT"), update(3, "AAPL")]
    old = await away([*ticks, alert(4), custom("my.signal")])
    sink = MemorySink()
    sink.carries = (PriceUpdate.event, PriceAlert.event)
    new = made(sink, events=(PriceUpdate.event,), symbols=("AAPL",))
    assert await replaced(old, new) == 3
    assert (new.received, old.received) == (3, 0)
    async with at_work(new):
        await eventually(lambda: new.delivered == 3)
    assert sink.events == [ticks[0], ticks[2], alert(4)]


async def test_one_that_works_delivers_what_waits_itself() -> None:
    old, new = made(sink := MemorySink()), made(MemorySink())
    put_all(old, updates(30))
    assert await replaced(old, new) == 0
    assert (old.delivered, new.received, sink.events) == (30, 0, updates(30))


async def test_of_one_that_works_what_it_refuses_is_lost_and_told_of() -> None:
    old, new = made(sink := MemorySink()), made(MemorySink())
    sink.before = lambda batch: (_ for _ in ()).throw(refused()) if update(2) in batch else None
    put_all(old, [update(1), update(2), update(3)])
    assert await replaced(old, new) == -1
    assert (old.delivered, old.dropped["refused"], new.received) == (2, 1, 0)


async def test_one_failure_at_the_end_is_enough_and_costs_nothing_of_a_schedule() -> None:
    old = made(sink := MemorySink(), retry=RetrySettings(delays=(), max_age=None))
    tried: list[int] = []

    def down(batch: Sequence[Event]) -> None:
        tried.append(len(batch))
        raise failed()

    sink.before = down
    put_all(old, updates(30))
    assert await replaced(old, made(MemorySink())) == 30
    assert tried == [30]


async def test_a_delivery_that_hangs_is_broken_off_at_the_end_of_its_time_and_made_by_the_new_sink() -> None:
    old, new = made(sink := MemorySink()), made(MemorySink())
    sink.before = lambda _: asyncio.get_running_loop().create_future()
    task = asyncio.create_task(old.run())
    put_all(old, updates(30))
    await eventually(lambda: old.breaker.under_way)
    assert await old.drain(0.05, replaced=True) == 0
    await asyncio.wait([task])
    assert new.take_over(old.hand_over()) == 30


@pytest.mark.parametrize(
    ("policy", "size", "left"),
    [("drop_oldest", 4, [3, 4, 5, 6]), ("drop_newest", 4, [1, 2, 3, 4]), ("conflate", 9, [3, 4, 6])],
)
def test_what_is_taken_over_waits_in_front_and_gives_way_by_the_policy(
    policy: Policy, size: int, left: list[int]
) -> None:
    old, new = make_queue("drop_oldest", 9), make_queue(policy, size)
    for event in [update(1, "A"), update(2, "B"), update(3, "A"), update(4, "C")]:
        old.put(event)
    old.take(1)
    old.give_back()
    for event in [update(5, "B"), update(6, "B")]:
        new.put(event)
    new.take_over(old.hand_over())
    assert (old.received, old.queued) == (0, 0)
    assert new.received == 6 == new.queued + sum(new.dropped.values())
    assert [event.number for event in new.take(9)] == left


def test_an_alert_that_is_taken_over_keeps_its_place_in_front_of_newer_prices() -> None:
    new = make_queue("drop_oldest", 2)
    put = [update(2), update(3)]
    for event in put:
        new.put(event)
    new.take_over([alert(1)])
    assert new.take(9) == [alert(1), update(3)]

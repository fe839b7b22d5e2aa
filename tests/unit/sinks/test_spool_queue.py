"""A durable sink: what came in is delivered once it can be, in order, whatever ends, refuses or is damaged meanwhile."""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricestreamd.model.events import Event
from pricestreamd.sinks.base import DestinationGone
from pricestreamd.sinks.delivery.breaker import STRIKES
from pricestreamd.sinks.delivery.courier import MOST_IN_A_ROW
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.outbox.lane import OutboxLane
from pricestreamd.sinks.settings import BatchSettings, QueueSettings, RetrySettings, SinkSettings
from pricestreamd.state.spool import LEAST_SEGMENT_BYTES, Spool
from tests.support.waiting import eventually
from tests.unit.sinks.outbox_samples import MemoryOutbox
from tests.unit.sinks.samples import MemorySink, alert, custom, failed, refused, update, updates

SIZE = 64 * 1024 * 1024
SOON = RetrySettings(delays=(0.0, 0.01), max_age=None, jitter=0)


def made(sink: MemorySink, folder: Path, size: int = SIZE, **fields: Any) -> SinkWorker:
    fields.setdefault("batch", BatchSettings(size=100, interval=0.0))
    fields.setdefault("retry", SOON)
    on_error = fields.pop("on_error", lambda *_: None)
    return SinkWorker(sink, SinkSettings(**fields), spool=Spool(folder, size, reserve=0), on_error=on_error)


def counts_hold(worker: SinkWorker) -> bool:
    return worker.received == worker.delivered + sum(worker.dropped.values()) + worker.queued


@contextlib.asynccontextmanager
async def running(worker: SinkWorker, drain: float = 5) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        await worker.drain(drain)
        task.cancel()
        await asyncio.wait([task])
        assert counts_hold(worker)


def offer_all(worker: SinkWorker, events: Sequence[Event]) -> None:
    for event in events:
        worker.offer(event)


async def test_events_go_through_the_spool_and_come_out_as_they_went_in(tmp_path: Path) -> None:
    worker = made(sink := MemorySink(), tmp_path)
    events = [*updates(300), alert(301), custom("my.signal", symbol="AAPL", text="é\n\x00")]
    async with running(worker):
        offer_all(worker, events)
        await eventually(lambda: worker.queued == 0)
        await eventually(lambda: acknowledged(tmp_path))
    assert sink.events == events
    assert (worker.received, worker.delivered) == (302, 302)


def acknowledged(folder: Path) -> bool:
    cursor = folder / "cursor"
    return cursor.exists() and any(cursor.read_bytes())


async def test_l1_what_a_dead_destination_did_not_take_is_taken_after_a_restart_in_order(tmp_path: Path) -> None:
    away = MemorySink()
    away.before = lambda _: (_ for _ in ()).throw(failed())
    first = made(away, tmp_path)
    task = asyncio.create_task(first.run())
    offer_all(first, updates(1200))
    await eventually(lambda: first.at_risk == 0 and first.queued == 1200)
    began = time.monotonic()
    assert await first.drain(5) == 0
    assert time.monotonic() - began < 2, "what is safe does not wait for who is not there"
    await task
    worker = made(sink := MemorySink(), tmp_path)
    async with running(worker):
        offer_all(worker, updates(100, first=1201))
        await eventually(lambda: worker.delivered == 1300)
    assert sink.events == updates(1300)
    assert worker.received == 1300


async def test_a_backlog_on_the_disk_and_what_comes_meanwhile_are_delivered_in_order(tmp_path: Path) -> None:
    worker = made(sink := MemorySink(), tmp_path, queue=QueueSettings(size=100_000))
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sink.before = lambda _: gate
    async with running(worker):
        offer_all(worker, updates(30_000))
        await eventually(lambda: worker.at_risk == 0)
        gate.set_result(None)
        for first in range(30_001, 32_001, 20):
            offer_all(worker, updates(20, first=first))
            await asyncio.sleep(0)
        await eventually(lambda: worker.delivered == 32_000, 20)
    assert [event.number for event in sink.events] == list(range(1, 32_001))


async def test_where_all_is_refused_little_is_given_up_and_the_rest_waits_for_somebody_to_mend_it(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    worker = made(sink := MemorySink(), tmp_path, on_error=lambda _name, error, lost: told.append(f"{lost} {error}"))
    sink.before = lambda _: (_ for _ in ()).throw(refused())
    async with running(worker):
        offer_all(worker, updates(300))
        # A pause takes half a minute, so what is looked at here stands still.
        await eventually(lambda: worker.breaker.failures)
        assert worker.dropped["refused"] == MOST_IN_A_ROW
        assert told == [
            f"{MOST_IN_A_ROW} not that",
            f"0 not that; {MOST_IN_A_ROW} in a row were refused: one more is given up every 30 s",
        ]
        # Nobody mends it: no event holds up the others for ever.
        await eventually(lambda: hurried(worker).dropped["refused"] == MOST_IN_A_ROW + 2)
        sink.before = None
        await eventually(lambda: hurried(worker).queued == 0)
        given_up = worker.dropped["refused"]
        assert given_up <= MOST_IN_A_ROW + 3
        assert worker.delivered == 300 - given_up
        # What was taken meanwhile begins the count anew.
        sink.before = lambda batch: (_ for _ in ()).throw(refused()) if batch[0].number <= 310 else None
        offer_all(worker, updates(20, first=301))
        await eventually(lambda: worker.queued == 0)
    assert worker.dropped["refused"] == given_up + 10
    assert [event.number for event in sink.events] == [*range(given_up + 1, 301), *range(311, 321)]


def hurried(worker: SinkWorker) -> SinkWorker:
    worker.try_now()
    return worker


async def test_s3_what_is_refused_is_kept_as_a_dead_letter_and_the_rest_is_delivered(tmp_path: Path) -> None:
    kept: list[tuple[list[Event], str, int]] = []

    async def keep(events: Sequence[Event], error: Exception, attempts: int) -> None:
        kept.append((list(events), str(error), attempts))

    worker = made(sink := MemorySink(), tmp_path)
    worker.keep_letters(keep, never)

    def picky(batch: Sequence[Event]) -> None:
        if any(event.number == 70 for event in batch):
            raise refused()

    sink.before = picky
    async with running(worker):
        offer_all(worker, updates(100))
        await eventually(lambda: worker.queued == 0)
    assert sink.events == [event for event in updates(100) if event.number != 70]
    assert [(event.number, error) for events, error, _ in kept for event in events] == [(70, "not that")]
    assert worker.dropped["refused"] == 1


async def never(event: Event, error: Exception, attempts: int) -> None:
    raise AssertionError(f"{event.id} is handed over")


class OneByOne(MemorySink):
    most_at_once = 1


async def test_one_event_that_is_never_taken_holds_up_the_others_for_a_moment_only(tmp_path: Path) -> None:
    outbox = MemoryOutbox()
    worker = made(sink := OneByOne(), tmp_path, retry=RetrySettings(delays=(0.0,) * 4 + (60.0,), max_age=None))
    lane = OutboxLane(worker, outbox)
    tries: list[int] = []

    def picky(batch: Sequence[Event]) -> None:
        if batch[0].number == 5:
            tries.append(5)
            raise failed("500")

    sink.before = picky
    delivering = asyncio.create_task(lane.run())
    async with running(worker):
        offer_all(worker, updates(20))
        await eventually(lambda: worker.delivered == 19)
        assert [event.number for event in sink.events] == [1, 2, 3, 4, 6, *range(7, 21)]
        assert len(tries) == STRIKES
        assert (worker.received, worker.queued) == (19, 0), "the lane has it now, and counts it"
        # There it has the rest of its schedule, beside the others.
        await eventually(lambda: len(tries) == STRIKES + 2)
        assert list(outbox.rows) == ["run-5"]
        sink.before = None
        lane.rescan()
        await eventually(lambda: not outbox.rows)
    assert [event.number for event in sink.events if event.number == 5] == [5]
    await lane.drain(1)
    await delivering


async def test_a_destination_that_is_away_uses_up_nothing_and_is_told_of_once(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    worker = made(
        sink := MemorySink(),
        tmp_path,
        retry=RetrySettings(delays=(0.0,), max_age=None),
        on_error=lambda _name, exc, lost: told.append((str(exc), lost)),
    )
    attempts: list[int] = []

    def away(batch: Sequence[Event]) -> None:
        attempts.append(len(batch))
        if len(attempts) < 10:
            raise failed()

    sink.before = away
    async with running(worker):
        offer_all(worker, updates(100))
        await eventually(lambda: worker.delivered == 100)
    assert sink.events == updates(100)
    assert sum(worker.dropped.values()) == 0
    assert [lost for _, lost in told] == [0, 0, 0]


async def test_a_destination_that_is_gone_gets_what_waits_when_somebody_asks_for_it(tmp_path: Path) -> None:
    worker = made(sink := MemorySink(), tmp_path)
    sink.before = lambda _: (_ for _ in ()).throw(DestinationGone("no more", sink="memory"))
    async with running(worker):
        offer_all(worker, updates(100))
        await eventually(lambda: worker.door.gone)
        assert worker.queued == 100
        sink.before = None
        worker.door.reopen()
        await eventually(lambda: worker.delivered == 100)
    assert sink.events == updates(100)


async def test_s10_a_full_spool_drops_its_oldest_counts_them_and_tells(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    size = LEAST_SEGMENT_BYTES * 16
    worker = made(sink := MemorySink(), tmp_path, size, on_error=lambda _name, exc, lost: told.append((str(exc), lost)))
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sink.before = lambda _: gate
    noise = [os.urandom(100).hex() for _ in range(12_000)]
    async with running(worker):
        for start in range(0, 12_000, 1000):
            offer_all(worker, [update(number, currency=noise[number]) for number in range(start, start + 1000)])
            await eventually(lambda: worker.at_risk == 0)
        assert sum(path.stat().st_size for path in tmp_path.glob("*.spool")) <= size
        lost = worker.dropped["spool_full"]
        assert lost > 0
        assert counts_hold(worker)
        gate.set_result(None)
        await eventually(lambda: worker.queued == 0)
        numbers = [event.number for event in sink.events]
        assert numbers == sorted(set(numbers))
        assert len(numbers) == 12_000 - lost
        assert numbers[-1] == 11_999
        await eventually(lambda: sum(each for _, each in told) == lost)
    assert all("the spool of sink memory is full" in text for text, _ in told)


async def test_s8_where_the_disk_refuses_events_are_delivered_from_memory_and_written_again_later(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    folder = tmp_path / "spool"
    folder.write_text("a file where the folder should be")
    worker = made(sink := MemorySink(), folder, on_error=lambda _name, exc, _lost: told.append(str(exc)))
    async with running(worker):
        offer_all(worker, updates(50))
        await eventually(lambda: worker.delivered == 50)
        assert worker.spool_failure
        assert len(told) == 1
        assert "delivered from memory" in told[0]
        folder.unlink()
        await eventually(lambda: worker.spool_failure is None, 5)
        offer_all(worker, updates(50, first=51))
        await eventually(lambda: worker.delivered == 100)
        assert worker.at_risk == 0
    assert sink.events == updates(100)


async def test_a_damaged_segment_costs_what_is_in_it_and_is_counted_and_told_of(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    worker = made(sink := MemorySink(), tmp_path, on_error=lambda _name, exc, lost: told.append((str(exc), lost)))
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sink.before = lambda _: gate
    async with running(worker):
        offer_all(worker, updates(9000))
        await eventually(lambda: worker.at_risk == 0)
        offer_all(worker, updates(9000, first=9001))
        await eventually(lambda: worker.at_risk == 0)
        (path,) = tmp_path.glob("*.spool")
        content = bytearray(path.read_bytes())
        content[-10] ^= 1
        path.write_bytes(content)
        gate.set_result(None)
        await eventually(lambda: worker.queued == 0)
    assert worker.dropped["corrupt"] > 0
    assert worker.delivered == 18_000 - worker.dropped["corrupt"]
    assert sum(lost for _, lost in told) == worker.dropped["corrupt"]
    assert any("put aside as" in text for text, _ in told)
    assert len(list(tmp_path.glob("*.corrupt-*"))) == 1


async def test_one_that_takes_over_waits_until_the_other_has_let_go(tmp_path: Path) -> None:
    old = made(before := MemorySink(), tmp_path)
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    before.before = lambda _: gate
    task = asyncio.create_task(old.run())
    offer_all(old, updates(100))
    await eventually(lambda: old.at_risk == 0 and old.queued == 100)
    new = made(sink := MemorySink(), tmp_path)
    async with running(new):
        offer_all(new, updates(100, first=101))
        await asyncio.sleep(0)
        assert await old.drain(0.2) == 0
        await asyncio.wait([task])
        await eventually(lambda: new.queued == 0 and new.received == 200)
    assert sink.events == updates(200)


# --- whatever happens


class Course:
    """A durable worker to which anything may happen, beside a list of what it must not lose."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.offered: list[int] = []
        self.committed: set[int] = set()
        self.seen: list[int] = []
        self.gone: set[int] = set()
        self.begin()

    def begin(self) -> None:
        self.sink = MemorySink()
        self.sink.before = self._before
        self.answer: Exception | None = None
        self.worker = made(self.sink, self.folder, queue=QueueSettings(size=10_000))
        self.task = asyncio.create_task(self.worker.run())

    def _before(self, batch: Sequence[Event]) -> None:
        if self.answer is not None:
            raise self.answer
        self.seen += [event.number for event in batch]

    async def offer(self, count: int) -> None:
        first = len(self.offered) + 1
        numbers = list(range(first, first + count))
        self.offered += numbers
        offer_all(self.worker, updates(count, first=first))

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def settle(self, _: int) -> None:
        await eventually(lambda: self.worker.at_risk == 0)
        self.committed = set(self.offered)

    async def away(self, _: int) -> None:
        self.answer = failed()

    async def back(self, _: int) -> None:
        self.answer = None

    async def cancel(self, _: int) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        self.task = asyncio.create_task(self.worker.run())

    async def restart(self, _: int) -> None:
        assert await self.worker.drain(2) == 0
        self.task.cancel()
        await asyncio.wait([self.task])
        self.committed = set(self.offered)
        self.begin()

    async def follow(self, happenings: list[tuple[str, int]]) -> None:
        for what, number in happenings:
            await getattr(self, what)(number)
            assert counts_hold(self.worker)
        self.answer = None
        await eventually(lambda: set(self.offered) <= set(self.seen))
        await eventually(lambda: self.worker.queued == 0)
        await self.worker.drain(2)
        self.task.cancel()
        await asyncio.wait([self.task])
        assert counts_hold(self.worker)
        first_seen = list(dict.fromkeys(self.seen))
        assert first_seen == self.offered, "nothing lost, and in order but for what came again"


HAPPENINGS = st.tuples(
    st.sampled_from(["offer", "offer", "turns", "settle", "away", "back", "cancel", "restart"]), st.integers(1, 30)
)


@settings(max_examples=12, deadline=None)
@given(happenings=st.lists(HAPPENINGS, max_size=12))
def test_nothing_that_was_committed_is_lost_and_every_event_is_counted_whatever_happens(
    happenings: list[tuple[str, int]],
) -> None:
    folder = Path(mkdtemp())

    async def whatever_happens() -> None:
        await Course(folder).follow(happenings)

    try:
        asyncio.run(whatever_happens())
    finally:
        shutil.rmtree(folder)


@pytest.mark.alone
async def test_s2_a_long_backlog_leaves_faster_than_ten_thousand_rows_a_second_while_live_rows_come(
    tmp_path: Path,
) -> None:
    sink = MemorySink()
    worker = made(sink, tmp_path, 256 * 1024 * 1024, queue=QueueSettings(size=50_000))
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sink.before = lambda _: gate
    async with running(worker):
        for first in range(1, 60_001, 1000):
            offer_all(worker, updates(1000, first=first))
            await asyncio.sleep(0.001)
        await eventually(lambda: worker.at_risk == 0)
        used = sum(path.stat().st_size for path in tmp_path.glob("*.spool"))
        assert used / 60_000 * 600_000 < 256 * 1024 * 1024
        began = time.monotonic()
        gate.set_result(None)
        live = 60_000
        while worker.delivered < 60_000:
            offer_all(worker, updates(10, first=live + 1))
            live += 10
            await asyncio.sleep(0.01)
        seconds = time.monotonic() - began
        await eventually(lambda: worker.queued == 0)
    assert [event.number for event in sink.events] == list(range(1, live + 1))
    assert 60_000 / seconds > 10_000

"""What a sink counts, both of its ways together: every event is in one place, and the metrics say so."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pricestreamd.daemon.outlets import SinkSums
from pricestreamd.daemon.sink_trouble import SinkTrouble
from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.events import Event, PriceError, Run
from pricestreamd.sinks.base import MOST_AT_ONCE, DestinationGone
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.outbox.lane import OutboxLane
from pricestreamd.sinks.settings import BatchSettings, RetrySettings, SinkSettings
from pricestreamd.state.spool import LEAST_SEGMENT_BYTES, Spool
from tests.support.waiting import eventually
from tests.unit.sinks.outbox_samples import MemoryOutbox
from tests.unit.sinks.samples import MemorySink, refused, update
from tests.unit.telemetry.daemon import Daemon
from tests.unit.telemetry.test_metrics import samples

ROOM = LEAST_SEGMENT_BYTES * 16
LAST = MOST_AT_ONCE + 1500


@asynccontextmanager
async def durable(sink: MemorySink, folder: Path, outbox: MemoryOutbox) -> AsyncIterator[SinkWorker]:
    settings = SinkSettings(
        durable=True,
        batch=BatchSettings(size=100, interval=0.0),
        retry=RetrySettings(delays=(0.0, 0.01), max_age=None, jitter=0),
    )
    worker = SinkWorker(sink, settings, spool=Spool(folder, ROOM, reserve=0))
    lane = OutboxLane(worker, outbox)
    tasks = [asyncio.create_task(worker.run()), asyncio.create_task(lane.run())]
    try:
        lane.put(outbox.commit("first"))
        yield worker
    finally:
        await asyncio.gather(lane.drain(5), worker.drain(5))
        await asyncio.wait(tasks)
        counts = SinkSums(worker, lane)
        shown = samples(Daemon(sinks={"memory": counts}))  # type: ignore[dict-item]  # the part itself in the place of a record
        dropped = {labels: value for (name, labels), value in shown.items() if name == "sink_dropped_total"}
        assert counts.received == counts.delivered + sum(counts.dropped.values()) + counts.queued
        assert shown["sink_delivered_total", ("memory",)] == counts.received - sum(dropped.values()) - counts.queued
        assert sum(dropped.values()) == sum(counts.dropped.values())


async def test_received_is_delivered_dropped_and_queued_with_what_a_spool_gave_up_too(tmp_path: Path) -> None:
    sink, outbox = MemorySink(), MemoryOutbox()
    sink.most_at_once = 100
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def hold(batch: Sequence[Event]) -> object:
        if any(event.number == LAST for event in batch):
            raise refused()
        return gate

    async with durable(sink, tmp_path, outbox) as worker:
        await eventually(lambda: sink.events)
        sink.before = hold
        # So many are in memory that they need not be read again; what comes after them fills the spool.
        await offered(worker, range(MOST_AT_ONCE), noise=0)
        for start in range(MOST_AT_ONCE, LAST + 1, 300):
            await offered(worker, range(start, min(start + 300, LAST + 1)), noise=300)
        _, damaged, *_ = sorted(tmp_path.glob("*.spool"))
        content = bytearray(damaged.read_bytes())
        content[len(content) // 2] ^= 1
        damaged.write_bytes(content)
        gate.set_result(None)
        await eventually(lambda: worker.queued == 0)
        lost = {reason: count for reason, count in worker.dropped.items() if count}
        assert set(lost) == {"spool_full", "corrupt", "refused"}
        assert lost["refused"] == 1
        assert (worker.received, worker.delivered) == (LAST + 1, LAST + 1 - sum(lost.values()))
        assert [row.event_id for row in outbox.rows.values()] == [update(LAST).id]


async def test_what_waits_in_a_spool_at_the_end_is_told_as_such(tmp_path: Path) -> None:
    sink, outbox = MemorySink(), MemoryOutbox()
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with durable(sink, tmp_path, outbox) as worker:
        await eventually(lambda: sink.events)
        sink.before = lambda _batch: gate
        await offered(worker, range(7), noise=0)
        assert str(SinkSums(worker, None)).endswith("left 7 (7 wait in its spool)")
        gate.set_result(None)
        await eventually(lambda: worker.queued == 0)
        assert str(SinkSums(worker, None)).endswith("left 0")


def test_that_a_destination_wants_nothing_more_is_told_with_what_starts_it_again() -> None:
    dispatcher = EventDispatcher(Run("run"))
    told: list[PriceError] = []
    dispatcher.on("price.error", told.append)
    SinkTrouble(dispatcher)("my hook", DestinationGone("example.org answered 410"), 2)
    (error,) = told
    assert error.severity == "critical"
    assert error.message == (
        "sink my hook: example.org answered 410; 2 events lost: "
        "pricestreamd outbox retry --sink 'my hook' starts it again"
    )


async def offered(worker: SinkWorker, numbers: range, *, noise: int) -> None:
    for number in numbers:
        worker.offer(update(number, currency=os.urandom(noise).hex()))
    await eventually(lambda: worker.at_risk == 0)

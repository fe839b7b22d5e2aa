"""Redis, PostgreSQL and NATS that go away, hang and refuse, rows S1, S3 and S7: real servers, real workers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.nats.sink import NatsSink
from pricestreamd.sinks.postgres.sink import PostgresSink
from pricestreamd.sinks.settings import (
    BatchSettings,
    NatsSinkSettings,
    PostgresSinkSettings,
    RetrySettings,
)
from tests.soak.outages import alerting, at_work, redis_away
from tests.support.nats_server import NatsServer
from tests.support.postgres import PostgresServer
from tests.support.relay import Relay
from tests.support.waiting import eventually
from tests.unit.sinks.samples import update, updates

SOON = BatchSettings(size=100, interval=0.05)
QUICKLY = RetrySettings(delays=(0.1, 0.2), jitter=0, max_age=60.0)
OUTAGE_SECONDS = 5.0


@pytest.mark.parametrize("fault", ["down", "frozen"])
async def test_s1_when_redis_is_back_the_latest_prices_are_there_within_two_seconds_and_none_older(fault: str) -> None:
    found = await redis_away(fault, OUTAGE_SECONDS)
    assert not found.broken, found


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


async def test_s3_of_a_batch_with_one_row_that_is_refused_the_rest_is_committed(postgres: PostgresServer) -> None:
    settings = PostgresSinkSettings(url=Secret(postgres.url), batch=SOON, retry=QUICKLY)
    sink = PostgresSink("db", settings)
    await sink.open()
    postgres.execute("ALTER TABLE prices ADD CHECK (symbol <> 'POISON')")
    async with at_work(sink, settings) as worker:
        events: list[Event] = [*updates(700), update(701, "POISON"), *updates(299, first=702)]
        for event in events:
            worker.offer(event)
        await eventually(lambda: worker.queued == 0)
        assert worker.delivered == 999
        assert {reason: lost for reason, lost in worker.dropped.items() if lost} == {"refused": 1}
    found = postgres.execute("SELECT string_agg(sequence::text, ' ' ORDER BY id) FROM prices")
    assert [int(word) for word in found.split()] == [*range(1, 701), *range(702, 1001)]
    postgres.execute("DROP TABLE prices")


async def test_s2_rows_of_an_outage_are_there_once_and_in_order_when_the_database_is_back(
    postgres: PostgresServer,
) -> None:
    settings = PostgresSinkSettings(url=Secret(postgres.url), batch=SOON, retry=QUICKLY)
    async with at_work(PostgresSink("db", settings, deadline=1.0), settings) as worker:
        for first in range(1, 9000, 1000):
            for event in updates(1000, first=first):
                worker.offer(event)
            await asyncio.sleep(0.05)
            if first == 2001:
                postgres.kill()
            if first == 4001:
                postgres.start()
            if first == 6001:
                postgres.freeze()
            if first == 8001:
                await asyncio.sleep(1.5)
                postgres.thaw()
        await eventually(lambda: worker.queued == 0, timeout=20)
        assert worker.delivered == worker.received == 9000
    assert postgres.execute("SELECT count(*), min(sequence), max(sequence) FROM prices") == "9000|1|9000"
    order = "SELECT bool_and(sequence >= before) FROM (SELECT sequence, lag(sequence) OVER (ORDER BY id) AS before"
    assert postgres.execute(f"{order} FROM prices) AS rows") == "t"
    postgres.execute("DROP TABLE prices")


async def test_s2_a_frozen_database_holds_up_no_drain(postgres: PostgresServer) -> None:
    settings = PostgresSinkSettings(url=Secret(postgres.url), batch=SOON)
    worker = SinkWorker(PostgresSink("db", settings), settings)
    task = asyncio.create_task(worker.run())
    worker.offer(update(1))
    await eventually(lambda: worker.delivered == 1)
    postgres.freeze()
    try:
        for event in updates(2000, first=2):
            worker.offer(event)
        await asyncio.sleep(0.2)
        began = time.monotonic()
        assert await worker.drain(1.0) == 2000
        assert time.monotonic() - began < 2.0
        await asyncio.wait([task])
    finally:
        postgres.thaw()
    assert worker.received == worker.delivered + sum(worker.dropped.values()) + worker.queued


async def test_s7_an_alert_waits_for_nats_and_comes_again_under_its_id_when_the_window_has_passed(
    tmp_path: Path,
) -> None:
    with NatsServer() as server:
        server.add_stream("alerts", duplicate_window=0.2)
        async with Relay(server.port) as relay:
            url = Secret(f"nats://127.0.0.1:{relay.port}")
            settings = NatsSinkSettings(url=url, prefix="alerts", retry=RetrySettings(delays=(1.0,), jitter=0))
            told: list[Exception] = []
            async with alerting(NatsSink("bus", settings, deadline=0.5), settings, tmp_path, told.append) as alerts:
                lane = alerts.lane
                await alerts.fire("first")
                await eventually(lambda: lane.delivered == 1)
                # What is published is kept, and the acknowledgement does not come through.
                relay.hold(answers=True)
                await alerts.fire("second")
                await eventually(lambda: told)
                server.kill()
                await alerts.fire("third")
                await asyncio.sleep(0.5)  # the outage, longer than the window
                assert lane.delivered == 1
                server.start()
                relay.release()
                await eventually(lambda: lane.delivered == 3, timeout=10)
        assert all(isinstance(error, SinkError) and error.transient for error in told)
        found = Counter(message.id for message in server.messages("alerts"))
        # A reader tells the second copy by its id.
        assert found == {"first": 1, "second": 2, "third": 1}

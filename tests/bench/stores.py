"""What a sink brings to a server, from the queue to the last answer, against the bulk loop of its own library.

The library gets its values ready-made and does nothing but send them. Rounds in turn, in one process, over one kind of
server: the ratio counts.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types
from nats.aio.client import Client
from redis.asyncio import Redis

from pricestreamd.model.events import Event, to_json
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.base import Sink
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.nats.sink import NatsSink
from pricestreamd.sinks.postgres.rows import COLUMNS
from pricestreamd.sinks.postgres.sink import PostgresSink
from pricestreamd.sinks.redis.sink import RedisSink
from pricestreamd.sinks.settings import (
    BatchSettings,
    NatsSinkSettings,
    PostgresSinkSettings,
    QueueSettings,
    RedisSinkSettings,
    RedisStreamSettings,
    SinkSettings,
)
from tests.support.nats_server import NatsServer
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from tests.unit.sinks.samples import update

BATCH = 5000
BATCHES = 4
ROWS = BATCH * BATCHES
TARGET = "goal 0.7"

Row = Callable[[str, str, str], None]
Measure = Callable[[Sequence[Any]], Awaitable[float]]


class Numbers:
    """Events that were never there before: a fresh lot at each call."""

    def __init__(self, symbols: int) -> None:
        self.symbols = symbols
        self.next = 1

    def __call__(self) -> list[Any]:
        first, self.next = self.next, self.next + ROWS
        return [update(n, f"SYM{n % self.symbols}", 100 + n % 997 / 8) for n in range(first, self.next)]


async def through_the_worker(sink: Sink, events: Sequence[Event]) -> float:
    """Seconds from the first `offer` until the sink has taken everything."""
    settings = SinkSettings(queue=QueueSettings(size=ROWS), batch=BatchSettings(size=100, interval=0.01))
    worker = SinkWorker(sink, settings)
    await sink.open()
    began = time.perf_counter()
    for event in events:
        worker.offer(event)
    task = asyncio.create_task(worker.run())
    while worker.delivered < ROWS:
        await asyncio.sleep(0.001)
    seconds = time.perf_counter() - began
    await worker.drain(5)
    await task
    return seconds


async def in_turn(rounds: int, numbers: Numbers, measures: Mapping[str, Measure]) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(await measure(numbers()))
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def told(row: Row, what: str, found: Mapping[str, float]) -> None:
    ours, *others = found.items()
    for name, seconds in others:
        speeds = f"{what}: {ROWS / ours[1]:,.0f}/s, {name} {ROWS / seconds:,.0f}/s"
        row(speeds, f"{seconds / ours[1]:.2f} x", TARGET)


async def redis(rounds: int, row: Row) -> None:
    with RedisServer() as server:
        url = Secret(server.url)
        client = Redis.from_url(server.url)

        async def pipelined(commands: Sequence[tuple[Any, ...]]) -> float:
            began = time.perf_counter()
            for start in range(0, ROWS, BATCH):
                pipeline = client.pipeline(transaction=False)
                for command in commands[start : start + BATCH]:
                    pipeline.execute_command(*command)
                await pipeline.execute()
            return time.perf_counter() - began

        async def last(events: Sequence[Any]) -> float:
            return await pipelined([("SETEX", f"price:last:{e.symbol}", 300, repr(e.price)) for e in events])

        async def stream(events: Sequence[Any]) -> float:
            return await pipelined([("XADD", "ev", "MAXLEN", "~", 10_000, "*", "json", to_json(e)) for e in events])

        async def ours(events: Sequence[Any]) -> float:
            return await through_the_worker(RedisSink("cache", RedisSinkSettings(url=url)), events)

        async def ours_stream(events: Sequence[Any]) -> float:
            settings = RedisSinkSettings(url=url, stream=RedisStreamSettings(key="events"))
            return await through_the_worker(RedisSink("cache", settings), events)

        async with client:
            # Each event of a symbol of its own: nothing is conflated, every one is a SETEX.
            told(row, "redis, SETEX", await in_turn(rounds, Numbers(ROWS), {"ours": ours, "pipeline": last}))
            # A SETEX a symbol, and an XADD an event.
            told(row, "redis, XADD", await in_turn(rounds, Numbers(1000), {"ours": ours_stream, "pipeline": stream}))


async def postgres(rounds: int, row: Row) -> None:
    with PostgresServer() as server:
        sink = PostgresSink("db", PostgresSinkSettings(url=Secret(server.url)))
        await sink.open()
        await sink.close()
        connection = await asyncpg.connect(server.url)
        await connection.execute("CREATE TABLE plain (LIKE prices INCLUDING ALL)")
        await connection.execute("CREATE TABLE merged (LIKE prices INCLUDING ALL)")
        columns = ", ".join(COLUMNS)

        def records(events: Sequence[Any]) -> list[tuple[Any, ...]]:
            moment = datetime.fromtimestamp
            return [
                (e.symbol, moment(e.timestamp, UTC), moment(e.received_at, UTC), e.price, e.volume, e.feed, e.sequence)
                for e in events
            ]

        async def ours(events: Sequence[Any]) -> float:
            made = PostgresSink("db", PostgresSinkSettings(url=Secret(server.url)))
            return await through_the_worker(made, events)

        async def copied(events: Sequence[Any]) -> float:
            rows = records(events)
            began = time.perf_counter()
            for start in range(0, ROWS, BATCH):
                await connection.copy_records_to_table("plain", records=rows[start : start + BATCH], columns=COLUMNS)
            return time.perf_counter() - began

        async def staged(events: Sequence[Any]) -> float:
            rows = records(events)
            began = time.perf_counter()
            for start in range(0, ROWS, BATCH):
                async with connection.transaction():
                    await connection.execute(
                        f"CREATE TEMP TABLE staging ON COMMIT DROP AS SELECT {columns} FROM merged LIMIT 0"
                    )
                    part = rows[start : start + BATCH]
                    await connection.copy_records_to_table("staging", records=part, columns=COLUMNS)
                    await connection.execute(
                        f"INSERT INTO merged ({columns}) SELECT {columns} FROM staging ON CONFLICT DO NOTHING"
                    )
            return time.perf_counter() - began

        measures = {"ours": ours, "COPY of records": copied, "COPY, staging, INSERT": staged}
        told(row, "postgres", await in_turn(rounds, Numbers(1000), measures))
        await connection.close()


async def nats(rounds: int, row: Row) -> None:
    with NatsServer() as server:
        server.add_stream("bench", max_msgs=ROWS)
        client = Client()
        await client.connect(server.url)
        context = client.jetstream(publish_async_max_pending=1000)
        numbers = iter(range(10**9))

        async def ours(events: Sequence[Any]) -> float:
            made = NatsSink("bus", NatsSinkSettings(url=Secret(server.url), prefix="bench"))
            return await through_the_worker(made, events)

        async def published(events: Sequence[Any]) -> float:
            messages = [
                (f"bench.price.update.{e.symbol}", to_json(e), {"Nats-Msg-Id": f"own-{next(numbers)}"}) for e in events
            ]
            began = time.perf_counter()
            for start in range(0, ROWS, BATCH):
                part = messages[start : start + BATCH]
                await asyncio.gather(*[await context.publish_async(s, b, headers=h) for s, b, h in part])
            return time.perf_counter() - began

        told(row, "nats", await in_turn(rounds, Numbers(1000), {"ours": ours, "publish_async": published}))
        await client.close()


def stores(rounds: int, row: Row) -> None:
    for part in (redis, postgres, nats):
        asyncio.run(part(rounds, row))

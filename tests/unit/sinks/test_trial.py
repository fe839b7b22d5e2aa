"""A sink tried out: nothing that could be taken for a price, and nothing that changes how it is."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

import pytest

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import CustomEvent
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.base import DestinationGone
from pricestreamd.sinks.delivery.door import Door
from pricestreamd.sinks.postgres.sink import PostgresSink
from pricestreamd.sinks.redis.sink import RedisSink
from pricestreamd.sinks.settings import PostgresSinkSettings, RedisSinkSettings, RedisStreamSettings, SqliteSinkSettings
from pricestreamd.sinks.sqlite import SqliteSink
from pricestreamd.sinks.trial import Trial, trial_of, try_out
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tests.unit.sinks.samples import MemorySink, alert, failed, update, updates

TEST = CustomEvent("run", 7, 1_700_000_000.0, "test", MappingProxyType({"sink": "memory"}))


class PricesOnly(MemorySink):
    """Takes no other event, and cannot be asked."""

    carries = ("price.update",)


class Asked(PricesOnly):
    """Can be asked."""

    asked = 0

    async def probe(self) -> None:
        self.asked += 1


@pytest.mark.parametrize(
    ("sink", "kind", "call", "trial"),
    [
        (MemorySink(), "webhook", False, "event"),
        (MemorySink(), "call", False, "opened"),
        (MemorySink(), "call", True, "event"),
        (Asked(), "sqlite", False, "asked"),
        (PricesOnly(), "ours", True, "opened"),
    ],
)
async def test_what_a_trial_is_depends_on_what_the_sink_takes(
    sink: MemorySink, kind: str, call: bool, trial: Trial
) -> None:
    assert trial_of(sink, kind, call=call) == trial
    await try_out(sink, trial, TEST)
    assert sink.is_open
    assert sink.events == ([TEST] if trial == "event" else [])
    assert getattr(sink, "asked", 0) == (trial == "asked")


async def test_an_alert_does_not_wait_for_a_trial_that_hangs_and_the_trial_is_made_again() -> None:
    door = Door(sink := MemorySink(), patience=0.01)
    hold = asyncio.Event()
    sink.before = lambda batch: hold.wait() if batch == [TEST] else None
    trying = asyncio.create_task(door.try_out(lambda each: try_out(each, "event", TEST)))
    await eventually(lambda: sink.is_open)
    await asyncio.wait_for(door.deliver_durable("lane", alert()), 5)
    assert sink.events == [alert()]
    hold.set()
    await asyncio.wait_for(trying, 5)
    assert sink.events == [alert(), TEST]


async def test_a_trial_passes_a_door_that_is_shut_and_leaves_it_so() -> None:
    door = Door(sink := MemorySink())
    door.gone = gone = DestinationGone("410")
    await door.try_out(lambda each: try_out(each, "event", TEST))
    assert sink.events == [TEST]
    with pytest.raises(DestinationGone):
        await door.deliver(updates(1))
    assert door.gone is gone


@pytest.mark.parametrize("error", [failed(), DestinationGone("410"), ValueError("a bug")])
async def test_that_a_trial_fails_counts_for_nothing(error: Exception) -> None:
    door = Door(sink := MemorySink())

    def fail(_batch: object) -> None:
        raise error

    sink.before = fail
    with pytest.raises(type(error)):
        await door.try_out(lambda each: try_out(each, "event", TEST))
    assert (door.gone, door.breaker.failures, door.standing.last_error) == (None, 0, None)


# --- sinks that take prices only


async def test_sqlite_is_asked_for_its_lock_and_its_table_and_keeps_no_row(tmp_path: Path) -> None:
    sink = SqliteSink("db", SqliteSinkSettings(path=tmp_path / "p.db"), busy_seconds=0.05)
    await sink.deliver([update(1)])
    with closing(sqlite3.connect(tmp_path / "p.db", isolation_level=None)) as database:
        await try_out(sink, "asked", TEST)
        assert database.execute("SELECT count(*) FROM prices").fetchone() == (1,)
        database.execute("BEGIN IMMEDIATE")
        with pytest.raises(SinkError, match="locked"):
            await sink.probe()
        database.execute("ROLLBACK")
        await sink.probe()
        database.execute("DROP TABLE prices")
        with pytest.raises(SinkError, match="no such table"):
            await sink.probe()
    await sink.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


async def test_postgres_is_asked_for_all_that_a_row_needs_and_keeps_none(postgres: PostgresServer) -> None:
    sink = PostgresSink("db", PostgresSinkSettings(url=Secret(postgres.url)))
    await sink.deliver([update(1)])
    await try_out(sink, "asked", TEST)
    await sink.deliver([update(2)])
    assert postgres.execute("SELECT string_agg(id::text, ',') FROM prices").strip() == "1,2"
    await sink.close()
    only_reads = f"{postgres.url}?options=-cdefault_transaction_read_only%3Don"
    standby = PostgresSink("db", PostgresSinkSettings(url=Secret(only_reads)))
    with pytest.raises(SinkError, match="read-only"):
        await try_out(standby, "asked", TEST)
    await standby.close()


async def test_redis_is_asked_for_all_that_a_price_needs_or_gets_the_event_in_its_stream() -> None:
    with RedisServer() as server:
        sink = RedisSink("cache", RedisSinkSettings(url=Secret(server.url)))
        assert trial_of(sink, "redis", call=False) == "asked"
        await try_out(sink, "asked", TEST)
        assert server.ask("DBSIZE") == 0
        server.fill()
        with pytest.raises(SinkError, match="maxmemory"):
            await sink.probe()
        server.empty()
        server.ask("ACL", "SETUSER", "reader", "on", ">pass", "~*", "+@read", "+@connection")
        reading = RedisSink("cache", RedisSinkSettings(url=Secret(server.url.replace("//", "//reader:pass@"))))
        with pytest.raises(SinkError, match=r"setex.*ACL SETUSER"):
            await reading.probe()
        await reading.close()
        stream = RedisSinkSettings(url=Secret(server.url), stream=RedisStreamSettings(key="events"))
        streaming = RedisSink("cache", stream)
        assert trial_of(streaming, "redis", call=False) == "event"
        await try_out(streaming, "event", TEST)
        await streaming.close()
        server.stop()
        with pytest.raises(SinkError, match=f"127.0.0.1:{server.port}"):
            await sink.probe()
        await sink.close()

"""What every sink must do. One class a sink says how to make it, read it, break it and hang it.

Each test is a MUST of `docs/sinks.md`, which names it.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event
from pricestreamd.sinks import catalogue
from pricestreamd.sinks.base import Sink
from pricestreamd.sinks.call import CallSink
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.file import FileSink
from pricestreamd.sinks.log import LogSink
from pricestreamd.sinks.settings import (
    CallSinkSettings,
    FileSinkSettings,
    LogBatchSettings,
    LogSinkSettings,
    RetrySettings,
    SqliteSinkSettings,
)
from pricestreamd.sinks.sqlite import SqliteSink
from pricestreamd.state.spool import Spool
from tests.conformance import called
from tests.conformance.receivers import NotifyCase, WebhookCase
from tests.conformance.stores import STORES, StoreCase
from tests.support.full_pipe import full_pipe
from tests.support.waiting import eventually
from tests.unit.sinks.samples import update, updates

Told = list[tuple[str, float, int]]


def told(events: Sequence[Event]) -> Told:
    """What must come out of any sink: symbol, price and sequence, in order."""
    return [(event["symbol"], event["price"], event["sequence"]) for event in events]


class LogCase:
    kind = "log"

    def __init__(self, folder: Path) -> None:
        self.records: list[logging.LogRecord] = []
        self.handler = logging.Handler()
        self.handler.emit = self.records.append  # type: ignore[assignment,method-assign]
        self.logger = logging.getLogger("pricestreamd.events")
        self.logger.addHandler(self.handler)
        self.logger.setLevel(logging.INFO)

    def end(self) -> None:
        self.logger.removeHandler(self.handler)
        self.logger.setLevel(logging.NOTSET)

    def sink(self) -> Sink:
        return LogSink("log", LogSinkSettings())

    def read(self) -> Told:
        found: list[dict[str, Any]] = [vars(record) for record in self.records]
        return [(fields["symbol"], fields["price"], fields["sequence"]) for fields in found]


class FileCase:
    kind = "file"
    exactly_once = False

    def __init__(self, folder: Path) -> None:
        self.path = folder / "made" / "events.jsonl"

    def end(self) -> None:
        pass

    def sink(self) -> Sink:
        return FileSink("file", FileSinkSettings(path=self.path))

    def read(self) -> Told:
        return told([json.loads(line) for line in self.path.read_bytes().splitlines()])

    @contextlib.contextmanager
    def broken(self) -> Iterator[None]:
        aside = self.path.parent.with_name("aside")
        self.path.parent.rename(aside)
        self.path.parent.write_text("a file where the folder was")
        yield
        self.path.parent.unlink()
        aside.rename(self.path.parent)

    @contextlib.contextmanager
    def hanging(self) -> Iterator[Callable[[], object]]:
        self.path.parent.mkdir()
        with full_pipe(self.path) as release:
            yield release


class SqliteCase:
    kind = "sqlite"
    exactly_once = True

    def __init__(self, folder: Path) -> None:
        self.path = folder / "made" / "prices.db"
        self.busy_seconds = 0.05

    def end(self) -> None:
        pass

    def sink(self) -> Sink:
        return SqliteSink("sqlite", SqliteSinkSettings(path=self.path), busy_seconds=self.busy_seconds)

    def read(self) -> Told:
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT symbol, price, sequence FROM prices ORDER BY id").fetchall()

    @contextlib.contextmanager
    def broken(self) -> Iterator[None]:
        with self._locked() as connection:
            yield
            connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def hanging(self) -> Iterator[Callable[[], object]]:
        self.busy_seconds = 30
        self.path.parent.mkdir()
        with self._locked() as connection:
            yield lambda: connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            yield connection


class CallCase:
    kind = "call"
    exactly_once = False

    def __init__(self, folder: Path) -> None:
        called.kept.clear()

    def end(self) -> None:
        called.flowing.set()
        called.failing.clear()

    def sink(self) -> Sink:
        return CallSink("call", CallSinkSettings(call="tests.conformance.called:keep"))

    def read(self) -> Told:
        return told(called.kept)

    @contextlib.contextmanager
    def broken(self) -> Iterator[None]:
        called.failing.set()
        yield
        called.failing.clear()

    @contextlib.contextmanager
    def hanging(self) -> Iterator[Callable[[], object]]:
        called.flowing.clear()
        yield called.flowing.set
        called.flowing.set()


Case = LogCase | FileCase | SqliteCase | WebhookCase | NotifyCase | CallCase | StoreCase
FallibleCase = FileCase | SqliteCase | WebhookCase | NotifyCase | CallCase | StoreCase
FALLIBLE = (FileCase, SqliteCase, WebhookCase, NotifyCase, CallCase, *STORES)
CASES = (LogCase, *FALLIBLE)


@pytest.fixture(params=CASES, ids=lambda kind: kind.kind)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    made: Case = request.param(tmp_path)
    yield made
    made.end()


@pytest.fixture(params=FALLIBLE, ids=lambda kind: kind.kind)
def fallible(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FallibleCase]:
    made: FallibleCase = request.param(tmp_path)
    yield made
    made.end()


def test_every_built_sink_is_in_this_suite() -> None:
    assert set(catalogue.TYPES) == {case.kind for case in CASES}


async def test_open_makes_what_is_missing_and_may_be_called_again(case: Case) -> None:
    sink = case.sink()
    await sink.open()
    await sink.open()
    await sink.deliver(updates(1))
    await sink.close()
    assert case.read() == told(updates(1))


async def test_a_batch_arrives_whole_and_in_order(case: Case) -> None:
    sink = case.sink()
    await sink.open()
    for batch in (updates(1), updates(100, first=2), updates(1134 if sink.most_at_once > 1 else 34, first=102)):
        await sink.deliver(batch)
        assert case.read() == told(updates(batch[-1].number))
    await sink.close()


async def test_an_empty_batch_does_nothing(case: Case) -> None:
    sink = case.sink()
    await sink.open()
    await sink.deliver([])
    await sink.close()
    assert case.read() == []


async def test_the_batch_stays_the_workers(case: Case) -> None:
    sink = case.sink()
    batch = updates(10)
    await sink.open()
    await sink.deliver(batch)
    await sink.close()
    assert batch == updates(10)


@pytest.mark.parametrize(
    "symbol", ["a\nb", "a\tb", 'x"y', "x'; DROP TABLE prices; --", "%s %(x)d", "\u2028", "é€𝄞", "\x00", "\\", "{}", ""]
)
async def test_strange_text_comes_out_as_it_went_in(case: Case, symbol: str) -> None:
    sink = case.sink()
    await sink.open()
    if symbol in getattr(case, "cannot_hold", ()):
        with pytest.raises(SinkError) as caught:
            await sink.deliver([update(1, symbol)])
        assert not caught.value.transient
        assert case.read() == []
    else:
        await sink.deliver([update(1, symbol)])
        shown: Callable[[str], str] = getattr(case, "as_read", str)
        assert case.read() == [(shown(symbol), 200.35, 1)]
    await sink.close()


async def test_close_needs_no_open_may_be_called_again_and_is_not_the_end(case: Case) -> None:
    await case.sink().close()
    sink = case.sink()
    for turn in (1, 2):
        await sink.open()
        await sink.deliver(updates(1, first=turn))
        await sink.close()
        await sink.close()
    assert case.read() == told(updates(2))


async def test_nothing_is_left_running_after_close(case: Case) -> None:
    before = set(threading.enumerate())
    sink = case.sink()
    await sink.open()
    await sink.deliver(updates(1))
    await sink.close()
    await eventually(lambda: set(threading.enumerate()) <= before)


async def test_through_a_worker_every_event_arrives(case: Case) -> None:
    sink = case.sink()
    count = 1000 if sink.most_at_once > 1 else 100
    settings = LogSinkSettings(events=("*",), batch=LogBatchSettings(size=50, interval=0.01))
    worker = SinkWorker(sink, settings)
    task = asyncio.create_task(worker.run())
    for number, event in enumerate(updates(count)):
        worker.offer(event)
        if not number % 64:
            await asyncio.sleep(0)
    assert await worker.drain(10) == 0
    await task
    assert (worker.received, worker.delivered, worker.queued) == (count, count, 0)
    assert case.read() == told(updates(count))


async def test_a_failure_is_a_sink_error_that_names_the_sink_and_is_worth_another_attempt(
    fallible: FallibleCase,
) -> None:
    sink = fallible.sink()
    await sink.open()
    with fallible.broken():
        with pytest.raises(SinkError) as caught:
            await sink.deliver(updates(3))
        assert caught.value.transient
        assert caught.value.sink == sink.name
        assert caught.value.__cause__ is not None
    await sink.close()


async def test_a_failed_batch_leaves_nothing_and_arrives_once_when_the_cause_is_gone(fallible: FallibleCase) -> None:
    sink = fallible.sink()
    await sink.open()
    await sink.deliver(updates(2))
    with fallible.broken():
        for _ in range(3):
            with pytest.raises(SinkError):
                await sink.deliver(updates(3, first=3))
    assert fallible.read() == told(updates(2))
    await sink.deliver(updates(3, first=3))
    await sink.close()
    assert fallible.read() == told(updates(5))


async def test_a_destination_that_hangs_does_not_hold_up_the_loop(fallible: FallibleCase) -> None:
    with fallible.hanging() as release:
        sink = fallible.sink()

        async def deliver() -> None:
            await sink.open()
            await sink.deliver(updates(1))

        hanging = asyncio.create_task(deliver())
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert not hanging.done()
        release()
        await hanging
        await sink.close()


async def test_a_delivery_cancelled_at_any_point_may_be_made_again(fallible: FallibleCase) -> None:
    sink = fallible.sink()
    size = 200 if sink.most_at_once > 1 else 10
    await sink.open()
    for turns in range(20):
        batch = updates(size, first=turns * size + 1)
        delivery = asyncio.create_task(sink.deliver(batch))
        for _ in range(turns):
            await asyncio.sleep(0)
        delivery.cancel()
        await asyncio.wait([delivery])
        await sink.deliver(batch)
    await sink.close()
    found = fallible.read()
    if fallible.exactly_once:
        assert found == told(updates(20 * size))
    else:
        assert list(dict.fromkeys(found)) == told(updates(20 * size))


async def test_through_a_spool_everything_arrives_in_order_after_an_outage_and_a_restart(
    fallible: FallibleCase, tmp_path: Path
) -> None:
    settings = LogSinkSettings(
        events=("*",), batch=LogBatchSettings(size=50, interval=0.01), retry=RetrySettings(delays=(0.01, 0.05))
    )

    def worker() -> SinkWorker:
        return SinkWorker(fallible.sink(), settings, spool=Spool(tmp_path / "spool", 2**24, reserve=0))

    first = worker()
    task = asyncio.create_task(first.run())
    for event in updates(20):
        first.offer(event)
    await eventually(lambda: first.delivered == 20, 10)
    with fallible.broken():
        for event in updates(40, first=21):
            first.offer(event)
        await eventually(lambda: first.breaker.open and not first.at_risk, 10)
        assert await first.drain(5) == 0
        await task
    second = worker()
    for event in updates(20, first=61):
        second.offer(event)
    task = asyncio.create_task(second.run())
    await eventually(lambda: second.delivered == 60, 10)
    assert await second.drain(5) == 0
    await task
    found = fallible.read()
    assert list(dict.fromkeys(found)) == told(updates(80))
    if fallible.exactly_once:
        assert found == told(updates(80))

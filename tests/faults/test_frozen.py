"""A frozen sink in the midst of others: how long an event takes from its receipt to each of them, with and without."""

import asyncio
import contextlib
import math
import sqlite3
import statistics
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.events import Event, Run
from pricestreamd.sinks.base import Sink
from pricestreamd.sinks.settings import BatchSettings, RetrySettings, SinkSettings
from pricestreamd.sinks.worker import SinkWorker
from pricestreamd.state.spool import Spool
from tests.conformance.test_sinks import FileCase, SqliteCase, WebhookCase
from tests.unit.sinks.samples import update

RATE = 500
SECONDS = 1.0
ROUNDS = 3


class Timed:
    """A sink that notes how long each event took from its receipt until it was delivered, in seconds."""

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink = sink
        self.name = name
        self.carries = sink.carries
        self.most_at_once = sink.most_at_once
        self.concurrent = sink.concurrent
        self.open = sink.open
        self.close = sink.close
        self.took: list[float] = []

    async def deliver(self, batch: Sequence[Event]) -> None:
        await self._sink.deliver(batch)
        now = asyncio.get_running_loop().time()
        self.took += [now - event.received_at for event in batch]  # type: ignore[attr-defined]  # price.update only


def p99(values: list[float]) -> float:
    return sorted(values)[math.ceil(len(values) * 0.99) - 1]


class Pipe(FileCase):
    """A file that is a pipe: its reader stops reading."""

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        with self.hanging() as release:
            yield
            release()


class Locked(SqliteCase):
    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        self.busy_seconds = 30
        self.path.parent.mkdir(exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")


class Stopped(WebhookCase):
    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        with self.hanging():
            yield


@contextlib.asynccontextmanager
async def at_work(workers: list[SinkWorker], dispatcher: EventDispatcher) -> AsyncIterator[None]:
    for worker in workers:
        for pattern in worker.patterns:
            dispatcher.attach(pattern, worker.offer, name=worker.name)
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    yield
    for worker in workers:
        await worker.drain(0.2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def stream(dispatcher: EventDispatcher) -> None:
    loop = asyncio.get_running_loop()
    began, sent = loop.time(), 0
    while (passed := loop.time() - began) < SECONDS:
        while sent < passed * RATE:
            sent += 1
            dispatcher.dispatch(update(sent, f"SYM{sent % 7}", received_at=loop.time()))
        await asyncio.sleep(0.001)


async def measured(folder: Path, frozen: AbstractContextManager[None] | None, made: Sink, *, durable: bool) -> float:
    """The p99 of the two others, in seconds, while the sink `made` is at work beside them, frozen or not."""
    folder.mkdir()
    settings = SinkSettings(batch=BatchSettings(size=50, interval=0.01), retry=RetrySettings(delays=(0.01,)))
    files, rows = FileCase(folder), SqliteCase(folder)
    others = [Timed(files.sink(), "others file"), Timed(rows.sink(), "others rows")]
    workers = [SinkWorker(sink, settings) for sink in others]
    spool = Spool(folder / "spool", 2**24, reserve=0) if durable else None
    workers.append(SinkWorker(made, settings, spool=spool))
    with frozen or contextlib.nullcontext():
        dispatcher = EventDispatcher(Run("run"))
        async with at_work(workers, dispatcher):
            await stream(dispatcher)
            others_took = [list(sink.took) for sink in others]
    return max(map(p99, others_took))


@pytest.mark.alone
@pytest.mark.parametrize(
    ("kind", "durable"), [(Pipe, False), (Locked, True), (Stopped, False)], ids=["file", "durable sqlite", "webhook"]
)
async def test_s1_with_one_sink_frozen_the_p99_to_the_others_is_unchanged(
    kind: type[Pipe | Locked | Stopped], durable: bool, tmp_path: Path
) -> None:
    ratios = []
    for turn in range(ROUNDS):
        figures = []
        for freeze in (False, True):
            folder = tmp_path / f"{turn}-{freeze}"
            case = kind(tmp_path)
            case.path = tmp_path / f"made-{turn}-{freeze}" / "file"  # type: ignore[union-attr]  # unused by one of them
            try:
                frozen = case.frozen() if freeze else None
                figures.append(await measured(folder, frozen, case.sink(), durable=durable))
            finally:
                case.end()
        ratios.append(figures[1] / figures[0])
    print(f"p99 to the others, frozen against not: {statistics.median(ratios):.2f} of {ratios}")
    assert statistics.median(ratios) < 1.5, ratios

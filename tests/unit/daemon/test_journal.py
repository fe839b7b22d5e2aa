"""The journal before a disk that does not answer: no alert waits for it, and nothing is told twice."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pricestreamd.config.load import load
from pricestreamd.daemon.answers.view import OutboxSize
from pricestreamd.daemon.journal.journal import PATIENCE_SECONDS
from pricestreamd.daemon.parts import Parts, build
from pricestreamd.model.events import PriceError
from pricestreamd.model.tick import Tick
from pricestreamd.state.rows import StateChange, SymbolRow
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

CONFIG = """
feeds: {us: {provider: twelvedata, api_key: some-key, symbols: [AAPL], endpoint: "ws://127.0.0.1:9/"}}
stream: {suspect: null}
alerts: [{name: a, symbol: AAPL, above: 200}]
sinks: {book: {type: file, path: alerts.jsonl, events: [price.alert]}}
"""


class House:
    """The parts of a daemon without its feeds: prices come from the test."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        self.parts = parts
        self.book = folder / "alerts.jsonl"
        self.errors: list[PriceError] = []
        parts.dispatcher.attach(PriceError.event, self.errors.append, name="test")

    def tick(self, price: float) -> None:
        now = time.time()
        self.parts.service.engine.on_tick(Tick("AAPL", price, now, now, None, None, "us"))

    @property
    def delivered(self) -> int:
        return len(self.book.read_text().splitlines()) if self.book.exists() else 0


@asynccontextmanager
async def house(folder: Path, text: str = CONFIG) -> AsyncIterator[House]:
    path = folder / "config.yaml"
    path.write_text(text)
    parts = build(load(path, environ={"STATE_DIRECTORY": str(folder)}))
    await parts.journal.open()
    parts.service.begin(["AAPL"])
    lane = parts.outlets.lanes["book"]
    tasks = [asyncio.create_task(work) for work in (parts.journal.run(), lane.run())]
    try:
        yield House(parts, folder)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await parts.journal.close()
        await lane.drain(1.0)
        for worker in parts.outlets.workers.values():
            await worker.drain(1.0)
        await parts.service.stop()
        await parts.journal.store.close()


@asynccontextmanager
async def hanging_disk(parts: Parts) -> AsyncIterator[None]:
    """The thread of the state does not come back from the disk."""
    release = threading.Event()
    stuck = asyncio.create_task(parts.journal.store._thread.call(release.wait))
    try:
        await asyncio.sleep(0)
        yield
    finally:
        release.set()
        await stuck


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as found:
        yield found


async def test_no_firing_waits_longer_for_the_disk_because_something_else_waits_already(there: House) -> None:
    async with hanging_disk(there.parts):
        there.parts.journal.note(StateChange(symbols=[SymbolRow("us", "MSFT")]))
        saving = asyncio.create_task(there.parts.journal.committed())
        await asyncio.sleep(0)
        began = time.monotonic()
        there.tick(201.0)
        await eventually(lambda: there.delivered == 1, PATIENCE_SECONDS + 2)
        assert PATIENCE_SECONDS - 0.1 <= time.monotonic() - began < PATIENCE_SECONDS + 1
        # Each has its own two seconds.
        there.tick(199.0)
        there.tick(202.0)
        began = time.monotonic()
        await eventually(lambda: there.delivered == 2, PATIENCE_SECONDS + 2)
        assert PATIENCE_SECONDS - 0.1 <= time.monotonic() - began < PATIENCE_SECONDS + 1
        assert any("from memory" in error.message for error in there.errors)
    await saving
    await there.parts.journal.committed()
    backlog = there.parts.journal.store.backlogs
    async with asyncio.timeout(5):
        while await backlog():
            await asyncio.sleep(0.01)
    assert there.delivered == 2


async def test_what_is_written_in_time_is_told_after_it(there: House) -> None:
    there.tick(201.0)
    await eventually(lambda: there.delivered == 1)
    assert not there.errors
    rows = await there.parts.journal.store.events_of("a")
    assert [row.symbol for row in rows] == ["AAPL"]


async def test_what_a_sink_keeps_back_for_its_summary_is_not_told_as_owed(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        phone = f'book: {{type: notify, urls: ["json://127.0.0.1:{receiver.port}/x"]}}'
        text = CONFIG.replace("book: {type: file, path: alerts.jsonl, events: [price.alert]}", phone)
        assert phone in text
        async with house(tmp_path, text) as there:
            journal = there.parts.journal
            lane = there.parts.outlets.lanes["book"]
            there.tick(201.0)
            await eventually(lambda: lane.delivered == 1 and len(receiver.accepted) == 1)
            there.tick(199.0)
            there.tick(202.0)
            await eventually(lambda: lane.delivered == 1 and lane.queued == 1)
            async with asyncio.timeout(5):
                while (backlog := (await journal.store.backlogs())["book"]).pending > 1:
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(5):
                while lane.owed(backlog).pending:
                    await asyncio.sleep(0.01)
            owing = there.parts.owing
            watching = asyncio.create_task(owing.watch())
            await eventually(lambda: owing.backlogs)
            watching.cancel()
            size = OutboxSize(owing.backlogs.values())
            assert (size.pending, size.oldest_seconds) == (0, 0.0)

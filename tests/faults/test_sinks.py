"""Faults of sinks: no space, locks, damage, a frozen destination, a burst, and the end of the process."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from pricestreamd.model.events import Event
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.file import FileSink
from pricestreamd.sinks.settings import (
    BatchSettings,
    FileSinkSettings,
    QueueSettings,
    RetrySettings,
    SqliteSinkSettings,
)
from pricestreamd.sinks.sqlite import SqliteSink
from tests.support.full_pipe import full_pipe
from tests.support.waiting import eventually
from tests.unit.sinks.samples import alert, updates

ROOT = Path(__file__).parents[2]
QUICK: dict[str, Any] = {
    "batch": BatchSettings(size=50, interval=0.01),
    "retry": RetrySettings(delays=(0.01, 0.02), max_age=60.0),
}
KINDS = {"file": "events.jsonl", "sqlite": "prices.db"}


@contextlib.contextmanager
def program(name: str, kind: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.sink_programs", name, kind, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
        assert process.wait(20) in (0, -signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = out(process).readline()
    assert line, "the program ended before it said anything"
    found: dict[str, Any] = json.loads(line)
    assert found["received"] == found["delivered"] + found["dropped"] + found["queued"]
    return found


def out(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def sequences(kind: str, path: Path) -> list[int]:
    """The sequence of each event that is there, in order. A line that is not whole is an error."""
    if kind == "file":
        content = path.read_bytes()
        assert content.endswith(b"\n")
        return [json.loads(line)["sequence"] for line in content.splitlines()]
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [number for (number,) in connection.execute("SELECT sequence FROM prices ORDER BY id")]


@pytest.mark.parametrize("kind", KINDS)
def test_s8_no_space_loses_nothing_within_the_queue_and_recovers_by_itself(kind: str, tmp_path: Path) -> None:
    path = tmp_path / KINDS[kind]
    with program("no_space", kind, path) as process:
        full = said(process)
        assert full["dropped"] == 0
        assert 100 <= full["delivered"] < 4_100
        assert all(str(path) in error for error in full["errors"])
        # Nothing is torn while there is no space.
        assert sequences(kind, path) == list(range(1, full["delivered"] + 1))
        assert process.stdin is not None
        process.stdin.write("space again\n")
        process.stdin.flush()
        assert said(process) == {"received": 4100, "delivered": 4100, "queued": 0, "dropped": 0, "left": 0}
    assert sequences(kind, path) == list(range(1, 4101))


@pytest.mark.parametrize("kind", KINDS)
def test_l2_sigterm_under_load_flushes_everything(kind: str, tmp_path: Path) -> None:
    path = tmp_path / KINDS[kind]
    with program("stream", kind, path) as process:
        said(process)
        said(process)
        process.terminate()
        *_, last = map(json.loads, out(process))
        assert process.wait(10) == 0
    assert last["left"] == last["queued"] == last["dropped"] == 0
    assert sequences(kind, path) == list(range(1, last["received"] + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_l1_kill_loses_nothing_that_was_delivered_and_tears_at_most_the_last_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / KINDS[kind]
    delivered = 0
    for _ in range(3):
        with program("stream", kind, path) as process:
            said(process)
            seen = said(process)
            process.kill()
        delivered = seen["delivered"]
        assert delivered > 0
        if kind == "sqlite":
            found = sequences(kind, path)
            assert found == list(range(1, len(found) + 1))
            assert len(found) >= delivered
        else:
            lines = path.read_bytes().split(b"\n")
            whole = [json.loads(line)["sequence"] for line in lines[:-1]]
            assert whole == list(range(1, len(whole) + 1))
            assert len(whole) >= delivered
            path.unlink()


def test_l3_a_dead_sink_holds_up_neither_the_drain_nor_the_end_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with program("dead", "file", path) as process:
        last = said(process)
        assert process.wait(5) == 0
    assert last["left"] == last["queued"] == 500
    assert last["seconds"] < 2


async def test_s1_a_frozen_sink_delays_no_other_sink(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    frozen_settings = FileSinkSettings(path=pipe, queue=QueueSettings(size=100), **QUICK)
    settings = FileSinkSettings(path=tmp_path / "events.jsonl", **QUICK)
    frozen = SinkWorker(FileSink("frozen", frozen_settings), frozen_settings)
    healthy = SinkWorker(FileSink("healthy", settings), settings)
    with full_pipe(pipe):
        tasks = [asyncio.create_task(worker.run()) for worker in (frozen, healthy)]
        first, *others = updates(5_000)
        frozen.offer(first)
        healthy.offer(first)
        await eventually(lambda: frozen.breaker.under_way)
        for event in others:
            frozen.offer(event)
            healthy.offer(event)
            if not event.number % 50:
                await asyncio.sleep(0)
        await eventually(lambda: healthy.delivered == 5_000)
        assert frozen.delivered == 0
        # A full queue, and the one that hangs.
        assert frozen.queued == 101
        assert frozen.dropped["overflow"] == 4_899
        assert await frozen.drain(0.05) == 101
        assert await healthy.drain(5) == 0
        await asyncio.wait(tasks)


async def test_s9_a_damaged_database_is_put_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "prices.db"
    path.write_bytes(b"this is no database" * 1000)
    settings = SqliteSinkSettings(path=path, **QUICK)
    told: list[str] = []
    worker = SinkWorker(SqliteSink("ticks", settings), settings, on_error=lambda _n, exc, _l: told.append(str(exc)))
    for event in updates(10):
        worker.offer(event)
    assert await worker.drain(5) == 0
    assert sequences("sqlite", path) == list(range(1, 11))
    (aside,) = (file for file in tmp_path.iterdir() if ".corrupt-" in file.name)
    assert aside.read_bytes() == b"this is no database" * 1000
    assert len(told) == 1
    assert f"put aside as {aside.name}" in told[0]


async def test_s9_damage_that_shows_in_use_puts_the_database_aside_too(tmp_path: Path) -> None:
    path = tmp_path / "prices.db"
    settings = SqliteSinkSettings(path=path, **QUICK)
    first = SinkWorker(SqliteSink("ticks", settings), settings)
    for event in updates(5_000):
        first.offer(event)
    assert await first.drain(10) == 0
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    # As with a file too large to be read through at the start.
    sink = SqliteSink("ticks", settings, checked_bytes=0)
    told: list[str] = []
    worker = SinkWorker(sink, settings, on_error=lambda _n, exc, _l: told.append(str(exc)))
    task = asyncio.create_task(worker.run())
    for event in updates(10, first=5_001):
        worker.offer(event)
    await eventually(lambda: worker.delivered == 10)
    assert await worker.drain(5) == 0
    await task
    assert sequences("sqlite", path) == list(range(5_001, 5_011))
    assert len(told) == 1
    assert "put aside" in told[0]


async def test_s9_a_database_that_is_locked_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "prices.db"
    settings = SqliteSinkSettings(path=path, **QUICK)
    told: list[str] = []
    sink = SqliteSink("ticks", settings, busy_seconds=0.01)
    worker = SinkWorker(sink, settings, on_error=lambda _n, exc, _l: told.append(str(exc)))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        task = asyncio.create_task(worker.run())
        for event in updates(10):
            worker.offer(event)
        await eventually(lambda: len(told) >= 2)
        assert all("locked" in text for text in told)
        other.execute("ROLLBACK")
    await eventually(lambda: worker.delivered == 10)
    await worker.drain(5)
    await task
    assert sequences("sqlite", path) == list(range(1, 11))


async def test_d13_a_burst_keeps_to_the_bound_and_loses_no_alert(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    settings = FileSinkSettings(path=pipe)
    worker = SinkWorker(FileSink("frozen", settings), settings)
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(0)
    burst: list[Event] = [*updates(60_000), alert(60_001), *updates(60_000, first=60_002)]
    tracemalloc.start()
    for event in burst:
        worker.offer(event)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert worker.queued == 10_000
    assert worker.dropped["overflow"] == 110_001
    # References to events that exist anyway: what waits costs the queue itself next to nothing.
    assert held < 1_000_000
    reader = asyncio.create_task(asyncio.to_thread(pipe.read_bytes))
    assert await worker.drain(10) == 0
    await task
    lines = (await reader).splitlines()
    assert sum(json.loads(line)["event"] == "price.alert" for line in lines) == 1
    assert len(lines) == 10_000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.alone
async def test_d13_a_burst_at_fifty_thousand_a_second_loses_nothing(kind: str, tmp_path: Path) -> None:
    path = tmp_path / KINDS[kind]
    worker: SinkWorker
    if kind == "file":
        file = FileSinkSettings(path=path)
        worker = SinkWorker(FileSink("events", file), file)
    else:
        sqlite = SqliteSinkSettings(path=path)
        worker = SinkWorker(SqliteSink("ticks", sqlite), sqlite)
    task = asyncio.create_task(worker.run())
    loop = asyncio.get_running_loop()
    begun = loop.time()
    events = updates(50_000)
    for event in events:
        worker.offer(event)
        if not event.number % 250:
            await asyncio.sleep(max(0.0, begun + event.number / 50_000 - loop.time()))
    assert await worker.drain(10) == 0
    await task
    assert sum(worker.dropped.values()) == 0
    assert sequences(kind, path) == list(range(1, 50_001))

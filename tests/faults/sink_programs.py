"""Processes with a sink, for faults that a test cannot do to itself: no space, SIGTERM, SIGKILL, a dead thread.

`python -m tests.faults.sink_programs PROGRAM KIND PATH` runs one; each prints lines of JSON.
"""

import asyncio
import itertools
import json
import resource
import signal
import sys
from pathlib import Path

from pricestreamd.sinks import catalogue
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.settings import (
    BatchSettings,
    FileSinkSettings,
    RetrySettings,
    SinkSettings,
    SqliteSinkSettings,
)
from tests.support.waiting import eventually
from tests.unit.sinks.samples import update, updates

BATCH = BatchSettings(size=50, interval=0.01)
RETRY = RetrySettings(delays=(0.01, 0.02, 0.05), max_age=60.0)


def made(kind: str, path: Path, errors: list[str]) -> SinkWorker:
    settings: SinkSettings
    if kind == "file":
        settings = file = FileSinkSettings(path=path, batch=BATCH, retry=RETRY)
        sink = catalogue.create(kind, file)
    else:
        settings = sqlite = SqliteSinkSettings(path=path, batch=BATCH, retry=RETRY)
        sink = catalogue.create(kind, sqlite)
    return SinkWorker(sink, settings, on_error=lambda _name, exc, _lost: errors.append(str(exc)))


def say(worker: SinkWorker, **more: object) -> None:
    counts = {"received": worker.received, "delivered": worker.delivered, "queued": worker.queued}
    print(json.dumps({**counts, "dropped": sum(worker.dropped.values()), **more}), flush=True)


async def no_space(kind: str, path: Path) -> None:
    """The disk fills up in the middle of a stream, and has space again later."""
    errors: list[str] = []
    worker = made(kind, path, errors)
    task = asyncio.create_task(worker.run())
    for event in updates(100):
        worker.offer(event)
    await eventually(lambda: worker.delivered == 100)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow beyond this; what is a little smaller than a batch makes a write break off in the middle.
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 60_000, hard))
    for event in updates(4_000, first=101):
        worker.offer(event)
        if not event.number % 100:
            await asyncio.sleep(0.001)
    await eventually(lambda: len(errors) >= 3)
    say(worker, errors=errors[:3])
    sys.stdin.readline()
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await eventually(lambda: worker.queued == 0)
    left = await worker.drain(10)
    await task
    say(worker, left=left)


async def stream(kind: str, path: Path) -> None:
    """A stream without end, until SIGTERM drains it or SIGKILL ends it."""
    worker = made(kind, path, [])
    task = asyncio.create_task(worker.run())
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    for number in itertools.count(1):
        worker.offer(update(number, f"SYM{number % 7}"))
        if not number % 50:
            await asyncio.sleep(0.001)
        if not number % 1000:
            say(worker)
        if stop.is_set():
            break
    left = await worker.drain(10)
    await task
    say(worker, left=left)


async def dead(kind: str, path: Path) -> None:
    """A sink whose thread never comes back (here: a pipe that nobody reads), and the end of the process."""
    worker = made(kind, path, [])
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(0)
    for event in updates(500):
        worker.offer(event)
    begun = asyncio.get_running_loop().time()
    left = await worker.drain(0.3)
    assert task.done()
    say(worker, left=left, seconds=asyncio.get_running_loop().time() - begun)


if __name__ == "__main__":
    asyncio.run(globals()[sys.argv[1]](sys.argv[2], Path(sys.argv[3])))

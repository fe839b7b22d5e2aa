"""A process with a durable sink, for SIGKILL: `python -m tests.faults.durable_programs FOLDER FIRST [RATE]`.

It offers numbered ticks to a `sqlite` sink from FIRST on, RATE a second (0: none), and prints lines of JSON: how many it
has offered, how many of them are at risk, and how many wait. SIGTERM drains it.
"""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.settings import BatchSettings, RetrySettings, SqliteSinkSettings
from pricestreamd.sinks.sqlite import SqliteSink
from pricestreamd.state.spool import Spool
from tests.unit.sinks.samples import update

RETRY = RetrySettings(delays=(0.05, 0.1), max_age=None)


async def stream(folder: Path, first: int, rate: int) -> None:
    settings = SqliteSinkSettings(path=folder / "prices.db", batch=BatchSettings(size=500, interval=0.05), retry=RETRY)
    sink = SqliteSink("ticks", settings, busy_seconds=0.01)
    worker = SinkWorker(sink, settings, spool=Spool(folder / "spool", 256 * 1024 * 1024))
    task = asyncio.create_task(worker.run())
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    began, offered = time.monotonic(), 0
    while not stop.is_set():
        wanted = int((time.monotonic() - began) * rate)
        while offered < wanted:
            worker.offer(update(first + offered, f"SYM{offered % 7}"))
            offered += 1
        print(json.dumps({"offered": offered, "at_risk": worker.at_risk, "queued": worker.queued}), flush=True)
        await asyncio.sleep(0.02)
    print(json.dumps({"lost": await worker.drain(10), "queued": worker.queued}), flush=True)
    await task


if __name__ == "__main__":
    place, number, *more = sys.argv[1:]
    asyncio.run(stream(Path(place), int(number), int(more[0]) if more else 1000))

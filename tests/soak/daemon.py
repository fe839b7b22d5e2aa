"""The whole daemon over connections that never last: what it keeps open, and what it holds in memory.

`python -m tests.soak.daemon --minutes 30`. Thirty feeds are connected, told prices that fire alerts, and thrown out
again in one way or another; readers of the live stream come and go. Between two rounds everything is still, and the
daemon counts for itself: a listener of its user's, woken by the price of a symbol of its own, collects garbage and
writes down what is left.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

from tests.support.daemon import DaemonProcess
from tests.support.provider import Conversation, ScriptedProvider
from tests.support.waiting import eventually

# No host is dialled more than 60 times a minute, so the provider has many addresses.
FEEDS = 30
_TICKS = 12
# The first connections are told so many that every memory of the last ten thousand firings is full.
_FIRST_TICKS = 400
_PROBE = "PROBE"
_READERS = 10
_WARM_UP_SECONDS = 300.0
MAX_SLOPE = 1.0
"""Megabytes an hour, for a run that is long enough to tell."""
SLOPE_NEEDS_SECONDS = 1800.0

# What is being written or delivered just then, for as long as the disk takes; it has to end.
_WORK = frozenset({"Journal._write", "OneThread.call", "OutboxLane._deliver"})
_AT_REST = ("descriptors", "tasks")

_HOOKS = """\
import asyncio, ctypes, gc, json, linecache, os, sys, threading

class Allocated(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks x y".split()]

look = ctypes.CDLL(None).mallinfo2
look.restype = Allocated

def probe(event):
    if event.symbol != "PROBE":
        return
    # The source that warnings have quoted is no leak: there is so much of it and no more.
    linecache.clearcache()
    gc.collect()
    with open("/proc/self/statm") as statm:
        pages = int(statm.read().split()[1])
    names = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
    found = {
        "number": event.price,
        "rss": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "large": (look().uordblks + look().hblkhd) / 1e6,
        "descriptors": len(os.listdir("/proc/self/fd")),
        # A feed that was cut off looks for a while whether it has missed anything: that task comes and goes.
        "tasks": sorted(name for name in names if "Backfill" not in name),
        "threads": threading.active_count(),
    }
    with open(os.environ["PROBE_FILE"], "a") as file:
        file.write(json.dumps(found) + "\\n")
"""


@dataclass(frozen=True)
class Sample:
    """What the daemon has while nothing happens. `at`: seconds since the start; `rss`: megabytes.

    `objects` are those that the collector knows, `blocks` those of Python's allocator, `large` the megabytes that are too large for it: what is in use, whatever
    the allocators keep beside it. `tasks` are the names of their coroutines, sorted.
    """

    at: float
    reconnects: int
    rss: float
    objects: int
    blocks: int
    large: float
    descriptors: int
    tasks: list[str]
    threads: int


class Restless(ScriptedProvider):
    """Lets clients in, tells them a few prices and throws them out; when it is `calm`, they may stay."""

    def __init__(self) -> None:
        super().__init__(self._entertain, host="0.0.0.0")
        self.calm = asyncio.Event()
        self.calm.set()
        self.connects = 0
        self.refused = 0

    def forget(self) -> None:
        """What is over."""
        self.requests.clear()
        self.conversations = [each for each in self.conversations if not each.closed]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.connects += 1
        if not self.calm.is_set() and self.connects % 7 == 0:
            self.refused += 1
            return web.Response(status=503)
        return await super()._handle(request)

    async def _entertain(self, conversation: Conversation) -> None:
        messages = conversation.messages()
        async for message in messages:
            if message["action"] == "subscribe":
                await conversation.acknowledge(message)
                break
        is_first = self.connects <= FEEDS
        for number in range(_FIRST_TICKS if is_first else _TICKS):
            if is_first and number % 10 == 0:
                # Not so fast that queues fill up: what they leave behind in the allocator would hide a leak.
                await asyncio.sleep(0.2)
            for symbol in sorted(conversation.subscribed - {_PROBE}):
                await conversation.price(symbol, 99 if number % 2 else 101, timestamp=int(time.time()))
        if not self.calm.is_set():
            await self.throw_out(conversation)
        async for _ in messages:
            pass

    async def throw_out(self, conversation: Conversation) -> None:
        """In one way or another. Not without a word: done often, that says that a key has too many connections."""
        if self.connects % 2:
            with suppress(OSError):  # the client was faster
                conversation.reset()
        else:
            await conversation.send("{" * 1000)
            await conversation.ws.close(code=1011, message=b"internal error")


class RestlessDaemon:
    """A daemon at such a provider. `async with` waits until its memories are full."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples: list[Sample] = []
        self.provider = Restless()
        self._probes = folder / "probes.jsonl"
        self._probes.touch()
        self._began = time.monotonic()

    async def __aenter__(self) -> Self:
        (self.folder / "probing_hooks.py").write_text(_HOOKS)
        await self.provider.__aenter__()
        self.daemon = DaemonProcess(self.folder, _config(self.provider.port, self.folder), PROBE_FILE=str(self._probes))
        await self.daemon.__aenter__()
        told = FEEDS * 2 * _FIRST_TICKS
        await self.daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] >= told, 60)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.daemon.__aexit__(*exc_info)
        await self.provider.__aexit__(*exc_info)

    @property
    def connects(self) -> int:
        """Connections that were opened, those that were refused among them."""
        return self.provider.connects

    async def round(self, reconnects: int, timeout: float = 60.0) -> Sample:
        """So many reconnects, and then a look at what is left."""
        self.provider.calm.clear()
        self.provider.forget()
        for conversation in self.provider.conversations:
            with suppress(ConnectionError):
                await self.provider.throw_out(conversation)
        enough = self.connects + reconnects
        reading = [asyncio.create_task(self._read()) for _ in range(_READERS)]
        await eventually(lambda: self.connects >= enough, timeout, "it does not reconnect")
        self.provider.calm.set()
        await asyncio.gather(*reading)
        return await self._look()

    async def _read(self) -> None:
        """As somebody with a browser: the live stream until a price comes, and answers good and bad."""
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{self.daemon.url}/api/v1/events") as stream:
                await stream.content.readline()
            for path in ("/metrics", "/api/v1/prices", "/api/v1/history/A1", "/health", "/api/v1/nothing", "/"):
                async with session.get(f"{self.daemon.url}{path}") as response:
                    await response.read()

    async def _look(self) -> Sample:
        """A sample as soon as all feeds are live, nothing is being written, and two in a row find the same."""
        # Where a host has been dialled 60 times, the next dial waits until the minute is over.
        await self.daemon.until(
            "/api/v1/feeds", lambda feeds: all(feed["state"] == "live" for feed in feeds.values()), 90
        )
        await eventually(lambda: not self._owed(), 60, "the outbox does not empty")
        found = await self._probe()
        before: dict[str, Any] = {}
        deadline = time.monotonic() + 10
        while _WORK.intersection(found["tasks"]) or any(found[name] != before.get(name) for name in _AT_REST):
            assert time.monotonic() < deadline, f"the daemon does not come to rest: {before}, then {found}"
            found, before = await self._probe(), found
        found.pop("number")
        sample = Sample(at=time.monotonic() - self._began, reconnects=self.connects, **found)
        self.samples.append(sample)
        return sample

    def _owed(self) -> int:
        """Deliveries that wait in the state."""
        with closing(sqlite3.connect(f"file:{self.folder / 'state.db'}?mode=ro", uri=True)) as state:
            (count,) = state.execute("SELECT count(*) FROM outbox").fetchone()
        return int(count)

    async def _probe(self) -> dict[str, Any]:
        talking = [each for each in self.provider.conversations if _PROBE in each.subscribed and not each.closed]
        number = len(self._probes.read_text().splitlines()) + 1
        await talking[-1].price(_PROBE, number, timestamp=int(time.time()))
        await eventually(lambda: self._probes.read_text().count("\n") >= number, 10)
        found: dict[str, Any] = json.loads(self._probes.read_text().splitlines()[-1])
        return found


def _config(port: int, folder: Path) -> str:
    feeds = "\n".join(
        f"  f{number}: {{provider: twelvedata, api_key: any, market_hours: always, symbols: [A{number}, B{number}"
        f"{f', {_PROBE}' if number == 0 else ''}], endpoint: 'ws://127.0.1.{number + 1}:{port}/v1/quotes/price', "
        "reconnect: {initial_delay: 20ms, max_delay: 20ms, jitter: 0}}"
        for number in range(FEEDS)
    )
    return f"""
feeds:
{feeds}
stream: {{history: {{size: 20}}, suspect: null}}
alerts: [{{name: up, symbols: ["A*", "B*"], above: 100}}]
plugin_paths: ['{folder}']
listeners: [{{event: price.update, call: "probing_hooks:probe"}}]
sinks:
  log: {{type: log, events: [price.error], min_severity: critical}}
  events: {{type: file, path: events.jsonl, events: [price.alert, price.gap]}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""


def slope(samples: Sequence[Sample]) -> float:
    """Megabytes an hour."""
    line = statistics.linear_regression([each.at for each in samples], [each.rss for each in samples])
    return line.slope * 3600


def table(samples: Sequence[Sample]) -> str:
    """A line for each."""
    return "\n".join(
        f"{each.at:7.1f} s {each.reconnects:6} reconnects {each.rss:7.2f} MB {each.objects} objects {each.blocks} blocks "
        f"{each.large:6.3f} MB large "
        f"{each.descriptors:4} descriptors {len(each.tasks):3} tasks {each.threads} threads"
        for each in samples
    )


async def run(folder: Path, seconds: float, tell: Callable[[str], object]) -> list[Sample]:
    """Rounds for so many seconds; the samples after the warm-up."""
    async with RestlessDaemon(folder) as restless:
        # What is remembered for a minute is there, and the allocators have what they need.
        warm_at = time.monotonic() + min(_WARM_UP_SECONDS, seconds / 3)
        while time.monotonic() < warm_at:
            tell(table([await restless.round(200, 120)]))
        warm = len(restless.samples)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            tell(table([await restless.round(200, 120)]))
        assert await restless.daemon.stop() == 0
    return restless.samples[warm:]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.daemon", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long connections break (default: 30)")
    seconds = parser.parse_args().minutes * 60
    with tempfile.TemporaryDirectory() as folder:
        samples = asyncio.run(run(Path(folder), seconds, lambda line: print(line, flush=True)))
    grows = slope(samples)
    print(f"{samples[-1].reconnects - samples[0].reconnects:,} reconnects, {grows:+.2f} MB an hour")
    broken = [
        (seconds >= SLOPE_NEEDS_SECONDS and grows > MAX_SLOPE, f"memory grows by {grows:.1f} MB an hour"),
        (len({each.descriptors for each in samples}) > 1, "the number of descriptors is not constant"),
        (any(each.tasks != samples[0].tasks for each in samples), "the number of tasks is not constant"),
    ]
    for is_broken, sentence in broken:
        if is_broken:
            print(f"BROKEN: {sentence}")
    return int(any(is_broken for is_broken, _ in broken))


if __name__ == "__main__":
    sys.exit(main())

"""The product under the soak, and what is measured of it."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.settings import FeedSettings, HeartbeatSettings, ReconnectSettings, StaleSettings
from pricestreamd.model.events import PriceGap, PriceStale, Run
from tests.soak.figures import Measured, Sample
from tests.soak.received import Received
from tests.soak.watchlist import Watchlist
from tests.soak.wire import WIRES
from tests.soak.world import World

_ROOT = Path(__file__).parents[2]
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Longer than any delay that a provider can have asked for by a close code, and the way back.
_PATIENCE = 90.0
# With nothing amiss, after the last recovery.
_CALM_SECONDS = 3.0
_DRAIN_SECONDS = 10.0
_SAMPLE_EVERY = 2.0


@dataclass(frozen=True)
class Soak:
    """One run. `every`: seconds between two faults, on average."""

    world: World
    provider: str
    every: float
    connections: int = 5

    @property
    def names(self) -> tuple[str, ...]:
        """All symbols."""
        return tuple(map(WIRES[self.provider]().symbol, range(self.world.symbols)))

    def settings(self, url: str) -> FeedSettings:
        """The product's settings: its clocks are a tenth of the usual ones, the limits are as they are."""
        return FeedSettings(
            provider=self.provider,
            endpoint=url,
            # The others are on the watchlist.
            symbols=tuple(self.names[place] for place in self.world.residents),
            max_symbols_per_connection=-(-self.world.symbols // self.connections),
            # One to spare, so that one can be replaced before it goes.
            max_connections=self.connections + 1,
            connect_timeout=3.0,
            subscribe_timeout=2.5,
            reconnect=ReconnectSettings(initial_delay=0.2, max_delay=3.0),
            heartbeat=HeartbeatSettings(interval=2.0, timeout=1.5),
            stale_after=StaleSettings(connection=3.0),
            market_hours="always",
        )


class _Provider:
    """The other process."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.url = url
        self._process = process

    async def ask(self, *order: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(" ".join(order).encode() + b"\n")
        line = await self._process.stdout.readline()
        assert line, f"the provider has ended, asked to {order}"
        answer: dict[str, Any] = json.loads(line)
        return answer


@asynccontextmanager
async def _provider(soak: Soak) -> AsyncIterator[_Provider]:
    world = soak.world
    arguments = (world.seed, world.seconds, world.symbols, world.rate, soak.provider, soak.every)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.soak.provider_process", *map(str, arguments), cwd=_ROOT, stdin=pipe, stdout=pipe
    )
    try:
        assert process.stdout is not None
        yield _Provider(process, json.loads(await process.stdout.readline())["url"])
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def run(soak: Soak, tell: Callable[[str], object]) -> tuple[Measured, dict[str, Any]]:
    """The whole of it: what was measured here, and what the provider has found."""
    async with _provider(soak) as provider:
        received = Received(soak.world, soak.names)
        measured = Measured(symbols=soak.world.symbols)
        stale: Counter[str] = Counter()

        def event(event: object) -> None:
            measured.gaps += isinstance(event, PriceGap)
            if type(event) is PriceStale:  # `PriceResumed` is one, too
                stale["connection" if event.symbol is None else "symbol"] += 1

        before = _Open.now()
        client = WebSocketClient.from_settings("soak", soak.settings(provider.url), Run("soak"))
        watchlist = Watchlist(client, received, soak.world, soak.names)
        watchlist.apply()
        client.on_message(received)
        client.on_event(event)
        life = asyncio.create_task(client.run())
        await _subscribed(client, provider, soak.world.symbols)
        live = _Open.now()
        began = time.monotonic()
        tell(f"{soak.world.symbols} symbols are live, {soak.world.rate:g} ticks a second; faults begin")
        await provider.ask("go")
        changing = asyncio.create_task(watchlist.change())
        await _sample(measured, began, soak.world.seconds, client, tell)
        changing.cancel()
        watchlist.all()
        await provider.ask("calm")
        await _subscribed(client, provider, soak.world.symbols)
        await asyncio.sleep(_CALM_SECONDS)
        at_end = _Open.now()
        measured.seconds = time.monotonic() - began
        measured.subscribed = _live_symbols(client)
        measured.stale = dict(stale)
        await provider.ask("hush")
        await _drained(received)
        await client.disconnect()
        await life
        gc.collect()
        await asyncio.sleep(0.1)
        after = _Open.now()
        measured.descriptors = (before.descriptors, live.descriptors, at_end.descriptors)
        measured.tasks = (before.tasks, live.tasks, at_end.tasks)
        measured.left_behind = (after.descriptors - before.descriptors, after.tasks - before.tasks)
        counters = client.counters
        measured.reconnects, measured.rejected = counters.reconnects, counters.rejected
        measured.late, measured.unwanted, measured.changes = received.late, received.unwanted, watchlist.changes
        measured.callback_errors = counters.callback_errors
        with tempfile.TemporaryDirectory() as folder:
            table, absences = Path(folder, "table"), Path(folder, "absences.json")
            table.write_bytes(received.table)
            absences.write_text(json.dumps(list(watchlist.absences.items())))
            return measured, await provider.ask("audit", str(table), str(absences))


def _live_symbols(client: WebSocketClient) -> int:
    return sum(report["state"] == "subscribed" for report in client.symbol_reports())


async def _subscribed(client: WebSocketClient, provider: _Provider, symbols: int) -> None:
    """Both sides agree that every symbol is subscribed. Given up after a while: the figures will say so."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        carried = (await provider.ask("status"))["carried"]
        if carried == symbols == _live_symbols(client):
            return
        await asyncio.sleep(0.1)


async def _drained(received: Received) -> None:
    """Nothing has come for a while; a shorter one than makes the product doubt its connections."""
    deadline = time.monotonic() + _DRAIN_SECONDS
    seen = -1
    while seen != received.count and time.monotonic() < deadline:
        seen = received.count
        await asyncio.sleep(0.5)


async def _sample(
    measured: Measured, began: float, seconds: float, client: WebSocketClient, tell: Callable[[str], object]
) -> None:
    told = began
    while (now := time.monotonic()) - began < seconds:
        measured.samples.append(_sampled(now - began))
        if now - told >= 30.0:
            told = now
            attempts = sum(client.counters.reconnects.values())
            live, size = _live_symbols(client), measured.samples[-1].rss
            tell(f"{now - began:4.0f} s: {live} symbols live, {attempts} attempts to reconnect so far, {size:.1f} MB")
        await asyncio.sleep(_SAMPLE_EVERY)


def _sampled(at: float) -> Sample:
    garbage = gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(at, pages * _PAGE / 1e6, len(gc.get_objects()), garbage)


@dataclass(frozen=True)
class _Open:
    """What is open now: descriptors, and tasks by their coroutines."""

    descriptors: int
    tasks: Counter[str]

    @classmethod
    def now(cls) -> Self:
        coroutines = (task.get_coro() for task in asyncio.all_tasks())
        names = Counter(getattr(coroutine, "__qualname__", "?") for coroutine in coroutines)
        return cls(len(list(Path("/proc/self/fd").iterdir())), names)

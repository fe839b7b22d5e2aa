"""Destinations that go away for minutes, rows S1, S2, S4 and S7: real servers, real workers, the product's own settings.

`python -m tests.soak.outages --minutes 10 [--only NAME ...]`: each outage in a process of its own, all at once; the
figures on stdout; exit code 1 where a promise was broken, or an outage could not be made here. The tests run the same
functions for seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from pricestreamd.model.events import Event, PriceUpdate, to_json
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.base import Sink
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.nats.sink import NatsSink
from pricestreamd.sinks.outbox.lane import OutboxLane
from pricestreamd.sinks.postgres.sink import PostgresSink
from pricestreamd.sinks.redis.sink import RedisSink
from pricestreamd.sinks.settings import (
    BatchSettings,
    NatsSinkSettings,
    PostgresSinkSettings,
    RedisSinkSettings,
    SinkSettings,
    WebhookSinkSettings,
)
from pricestreamd.sinks.webhook.sink import WebhookSink
from pricestreamd.state.rows import Delivery, EventRow, StateChange
from pricestreamd.state.spool import Spool
from pricestreamd.state.store import StateStore
from tests.support.delivery_desk import answering
from tests.support.nats_server import NatsServer
from tests.support.postgres import PostgresServer
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tests.unit.sinks.samples import alert_named, update

SYMBOLS = 20
TICKS_A_SECOND = 1000
ALERTS_A_SECOND = 4
# What the fault list promises.
REDIS_SECONDS = 2.0
SPOOL_BYTES = 256 * 1024 * 1024
DRAIN_RATE = 10_000
# Half a minute is the longest pause between two attempts at a destination that is away.
ALERTS_SECONDS = 40.0
BACK_SECONDS = 60.0
# What is measured with a calm destination before the outage, and the longest share of a run that this takes.
CALM_SECONDS = 30.0
# Shorter ones tell nothing of a rate, nor of the slowest hundredth.
FIGURES_NEED_SECONDS = 30.0
# Seconds of the processor that offering may take longer than before, by the slowest hundredth.
STEP_SLACK = 0.0001
# From the offer to another sink, which gathers for a twentieth of a second: another one's backlog is not noticed there.
LIVE_SECONDS = 0.25
_PROMPT = BatchSettings(size=100, interval=0.05)


class Server(Protocol):
    """A destination that can be taken away."""

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...


@dataclass
class Found:
    """What an outage has shown. `broken` are promises that were not kept."""

    figures: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def note(self, name: str, figure: float | str, unit: str = "") -> None:
        shown = figure if isinstance(figure, str) else f"{figure:,.4g}" if figure < 1000 else f"{figure:,.0f}"
        self.figures.append(f"{name}: {shown} {unit}".rstrip())

    def expect(self, is_kept: bool, sentence: str) -> None:
        if not is_kept:
            self.broken.append(sentence)


@contextlib.asynccontextmanager
async def away(server: Server, fault: str) -> AsyncIterator[None]:
    """`fault` is `down` or `frozen`; other things go on meanwhile."""
    gone, back = (server.kill, server.start) if fault == "down" else (server.freeze, server.thaw)
    await asyncio.to_thread(gone)
    yield
    await asyncio.to_thread(back)


@contextlib.asynccontextmanager
async def at_work(sink: Sink, settings: SinkSettings, spool: Spool | None = None) -> AsyncIterator[SinkWorker]:
    """A worker that is drained at the end; until then every event is in one place."""
    worker = SinkWorker(sink, settings, spool=spool)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
        assert await worker.drain(10) == 0
        await task
        assert worker.received == worker.delivered + sum(worker.dropped.values())
    finally:
        task.cancel()
        await asyncio.wait([task])
        await sink.close()


class Beside:
    """Another sink, which is well: how long each event took to it, in seconds."""

    name = "beside"
    carries = ("*",)
    most_at_once = 1000
    concurrent = 1

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def open(self) -> None:
        pass

    async def deliver(self, batch: Sequence[Event]) -> None:
        now = time.time()
        self.seconds += [now - event.received_at for event in batch if isinstance(event, PriceUpdate)]

    async def close(self) -> None:
        pass


class Market:
    """Offers prices of `SYMBOLS` symbols to `workers`, so many a second; the prices of a symbol grow.

    `steps` are seconds of the processor for a hundredth of a second of prices: what the stream pays for its sinks.
    """

    def __init__(self, *workers: SinkWorker, rate: float = TICKS_A_SECOND) -> None:
        self.workers = workers
        self.latest: dict[str, float] = {}
        self.steps: list[float] = []
        self.offered = 0
        self._rate = rate

    def tick(self, symbol: str) -> None:
        self.offered += 1
        event = update(self.offered, symbol, float(self.offered), received_at=time.time())
        for worker in self.workers:
            worker.offer(event)
        self.latest[symbol] = event.price

    async def run(self) -> None:
        began, first = time.monotonic(), self.offered
        while True:
            due = first + int((time.monotonic() - began) * self._rate)
            step = time.thread_time()
            for number in range(min(due - self.offered, SYMBOLS)):
                self.tick(f"SYM{(self.offered + number) % SYMBOLS}")
            self.steps.append(time.thread_time() - step)
            await asyncio.sleep(0 if due - self.offered > SYMBOLS else 0.01)


@contextlib.asynccontextmanager
async def running(market: Market) -> AsyncIterator[None]:
    task = asyncio.create_task(market.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def slowest(values: Sequence[float]) -> float:
    """The 99th percentile."""
    return sorted(values)[int(len(values) * 0.99)] if values else 0.0


# --- S1


async def redis_away(fault: str, seconds: float) -> Found:
    """On return the latest price of each symbol is there soon, none older before; who offers notices nothing."""
    found, beside = Found(), Beside()
    with RedisServer("--appendonly", "yes") as server:
        settings = RedisSinkSettings(url=Secret(server.url), batch=_PROMPT)
        async with (
            at_work(RedisSink("cache", settings), settings) as worker,
            at_work(beside, SinkSettings(batch=_PROMPT)) as other,
        ):
            market = Market(worker, other)
            async with running(market):
                await eventually(lambda: server.ask("GET", "price:last:SYM0"))
                await asyncio.sleep(min(CALM_SECONDS, seconds / 5))
                before, calm = len(market.steps), len(beside.seconds)
                async with away(server, fault):
                    market.tick("QUIET")  # once, and never again
                    await asyncio.sleep(seconds)
                    found.expect(worker.delivered < worker.received, "Redis was not away at all")
                    during, left = len(market.steps), len(beside.seconds)
                wanted, back = dict(market.latest), time.monotonic()
                keys = [f"price:last:{symbol}" for symbol in wanted]
                seen = dict.fromkeys(wanted, 0.0)
                while any(seen[symbol] < price for symbol, price in wanted.items()):
                    if time.monotonic() > back + BACK_SECONDS:
                        break
                    for symbol, price in zip(wanted, _prices(server, keys), strict=True):
                        found.expect(price >= seen[symbol], f"an older price of {symbol} over a newer one")
                        seen[symbol] = price
                    await asyncio.sleep(0.01)
                took = time.monotonic() - back
            await eventually(lambda: worker.queued == 0)
            found.expect(_prices(server, keys) == list(market.latest.values()), "not the latest prices at the end")
    found.note("the latest price of each symbol after the return", took, "s")
    found.expect(took < REDIS_SECONDS, f"the latest prices took {took:.1f} s after the return")
    _expect_unnoticed(found, market.steps[:before], market.steps[before:during], seconds)
    found.note("p99 to another sink", f"{slowest(beside.seconds[:calm]):.4f} s, meanwhile")
    found.figures[-1] += f" {slowest(beside.seconds[calm:left]):.4f} s"
    found.expect(other.delivered == other.received, "another sink has lost events")
    lost = {reason for reason, count in worker.dropped.items() if count}
    found.expect(lost == {"conflated"}, f"events were dropped: {lost}")
    return found


def _prices(server: RedisServer, keys: Iterable[str]) -> list[float]:
    answer = server.ask("MGET", *keys)
    assert isinstance(answer, list)
    return [float(str(price or 0)) for price in answer]


def _expect_unnoticed(found: Found, before: Sequence[float], during: Sequence[float], seconds: float) -> None:
    """Who offers pays no more than before."""
    usual, then = statistics.median(before), statistics.median(during)
    found.note("offering 10 ms of prices", f"median {usual * 1e6:.0f} us, meanwhile {then * 1e6:.0f} us")
    most = 2 if seconds >= FIGURES_NEED_SECONDS else 5
    found.expect(then < most * usual, f"offering took {then / usual:.1f} times as long as before")
    usual, then = slowest(before), slowest(during)
    found.note("offering 10 ms of prices", f"p99 {usual * 1e6:.0f} us, meanwhile {then * 1e6:.0f} us")
    if seconds >= FIGURES_NEED_SECONDS:
        found.expect(then < usual + STEP_SLACK, f"p99 of offering: {then * 1e6:.0f} us after {usual * 1e6:.0f} us")


# --- S2


async def database_away(fault: str, seconds: float) -> Found:
    """Every row of the outage is in the spool, then in the database, once and in order; live data goes on."""
    found, beside = Found(), Beside()
    with PostgresServer() as server, tempfile.TemporaryDirectory() as folder:
        settings = PostgresSinkSettings(url=Secret(server.url), durable=True)
        spool = Spool(Path(folder) / "spool", settings.spool.size)
        async with (
            at_work(PostgresSink("db", settings), settings, spool) as worker,
            at_work(beside, SinkSettings(batch=_PROMPT)) as other,
        ):
            market = Market(worker, other)
            async with running(market):
                await eventually(lambda: worker.delivered)
                await asyncio.sleep(min(CALM_SECONDS, seconds / 5))
                before, calm = len(market.steps), len(beside.seconds)
                async with away(server, fault):
                    missing = worker.delivered
                    await asyncio.sleep(seconds)
                    missing, waiting = worker.delivered - missing, worker.queued
                    at_risk = worker.at_risk
                during, left, used = len(market.steps), len(beside.seconds), spool.used
                delivered, back = worker.delivered, time.monotonic()
                await eventually(lambda: worker.delivered > delivered, BACK_SECONDS)
                delivered, began = worker.delivered, time.monotonic()
                # What comes every second is never all there.
                await eventually(lambda: worker.queued <= TICKS_A_SECOND * 2, BACK_SECONDS + waiting / DRAIN_RATE)
                drained = time.monotonic()
                rate, live = (worker.delivered - delivered) / (drained - began), len(beside.seconds)
                await asyncio.sleep(1.0)
            offered = market.offered
            await eventually(lambda: worker.queued == 0, BACK_SECONDS)
        rows = server.execute("SELECT count(*), min(sequence), max(sequence) FROM prices")
        order = "SELECT bool_and(sequence > before) FROM (SELECT sequence, lag(sequence) OVER (ORDER BY id) AS before"
        in_order = server.execute(f"{order} FROM prices) AS rows WHERE before IS NOT NULL")
    found.expect(missing == 0 and waiting >= seconds * TICKS_A_SECOND * 0.95, f"{waiting:,} rows waited only")
    found.note("rows that waited", waiting)
    found.note("of them not on the disk yet", at_risk)
    found.note("spool", used / 2**20, "MiB")
    found.expect(used <= SPOOL_BYTES, f"the spool took {used / 2**20:.0f} MiB")
    found.note("the first row after the return", began - back, "s")
    found.note("drained", rate, "rows/s")
    if seconds >= FIGURES_NEED_SECONDS:
        found.expect(rate >= DRAIN_RATE, f"drained at {rate:,.0f} rows/s only")
    found.note("rows", f"{rows} of {offered}")
    found.expect(rows == f"{offered}|1|{offered}", f"not all rows are there, or not once: {rows} of {offered}")
    found.expect(in_order == "t", "not in order")
    found.expect(not sum(worker.dropped.values()), f"events were dropped: {worker.dropped}")
    _expect_unnoticed(found, market.steps[:before], market.steps[before:during], seconds)
    for name, times in (
        ("before", beside.seconds[:calm]),
        ("during the outage", beside.seconds[calm:left]),
        ("while it drains", beside.seconds[left:live]),
    ):
        found.note(f"p99 to another sink {name}", slowest(times), "s")
        if seconds >= FIGURES_NEED_SECONDS:
            found.expect(slowest(times) < LIVE_SECONDS, f"live data took {slowest(times):.2f} s {name}")
    found.expect(other.delivered == other.received, "another sink has lost events")
    found.note("memory at most", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB")
    return found


# --- S4 and S7


@dataclass
class Alerts:
    """Alerts as the journal hands them out: committed first, and without a number."""

    store: StateStore
    lane: OutboxLane
    sink: str
    count: int = 0

    async def fire(self, firing_id: str = "") -> None:
        """The next one, under this id or its number."""
        self.count += 1
        one = alert_named(firing_id or f"{self.count:08}", self.count)
        body = to_json(one)
        change = StateChange()
        change.events.append(EventRow(one.firing_id, one.event, one.symbol, one.alert_id, one.timestamp, body))
        change.owed.append((one.firing_id, self.sink))
        await self.store.commit(change)
        self.lane.put([Delivery(0, self.sink, one.firing_id, one.event, body, time.time())])

    async def run(self) -> None:
        """`ALERTS_A_SECOND`, until cancelled."""
        while True:
            await self.fire()
            await asyncio.sleep(1 / ALERTS_A_SECOND)


@contextlib.asynccontextmanager
async def alerting(
    sink: Sink, settings: SinkSettings, folder: Path, failed: Callable[[Exception], object] | None = None
) -> AsyncIterator[Alerts]:
    """The lane of `sink`, with its outbox in `folder`, drained at the end; `failed` hears of what goes wrong."""
    store = StateStore(folder / "state.db", on_damage=pytest.fail)
    lane = OutboxLane(
        SinkWorker(sink, settings), store, on_error=lambda _sink, error, _lost: failed(error) if failed else None
    )
    await store.open()
    task = asyncio.create_task(lane.run())
    try:
        yield Alerts(store, lane, sink.name)
    finally:
        await lane.drain(2)
        await task
        await store.close()


async def _alerts_wait(sink: Sink, settings: SinkSettings, outage: Callable[[], Coroutine[Any, Any, None]]) -> Found:
    """All alerts of an outage are delivered soon after its end, and none of them was given up."""
    found = Found()
    with tempfile.TemporaryDirectory() as folder:
        async with alerting(sink, settings, Path(folder)) as alerts:
            lane = alerts.lane
            firing = asyncio.create_task(alerts.run())
            await eventually(lambda: lane.delivered)
            await outage()
            owed, back = alerts.count - lane.delivered, time.monotonic()
            found.expect(owed >= 2, "the destination was not away at all")
            firing.cancel()
            await asyncio.wait([firing])
            with contextlib.suppress(AssertionError):
                await eventually(lambda: lane.delivered >= alerts.count, BACK_SECONDS)
            took = time.monotonic() - back
            # That they were delivered is written a moment later.
            while (left := await alerts.store.backlogs()) and time.monotonic() < back + BACK_SECONDS:
                await asyncio.sleep(0.05)
    found.note("alerts that waited", owed)
    found.note("all of them after the return", took, "s")
    found.expect(took < ALERTS_SECONDS, f"the last alert took {took:.0f} s after the return")
    found.expect(lane.delivered == alerts.count, f"{lane.delivered:,} of {alerts.count:,} alerts were delivered")
    found.expect(not left, f"left in the outbox: {left}")
    found.expect(not sum(lane.dropped.values()), f"alerts were dropped: {lane.dropped}")
    return found


def _expect_ids(found: Found, ids: Sequence[str]) -> None:
    """Each alert came under its own id; of some an answer was lost, so that they came once more."""
    counts = Counter(ids)
    found.note("came", f"{len(ids):,} times, {len(counts):,} of them different")
    wanted = {f"{number:08}" for number in range(1, len(counts) + 1)}
    found.expect(set(counts) == wanted, f"not the ids that were fired: {sorted(set(counts) ^ wanted)[:5]}")
    found.expect(max(counts.values()) <= 2, "an alert came more than twice")


async def webhook_away(seconds: float) -> Found:
    """It is down for the first half, and answers 503 in the second."""
    async with AsyncExitStack() as there:
        receiver = await there.enter_async_context(Receiver())
        port, ids = receiver.port, receiver.ids
        settings = WebhookSinkSettings(url=Secret(receiver.url), allow_private=True)

        async def outage() -> None:
            nonlocal ids, receiver
            ids = receiver.ids
            await there.aclose()
            await asyncio.sleep(seconds / 2)
            receiver = await there.enter_async_context(Receiver(port=port))
            receiver.answer = answering(503)
            await asyncio.sleep(seconds / 2)
            ids += receiver.ids
            await there.aclose()
            receiver = await there.enter_async_context(Receiver(port=port))

        found = await _alerts_wait(WebhookSink("hook", settings), settings, outage)
        _expect_ids(found, [*ids, *receiver.ids])
    return found


async def nats_away(fault: str, seconds: float) -> Found:
    """Longer than the window in which the server itself would notice what comes twice."""
    with NatsServer() as server:
        server.add_stream("alerts", duplicate_window=min(120.0, seconds / 4))
        settings = NatsSinkSettings(url=Secret(server.url), prefix="alerts")

        async def outage() -> None:
            async with away(server, fault):
                await asyncio.sleep(seconds)

        found = await _alerts_wait(NatsSink("bus", settings), settings, outage)
        _expect_ids(found, [message.id for message in await asyncio.to_thread(server.messages, "alerts")])
    return found


OUTAGES: dict[str, Callable[[float], Coroutine[Any, Any, Found]]] = {
    "s1-redis-down": functools.partial(redis_away, "down"),
    "s1-redis-frozen": functools.partial(redis_away, "frozen"),
    "s2-postgres-down": functools.partial(database_away, "down"),
    "s4-webhook-away": webhook_away,
    "s7-nats-down": functools.partial(nats_away, "down"),
}


def outage(name: str, seconds: float) -> Found:
    """One of `OUTAGES`, in a loop of its own, within bounds; what goes wrong is a promise broken."""
    try:
        return asyncio.run(asyncio.wait_for(OUTAGES[name](seconds), seconds + CALM_SECONDS + 4 * BACK_SECONDS))
    except pytest.skip.Exception as exc:
        return Found(broken=[f"it cannot be made here: {exc}"])
    except Exception as exc:  # noqa: BLE001 - the top of a program: the others are to be told of, too
        return Found(broken=[f"{type(exc).__name__}: {exc}"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.outages", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long each destination is away (default: 10)")
    parser.add_argument("--only", nargs="+", choices=list(OUTAGES), default=list(OUTAGES), metavar="NAME")
    chosen = parser.parse_args()
    print(f"outages: {chosen.minutes:g} minutes each: {', '.join(chosen.only)}", flush=True)
    is_broken = False
    with ProcessPoolExecutor(len(chosen.only), multiprocessing.get_context("spawn")) as pool:
        shown = pool.map(functools.partial(outage, seconds=chosen.minutes * 60), chosen.only)
        for name, found in zip(chosen.only, shown, strict=True):
            print(f"{name}: {'BROKEN' if found.broken else 'kept'}")
            for figure in found.figures:
                print(f"  {figure}")
            for promise in dict.fromkeys(found.broken):
                print(f"  BROKEN: {promise}", flush=True)
            is_broken = is_broken or bool(found.broken)
    print(f"outages: {'a promise was BROKEN' if is_broken else 'every promise was kept'}")
    return int(is_broken)


if __name__ == "__main__":
    sys.exit(main())

"""Tries a configuration out: each feed connects, authenticates and subscribes once, each sink is opened and asked.

Nothing is streamed, delivered, served or kept, but what a sink makes in a server when it is opened (its tables). All is
tried at the same time, but for feeds that share a key with a limit on connections: these take turns, so that none
throws out another. Whatever happens is in the findings; nothing here raises for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pricestreamd.daemon.trial.places import is_place, try_place
from pricestreamd.daemon.trial.remedies import sentence
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.silence.hours import hours_of
from pricestreamd.feeds.terms import profile_of
from pricestreamd.feeds.transports.gate import DIALS_AT_ONCE, DialGate
from pricestreamd.feeds.transports.transport import CLOSE_TIMEOUT
from pricestreamd.feeds.watchlists.watchlist import READ_SECONDS, Watchlist
from pricestreamd.model.errors import FeedError, SubscriptionRejected
from pricestreamd.model.events import Run
from pricestreamd.model.interface import SymbolReport
from pricestreamd.model.tick import Tick
from pricestreamd.sinks import catalogue
from pricestreamd.sinks.bearable import bearable
from pricestreamd.sinks.settings import AnySinkSettings, FileSinkSettings, NotifySinkSettings, SqliteSinkSettings
from pricestreamd.sinks.trial import Probes

PRICE_SECONDS = 5.0
"""A first price is waited for so long."""
CLOSED_SECONDS = 1.0
"""The same while every market is closed: some feeds tell the last price all the same."""
SINK_SECONDS = 10.0
"""A sink may take so long to be opened and closed."""

_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class FirstPrice:
    """The first price that came, so many `seconds` after the subscription."""

    symbol: str
    price: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Closed:
    """All markets of the accepted symbols are closed; the first opens at `opens_at`, epoch seconds, or nobody knows."""

    markets: tuple[str, ...]
    opens_at: float | None


@dataclass(slots=True)
class FeedFindings:
    """What happened to one feed. `places` are `host:port`; `milliseconds` until all of them were connected.

    `refused` and `unplaced` are symbols with the reason; `unanswered` those of which the provider has said nothing.
    `notes` are worth reading and no fault; `error` ended it, a sentence that says what to do.
    """

    feed: str
    provider: str
    tls: bool
    places: list[str] = field(default_factory=list)
    milliseconds: float | None = None
    accepted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    unplaced: dict[str, str] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)
    price: FirstPrice | None = None
    closed: Closed | None = None
    notes: list[str] = field(default_factory=list)
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it was reached, and nothing was refused."""
        return self.error is None and not self.refused


@dataclass(slots=True)
class SinkFindings:
    """What happened to one sink. `milliseconds` to open and close it; `error` is a sentence.

    `asked`: its destination was asked, and nothing sent to it. `place`: its file, which was tried and not made; `notes`
    are worth reading and no fault.
    """

    sink: str
    type: str
    milliseconds: float | None = None
    asked: bool = False
    place: str | None = None
    notes: list[str] = field(default_factory=list)
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it could be opened and closed."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class Findings:
    """What happened to all of them, in the order of the configuration."""

    feeds: list[FeedFindings]
    sinks: list[SinkFindings]

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return all(feed.ok for feed in self.feeds) and all(sink.ok for sink in self.sinks)


async def probe(
    feeds: Mapping[str, FeedSettings],
    sinks: Mapping[str, AnySinkSettings],
    *,
    sink_seconds: float = SINK_SECONDS,
    state: Path | None = None,
) -> Findings:
    """Try all of them out. Takes as long as the slowest: its own deadlines, and a few seconds.

    `state`: the folder that a service manager makes for the daemon.
    """
    gate, turns = DialGate(), _Turns()
    async with asyncio.TaskGroup() as group:
        of_feeds = [group.create_task(_in_turn(turns, _FeedProbe(*feed, gate))) for feed in feeds.items()]
        of_sinks = [group.create_task(_probe_sink(*sink, sink_seconds, state)) for sink in sinks.items()]
    return Findings([task.result() for task in of_feeds], [task.result() for task in of_sinks])


# --- feeds


class _Turns:
    """Who shares a key whose provider limits connections goes one after the other."""

    def __init__(self) -> None:
        self._locks: dict[object, asyncio.Lock] = {}

    def lock_of(self, settings: FeedSettings) -> asyncio.Lock | None:
        """What to hold while the feed is connected; None where nobody else is concerned."""
        if profile_of(settings).max_connections is None:
            return None
        return self._locks.setdefault((settings.provider, settings.endpoint, settings.api_key), asyncio.Lock())


async def _in_turn(turns: _Turns, feed: _FeedProbe) -> FeedFindings:
    async with AsyncExitStack() as stack:
        if (lock := turns.lock_of(feed.settings)) is not None:
            await stack.enter_async_context(lock)
        return await feed.run()


class _FeedProbe:
    """One feed, tried once: what is lost is not dialled again."""

    def __init__(self, name: str, settings: FeedSettings, gate: DialGate) -> None:
        self.settings = settings
        once = replace(settings, reconnect=replace(settings.reconnect, enabled=False))
        self._client = WebSocketClient.from_settings(name, once, Run("check"), gate=gate)
        address = settings.endpoint or self._client.profile.endpoint
        self._found = FeedFindings(name, settings.provider, address.startswith(("wss:", "https:")))
        self._first: tuple[Tick, float] | None = None
        self._client.on_message(self._on_tick)
        self._client.on_connection(self._on_connection)
        self._client.on_error(self._on_error)

    async def run(self) -> FeedFindings:
        """Connect, subscribe, wait for a price, disconnect."""
        await self._read_watchlist()
        rounds = -(-len(self._client.connections) // DIALS_AT_ONCE)
        limit = self.settings.connect_timeout * rounds + self.settings.subscribe_timeout + PRICE_SECONDS + CLOSE_TIMEOUT
        try:
            async with asyncio.timeout(limit):
                await self._converse()
        except FeedError as exc:
            self._found.error = sentence(exc, self.settings)
        except TimeoutError:
            self._found.error = f"not done within {limit:g} s: try again, with fewer symbols perhaps"
        finally:
            await self._client.disconnect()
        self._found.notes = [note for note in self._found.notes if note != self._found.error]
        return self._found

    async def _converse(self) -> None:
        client, found = self._client, self._found
        began = time.monotonic()
        await client.connect()
        found.milliseconds = round(1000 * (time.monotonic() - began), 1)
        life = asyncio.create_task(client.listen())
        try:
            # The session's own patience ends first, and says so.
            await _until(lambda: life.done() or not self._symbols("pending"), self.settings.subscribe_timeout + 0.5)
            self._note_symbols()
            subscribed_at = time.monotonic()
            if found.accepted and not life.done():
                found.closed = self._closed()
                patience = PRICE_SECONDS if found.closed is None else CLOSED_SECONDS
                await _until(lambda: life.done() or self._first is not None, patience)
                if self._first is not None:
                    tick, at = self._first
                    found.price = FirstPrice(tick.symbol, tick.price, round(max(0.0, at - subscribed_at), 3))
        finally:
            if not life.done():
                life.cancel()
            await asyncio.wait({life})
        if not life.cancelled():
            life.result()

    async def _read_watchlist(self) -> None:
        settings = self.settings.watchlist
        if settings is None:
            return
        try:
            async with asyncio.timeout(2 * READ_SECONDS):
                symbols = await Watchlist(self._found.feed, settings).read()
        except (FeedError, TimeoutError) as exc:
            self._found.notes.append(f"its watchlist could not be read: {exc}")
            return
        self._found.notes.append(f"its watchlist names {len(symbols)} symbols")
        self._client.set_watchlist(symbols)

    def _note_symbols(self) -> None:
        found = self._found
        found.accepted = [report["symbol"] for report in self._symbols("subscribed")]
        found.unanswered = [report["symbol"] for report in self._symbols("pending")]
        found.refused |= {report["symbol"]: report["reason"] or "" for report in self._symbols("rejected")}
        found.unplaced = {report["symbol"]: report["reason"] or "" for report in self._symbols("unplaced")}

    def _symbols(self, state: str) -> list[SymbolReport]:
        return [report for report in self._client.symbol_reports() if report["state"] == state]

    def _closed(self) -> Closed | None:
        """None where a market is open, or may be."""
        now = time.time()
        about, setting = self._client.profile, self.settings.market_hours
        known = [hours_of(symbol, setting, about) for symbol in self._found.accepted]
        if any(hours is None or hours.is_open(now) for hours in known):
            return None
        markets = {hours.name: hours for hours in known if hours is not None}
        openings = [change for hours in markets.values() if (change := hours.next_change(now)) is not None]
        return Closed(tuple(markets), min(openings, default=None))

    # --- callbacks

    def _on_tick(self, tick: Tick) -> None:
        if self._first is None:
            self._first = tick, time.monotonic()

    def _on_connection(self, change: str, data: Mapping[str, object]) -> None:
        if change == "connected":
            self._found.places.append(f"{data['host']}:{data['port']}")

    def _on_error(self, word: str, error: Exception) -> None:
        del word
        if isinstance(error, SubscriptionRejected):
            return
        text = sentence(error, self.settings) if isinstance(error, FeedError) else str(error)
        if text not in self._found.notes:
            self._found.notes.append(text)


async def _until(condition: Callable[[], object], timeout: float) -> None:
    """Until `condition()` is true, or `timeout` seconds are over."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            while not condition():  # noqa: ASYNC110 - no event tells of every answer of a provider
                await asyncio.sleep(_LOOK_SECONDS)


# --- sinks


async def _probe_sink(name: str, settings: AnySinkSettings, seconds: float, state: Path | None) -> SinkFindings:
    found = SinkFindings(name, settings.type)
    began = time.monotonic()
    try:
        sink = catalogue.create(name, settings)
        async with asyncio.timeout(seconds):
            if isinstance(settings, FileSinkSettings | SqliteSinkSettings) and is_place(settings.path):
                found.place = str(settings.path)
                found.notes = await asyncio.to_thread(try_place, name, settings, state)
            else:
                with bearable(name, "trial"):
                    try:
                        await sink.open()
                        if isinstance(sink, Probes):
                            await sink.probe()
                            found.asked = True
                    finally:
                        await sink.close()
    except TimeoutError:
        found.error = f"no answer within {seconds:g} s: is it there, and reachable from here?"
    except Exception as exc:  # noqa: BLE001 - a sink: whatever it raises is told of
        found.error = str(exc) or type(exc).__name__
    else:
        found.milliseconds = round(1000 * (time.monotonic() - began), 1)
        if isinstance(settings, NotifySinkSettings):
            found.notes.append("no message was sent: where it runs, pricestreamd sinks test sends one")
    return found

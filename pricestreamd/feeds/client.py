"""`WebSocketClient`: one feed, as programs and the daemon use it."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import msgspec

from pricestreamd.feeds.announcer import Announcer, EventCallback
from pricestreamd.feeds.connection import Connection, FrameCallback
from pricestreamd.feeds.counters import FeedCounters
from pricestreamd.feeds.dialler import Dialler
from pricestreamd.feeds.endpoint import endpoint_fault
from pricestreamd.feeds.gate import DialGate
from pricestreamd.feeds.pool import Pool
from pricestreamd.feeds.reports import client_stats, connection_report, feed_state, symbol_reports
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.strategy import changed_strategy
from pricestreamd.feeds.terms import new_adapter, profile_of
from pricestreamd.feeds.tick_queue import TickQueue
from pricestreamd.feeds.wishes import Wisher, Wishes
from pricestreamd.model.errors import TransportError
from pricestreamd.model.events import Run
from pricestreamd.model.interface import (
    ClientStats,
    ConnectionCallback,
    ConnectionState,
    ErrorCallback,
    FeedReport,
    MessageCallback,
    SymbolReport,
)
from pricestreamd.model.secret import Secret
from pricestreamd.model.tick import Tick
from pricestreamd.providers.base import Adapter


class WebSocketClient:
    """A feed of ticks, which connects, subscribes, watches over its connections and connects again.

    `provider` is a name of the catalogue. `endpoint`: without it the provider's own. `timeout`: seconds from name
    resolution to upgrade. `name` is the feed's label everywhere, the provider's name if nothing else is said.
    `settings`: everything else; with them their `connect_timeout` counts. `run` numbers the events of `on_event`.
    `gate`: shared by the feeds of one process, so that they do not all dial at once. `on_frame` sees every message as
    it came, before it is decoded. A feed has as many connections as its symbols need, one to begin with.

    Two ways to use it: `connect` and `listen` for programs, where a fatal refusal is raised; `run` for a daemon, where
    the first dial is repeated for ever and a refused key is parked. Callbacks are plain functions, called in the order
    of their registration; one that raises is logged and counted, and stops nothing.
    """

    def __init__(
        self,
        provider: str,
        *,
        api_key: str | Secret | None = None,
        endpoint: str | None = None,
        timeout: float = 30.0,
        name: str | None = None,
        settings: FeedSettings | None = None,
        run: Run | None = None,
        gate: DialGate | None = None,
        on_frame: FrameCallback | None = None,
    ) -> None:
        if settings is None:
            settings = FeedSettings(provider=provider, connect_timeout=timeout)
        key = Secret(api_key) if isinstance(api_key, str) else api_key
        key, endpoint = key or settings.api_key, endpoint or settings.endpoint
        self.settings = replace(settings, provider=provider, api_key=key, endpoint=endpoint)
        self.profile = profile_of(self.settings)
        address = self.settings.endpoint or self.profile.endpoint
        fault = endpoint_fault(address, transport=self.profile.transport, allow_plaintext=settings.allow_plaintext)
        if fault is not None:
            raise ValueError(f"endpoint: {fault}")
        self.name = name or provider
        self.provider = provider
        self._announcer = Announcer(self.name, run or Run(secrets.token_hex(4)), self._wake_waiters)
        self._life: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Event] = []
        self._queues: set[TickQueue] = set()
        self._wishes = Wishes()
        self._dialler = Dialler(self.settings, self.profile, address, gate or DialGate())
        self._pool = Pool(
            self.settings,
            self.profile,
            self._announcer,
            new_adapter=self._new_adapter,
            dial=self._dialler.dial,
            options=self._dialler.options,
            dice=random.uniform,
            on_frame=on_frame,
        )
        self._wish("yaml", self.settings.symbols)

    @classmethod
    def from_settings(
        cls,
        name: str,
        settings: FeedSettings,
        run: Run,
        *,
        gate: DialGate | None = None,
        on_frame: FrameCallback | None = None,
    ) -> Self:
        """The feed `name` of a configuration; `run` numbers its events. Its symbols are wanted from the start."""
        return cls(settings.provider, name=name, settings=settings, run=run, gate=gate, on_frame=on_frame)

    # --- connecting

    async def connect(self) -> None:
        """Open the connections; return when all are open. No second attempt is made for the first dial of each.

        Raises:
            AuthenticationFailed: key or plan are refused.
            FeedError: a connection could not be opened; the text says why.
        """
        if self.is_connected:
            return
        closed = [one for one in self.connections if not one.session.is_open and self._pool.is_worth_dialling(one)]
        openings = {one: one.openings for one in closed}
        life = self._begin(supervised=False)
        try:
            while not life.done() and any(one.openings == count for one, count in openings.items()):
                await self._wait(life)
        except asyncio.CancelledError:
            await self.disconnect()
            raise
        if life.done():
            self._life = None
            _raise_fate(life)
            raise TransportError("disconnected while connecting", feed=self.name, reason="stopped")

    async def disconnect(self) -> None:
        """Unsubscribe, say goodbye and close, within two seconds and a bit; `listen` and `run` return."""
        await self._pool.stop()
        life, self._life = self._life, None
        if life is not None:
            await asyncio.wait({life})

    async def listen(self, timeout: float | None = None) -> None:
        """Deliver messages until `timeout` seconds are over or `disconnect`, connecting first if nobody has.

        Lost connections are replaced inside. After the timeout the connection stays open. Cancelling closes it.

        Raises:
            AuthenticationFailed: key or plan are refused.
            FeedError: reconnecting is switched off, or its attempts are exhausted.
        """
        if self._life is None:
            await self.connect()
        await self._follow(timeout)

    async def run(self) -> None:
        """The whole supervised life: dial for ever, read, connect again; until `disconnect` or cancellation.

        A refused key parks the feed (`state` is `parked`, `on_error` is told), tried again now and then.

        Raises:
            FeedError: reconnecting is switched off, or its attempts are exhausted.
        """
        if self._life is not None and not self._life.done():
            raise RuntimeError(f"feed {self.name} runs already")
        self._life = None
        self._begin(supervised=True)
        await self._follow(None)

    def retry_now(self) -> None:
        """Dial at once if the feed is parked or waiting: something has changed."""
        self._pool.retry_now()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def __aiter__(self) -> AsyncIterator[Tick]:
        """Ticks as they come, connecting first if nobody has; ends with `disconnect`, raises what `listen` raises.

        Up to `TickQueue.LIMIT` ticks wait for a slow reader, then the oldest give way (`counters.dropped`).
        """
        queue = TickQueue(self._announcer.counters)
        self._queues.add(queue)
        self.on_message(queue.put)
        try:
            if self._life is None:
                await self.connect()
            life = self._life
            if life is not None and life.done():
                queue.end()
            async for tick in queue:
                yield tick
            if life is not None:
                _raise_fate(life)
        finally:
            self._queues.discard(queue)
            pool = self._pool
            pool.callbacks = tuple(callback for callback in pool.callbacks if callback != queue.put)

    # --- symbols

    async def subscribe(self, symbols: Iterable[str]) -> None:
        """Want `symbols`; return when each is answered for, or after the subscribe timeout.

        Without a connection they are only noted, and subscribed as soon as there is one. Refused symbols are told to
        `on_error` as `SubscriptionRejected`.
        """
        wanted = _names(symbols)
        self._wishes.add("api", wanted)
        self.want(wanted)
        life = self._life
        if life is None:
            return
        deadline = time.monotonic() + self.settings.subscribe_timeout
        while not life.done() and not self._pool.settled(wanted):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            await self._wait(life, left)

    async def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Want `symbols` no longer. Their late ticks are dropped and counted from now on."""
        self.unwant(_names(symbols))

    def want(self, symbols: Iterable[str]) -> None:
        """As `subscribe`, without waiting for any answer."""
        self._pool.want(_names(symbols))

    def unwant(self, symbols: Iterable[str]) -> None:
        """As `unsubscribe`, for plain functions."""
        names = _names(symbols)
        self._wishes.withdraw("api", names)
        self._pool.unwant(names)

    def set_watchlist(self, symbols: Iterable[str]) -> None:
        """Want `symbols` because a watchlist names them, instead of those that it named before.

        A symbol that the configuration or a program wants stays when the watchlist drops it.
        """
        self._wish("watchlist", _names(symbols))

    def stand_in_for(self, symbols: Iterable[str]) -> None:
        """Want `symbols` because another feed cannot deliver them, instead of those before."""
        self._wish("backup", _names(symbols))

    def _wish(self, wisher: Wisher, symbols: Iterable[str]) -> None:
        new, gone = self._wishes.replace(wisher, symbols)
        if gone:
            self._pool.unwant(gone)
        if new:
            self._pool.want(new)

    def get_subscriptions(self) -> list[str]:
        """The wanted symbols, in the order in which they were asked for."""
        return self._pool.wanted

    def wants(self, symbol: str) -> bool:
        """Whether `symbol` is wanted here, in whatever spelling."""
        return symbol in self._pool

    def apply(self, settings: FeedSettings) -> None:
        """Take changed settings on the open connections: symbols, room, reconnection, heartbeat, silence, and the key.

        Symbols that did not come from the settings stay. A changed key counts from the next dial, which a parked feed
        makes at once. What else has changed (endpoint, TLS, sizes) needs a new client.
        """
        before, self.settings = self.settings, settings
        self._pool.configure(settings)
        self._wish("yaml", settings.symbols)
        if settings.api_key != before.api_key and self.state == "parked":
            self.retry_now()

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a JSON message of your own on the first connection, paced like all others.

        Raises:
            TransportError: there is no open connection.
        """
        text = msgspec.json.encode(dict(message)).decode()
        connection = next(iter(self.connections))
        session = connection.session
        while session.is_open and (wait := session.send_wait(time.monotonic())) > 0:  # noqa: ASYNC110 - a pace, no poll
            await asyncio.sleep(wait)
        connection.perform(session.send(text, time.monotonic()))

    # --- callbacks

    def on_message(self, callback: MessageCallback) -> None:
        """Call `callback` with each tick."""
        self._pool.callbacks = (*self._pool.callbacks, callback)

    def on_connection(self, callback: ConnectionCallback) -> None:
        """Call `callback` with a word and a mapping that always holds `feed` and `connection` (the slot).

        `connected`: and `host`, `port`. `disconnected`: and `host`, `port`, `reason`. `reconnecting`: and `attempt`,
        `delay` (seconds), `reason`.
        """
        self._announcer.connection_callbacks = (*self._announcer.connection_callbacks, callback)

    def on_error(self, callback: ErrorCallback) -> None:
        """Call `callback` with a stable word and the exception, a `FeedError`.

        Failed dials, connections lost without a goodbye, complaints of the provider, a refused key
        (`AuthenticationFailed`, `auth`) and refused symbols (`SubscriptionRejected`, `subscription`).
        """
        self._announcer.error_callbacks = (*self._announcer.error_callbacks, callback)

    def on_event(self, callback: EventCallback) -> None:
        """Call `callback` with records of what data did, or did not do.

        `PriceStale`, `PriceResumed`, `PriceGap`, and `PriceError` when a backup takes over or gives back.
        """
        self._announcer.event_callbacks = (*self._announcer.event_callbacks, callback)

    # --- settings

    def set_reconnection_strategy(self, config: Mapping[str, Any] | None = None, **settings: Any) -> None:
        """Change `enabled`, `max_attempts`, `initial_delay`, `max_delay`, `backoff_multiplier` or `jitter`.

        Raises:
            ValueError: an unknown word, or a value that cannot be; delays are seconds.
        """
        reconnect = changed_strategy(self.settings.reconnect, {**(config or {}), **settings})
        self._configure(replace(self.settings, reconnect=reconnect))

    def set_heartbeat(self, enabled: bool, interval: float = 30.0) -> None:
        """Ping every `interval` seconds, or not at all."""
        if not interval > 0:
            raise ValueError(f"interval is more than 0 seconds, not {interval!r}")
        heartbeat = replace(self.settings.heartbeat, enabled=enabled, interval=float(interval))
        self._configure(replace(self.settings, heartbeat=heartbeat))

    def _configure(self, settings: FeedSettings) -> None:
        self.settings = settings
        self._pool.configure(settings)

    # --- questions

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The present connection of each slot."""
        return tuple(self._pool.connections.values())

    @property
    def counters(self) -> FeedCounters:
        """What this feed has counted, over all its connections."""
        return self._pool.counters

    @property
    def was_live(self) -> bool:
        """Whether this feed was ever subscribed: its key is known to have been good."""
        return self._announcer.was_live

    @property
    def is_connected(self) -> bool:
        """Whether all its connections are open now."""
        return all(connection.session.is_open for connection in self.connections)

    @property
    def state(self) -> ConnectionState:
        """The state of the feed: that of its connections (see `feeds.session`), the worst where they differ."""
        return feed_state(self._pool)

    @property
    def market_open(self) -> bool:
        """Whether prices of any subscribed symbol may be expected now."""
        return self._pool.watch.market_open(time.time())

    @property
    def stale_symbols(self) -> frozenset[str]:
        """The symbols of which no price has come for too long, while their market is open."""
        return self._pool.watch.stale

    def get_stats(self) -> ClientStats:
        """Counters of this client. `uptime`: of the youngest connection; 0 unless all are open."""
        return client_stats(self._announcer, self._pool)

    def undelivered(self) -> tuple[frozenset[str], frozenset[str]]:
        """The symbols whose connection is not live now, and those of them that have been silent or refused for long."""
        down: dict[bool, set[str]] = {False: set(), True: set()}
        for connection in self.connections:
            state = connection.session.state
            if state != "live":
                down[state in ("stale", "parked")].update(connection.session.subscriptions.wanted)
        return frozenset(down[False] | down[True]), frozenset(down[True])

    def handed_over(self, backup: str, taken: Sequence[str], given_back: int) -> None:
        """`backup` has taken over symbols of this feed, or given some back."""
        if taken:
            self._announcer.taken_over(backup, taken, since=self.counters.last_message_at)
        if given_back:
            self._announcer.given_back(backup, given_back)

    def report(self) -> FeedReport:
        """This feed, for people and programs that ask."""
        connections = [connection_report(connection) for connection in self.connections]
        return {
            "provider": self.provider,
            "state": self.state,
            "backup": self.settings.backup,
            "connections": connections,
        }

    def symbol_reports(self) -> list[SymbolReport]:
        """Every wanted symbol, in the order in which they were asked for."""
        return symbol_reports(self.name, self._pool, self._wishes.source)

    # --- the task

    def _begin(self, *, supervised: bool) -> asyncio.Task[None]:
        """The running life, or a new one."""
        if self._life is None or self._life.done():
            self._life = asyncio.create_task(self._pool.run(supervised=supervised), name=f"feed {self.name}")
            self._life.add_done_callback(self._ended)
        return self._life

    def _ended(self, life: asyncio.Task[None]) -> None:
        error = None if life.cancelled() else life.exception()
        if error is not None:
            self._announcer.ended(error)
        self._wake_waiters()
        for queue in self._queues:
            queue.end()

    async def _follow(self, timeout: float | None) -> None:
        life = self._life
        if life is None:
            return
        try:
            await asyncio.wait({life}, timeout=timeout)
        except asyncio.CancelledError:
            await self.disconnect()
            raise
        if life.done():
            if self._life is life:
                self._life = None
            _raise_fate(life)

    async def _wait(self, life: asyncio.Task[None], timeout: float | None = None) -> None:
        """Until something is told, the life ends, or `timeout` seconds are over."""
        told = asyncio.Event()
        self._waiters.append(told)
        waiting = asyncio.ensure_future(told.wait())
        try:
            await asyncio.wait({waiting, life}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            self._waiters.remove(told)

    def _wake_waiters(self) -> None:
        for told in self._waiters:
            told.set()

    def _new_adapter(self) -> Adapter:
        return new_adapter(self.name, self.settings)


def _raise_fate(life: asyncio.Task[None]) -> None:
    if life.done() and not life.cancelled():
        life.result()


def _names(symbols: Iterable[str]) -> list[str]:
    if isinstance(symbols, str):
        raise TypeError(f"symbols is a list of texts: [{symbols!r}]")
    return list(symbols)

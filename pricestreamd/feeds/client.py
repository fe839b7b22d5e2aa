"""`WebSocketClient`: one feed, as programs and the daemon use it."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import msgspec

from pricestreamd.feeds.announcer import Announcer, EventCallback
from pricestreamd.feeds.connection import Connection
from pricestreamd.feeds.counters import FeedCounters
from pricestreamd.feeds.dial import dial
from pricestreamd.feeds.endpoint import endpoint_fault, tls_context
from pricestreamd.feeds.reports import client_stats, connection_report, symbol_reports
from pricestreamd.feeds.session import Session
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.strategy import changed_strategy
from pricestreamd.feeds.tick_queue import TickQueue
from pricestreamd.feeds.transport import Options, Transport
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
from pricestreamd.model.tick import Tick, symbol_key
from pricestreamd.providers.base import Adapter, Terms
from pricestreamd.providers.catalogue import create, profile


class WebSocketClient:
    """A feed of ticks over a WebSocket, which connects, subscribes, watches over the connection and connects again.

    `provider` is a name of the catalogue. `endpoint`: without it the provider's own. `timeout`: seconds from name
    resolution to upgrade. `name` is the feed's label everywhere, the provider's name if nothing else is said.
    `settings`: everything else; with them their `connect_timeout` counts. `run` numbers the events of `on_event`.

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
    ) -> None:
        if settings is None:
            settings = FeedSettings(provider=provider, connect_timeout=timeout)
        key = Secret(api_key) if isinstance(api_key, str) else api_key
        self.settings = replace(settings, api_key=key or settings.api_key, endpoint=endpoint or settings.endpoint)
        self._address = address = self.settings.endpoint or profile(provider).endpoint
        if (fault := endpoint_fault(address, allow_plaintext=settings.allow_plaintext)) is not None:
            raise ValueError(f"endpoint: {fault}")
        self.name = name or provider
        self.provider = provider
        self._announcer = Announcer(self.name, run or Run(secrets.token_hex(4)), self._wake_waiters)
        self._options: Options | None = None
        self._life: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Event] = []
        self._queues: set[TickQueue] = set()
        self._api_symbols: set[str] = set()
        self._session = Session(self.name, self.settings, self._new_adapter, random.uniform)
        self._session.subscriptions.want(self.settings.symbols)
        self._connection = Connection(0, self._session, self._dial, self._announcer)

    @classmethod
    def from_settings(cls, name: str, settings: FeedSettings, run: Run) -> Self:
        """The feed `name` of a configuration; `run` numbers its events. Its symbols are wanted from the start."""
        return cls(settings.provider, name=name, settings=settings, run=run)

    # --- connecting

    async def connect(self) -> None:
        """Open the connection; return when it is open. No second attempt is made for the first dial.

        Raises:
            AuthenticationFailed: key or plan are refused.
            FeedError: the connection could not be opened; the text says why.
        """
        if self.is_connected:
            return
        opened = self._announcer.connections
        life = self._begin(supervised=False)
        try:
            while not life.done() and self._announcer.connections == opened:
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
        await self._connection.stop()
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
        self._connection.perform(self._session.retry_now(time.monotonic()))

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
        queue = TickQueue(self.counters)
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
            announcer = self._announcer
            announcer.callbacks = tuple(callback for callback in announcer.callbacks if callback != queue.put)

    # --- symbols

    async def subscribe(self, symbols: Iterable[str]) -> None:
        """Want `symbols`; return when each is answered for, or after the subscribe timeout.

        Without a connection they are only noted, and subscribed as soon as there is one. Refused symbols are told to
        `on_error` as `SubscriptionRejected`.
        """
        wanted = _names(symbols)
        self._api_symbols.update(map(symbol_key, wanted))
        self.want(wanted)
        life = self._life
        if life is None:
            return
        deadline = time.monotonic() + self.settings.subscribe_timeout
        while not life.done() and not self._session.subscriptions.settled(wanted):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            await self._wait(life, left)

    async def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Want `symbols` no longer. Their late ticks are dropped and counted from now on."""
        self.unwant(_names(symbols))

    def want(self, symbols: Iterable[str]) -> None:
        """As `subscribe`, without waiting for any answer."""
        self._connection.perform(self._session.want(_names(symbols), time.monotonic()))

    def unwant(self, symbols: Iterable[str]) -> None:
        """As `unsubscribe`, for plain functions."""
        names = _names(symbols)
        self._api_symbols.difference_update(map(symbol_key, names))
        self._connection.perform(self._session.unwant(names, time.monotonic()))

    def get_subscriptions(self) -> list[str]:
        """The wanted symbols, in the order in which they were asked for."""
        return self._session.subscriptions.wanted

    def wants(self, symbol: str) -> bool:
        """Whether `symbol` is wanted here, in whatever spelling."""
        return symbol in self._session.subscriptions

    def apply(self, settings: FeedSettings) -> None:
        """Take changed settings on the open connection: symbols, reconnection, heartbeat, silence, and the key.

        Symbols that did not come from the settings stay. A changed key counts from the next dial, which a parked feed
        makes at once. What else has changed (endpoint, TLS, sizes) needs a new client.
        """
        before, self.settings = self.settings, settings
        now = time.monotonic()
        self._connection.perform(self._session.configure(settings, now))
        new = set(map(symbol_key, settings.symbols)) | self._api_symbols
        self.unwant([symbol for symbol in before.symbols if symbol_key(symbol) not in new])
        self.want([symbol for symbol in settings.symbols if symbol not in before.symbols])
        if settings.api_key != before.api_key and self.state == "parked":
            self.retry_now()

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a JSON message of your own, paced like all others.

        Raises:
            TransportError: there is no open connection.
        """
        text = msgspec.json.encode(dict(message)).decode()
        wait = self._session.send_wait(time.monotonic())
        while wait > 0 and self.is_connected:
            await asyncio.sleep(wait)
            wait = self._session.send_wait(time.monotonic())
        self._connection.perform(self._session.send(text, time.monotonic()))

    # --- callbacks

    def on_message(self, callback: MessageCallback) -> None:
        """Call `callback` with each tick."""
        self._announcer.callbacks = (*self._announcer.callbacks, callback)

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
        """Call `callback` with `PriceStale`, `PriceResumed` and `PriceGap` records: what data did, or did not do."""
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
        self._connection.perform(self._session.configure(settings, time.monotonic()))

    # --- questions

    @property
    def counters(self) -> FeedCounters:
        """What this feed has counted."""
        return self._announcer.counters

    @property
    def was_live(self) -> bool:
        """Whether this feed was ever subscribed: its key is known to have been good."""
        return self._announcer.was_live

    @property
    def is_connected(self) -> bool:
        """Whether a connection is open now."""
        return self._session.is_open

    @property
    def state(self) -> ConnectionState:
        """The state of the connection; see `feeds.session`."""
        return self._session.state

    def get_stats(self) -> ClientStats:
        """Counters of this client. `uptime`: of the present connection; 0 without one."""
        return client_stats(self._announcer, self._connection)

    def report(self) -> FeedReport:
        """This feed, for people and programs that ask."""
        connections = [connection_report(self._announcer, self._connection)]
        return {"provider": self.provider, "state": self.state, "connections": connections}

    def symbol_reports(self) -> list[SymbolReport]:
        """Every wanted symbol, in the order in which they were asked for."""
        return symbol_reports(self.name, self._connection, self.settings.symbols)

    # --- the task

    def _begin(self, *, supervised: bool) -> asyncio.Task[None]:
        """The running life, or a new one."""
        if self._life is None or self._life.done():
            self._life = asyncio.create_task(self._connection.run(supervised=supervised), name=f"feed {self.name}")
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
        settings = self.settings
        return create(self.provider, Terms(feed=self.name, api_key=settings.api_key, endpoint=settings.endpoint))

    async def _dial(self, adapter: Adapter) -> Transport:
        if self._options is None:
            settings = self.settings
            # Reading the authorities of the system takes a while; the loop has other things to do.
            tls = (
                await asyncio.to_thread(tls_context, settings.tls.ca_file)
                if self._address.startswith(("wss:", "https:"))
                else None
            )
            proxy = settings.proxy.reveal() if isinstance(settings.proxy, Secret) else settings.proxy
            self._options = Options(
                tls=tls,
                connect_timeout=settings.connect_timeout,
                max_message_size=settings.max_message_size,
                proxy=proxy,
            )
        return await dial(adapter, self._options)


def _raise_fate(life: asyncio.Task[None]) -> None:
    if life.done() and not life.cancelled():
        life.result()


def _names(symbols: Iterable[str]) -> list[str]:
    if isinstance(symbols, str):
        raise TypeError(f"symbols is a list of texts: [{symbols!r}]")
    return list(symbols)

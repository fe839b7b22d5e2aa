"""`WebSocketClient`: a feed with a life of its own, as programs and the daemon use it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import msgspec

from pricestreamd.feeds.connection.connection import FrameCallback
from pricestreamd.feeds.feed import Feed, names_in
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.strategy import changed_strategy
from pricestreamd.feeds.tick_queue import TickQueue
from pricestreamd.feeds.transports.gate import DialGate
from pricestreamd.model.errors import TransportError
from pricestreamd.model.events import Run
from pricestreamd.model.secret import Secret
from pricestreamd.model.tick import Tick


class WebSocketClient(Feed):
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
        settings = replace(settings, provider=provider, api_key=key, endpoint=endpoint)
        self._life: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Event] = []
        self._queues: set[TickQueue] = set()
        super().__init__(name or provider, settings, run=run, gate=gate, on_frame=on_frame)

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
            while not life.done() and any(one.openings == openings.get(one) for one in self.connections):
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

    async def pause(self) -> None:
        """As `disconnect`, but prices that come until the next `run` are missed, and told of as a gap then."""
        silences = {one: one.session.silence(time.monotonic()) for one in self.connections}
        await self.disconnect()
        for connection in self.connections:
            if connection in silences:
                connection.perform(connection.session.go_on_from(silences[connection], time.monotonic()))
            if connection.gap is not None:
                connection.session.expect_gap()

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
            self.forget_message(queue.put)

    # --- symbols

    async def subscribe(self, symbols: Iterable[str]) -> None:
        """Want `symbols`; return when each is answered for, or after the subscribe timeout.

        Without a connection they are only noted, and subscribed as soon as there is one. Refused symbols are told to
        `on_error` as `SubscriptionRejected`.
        """
        wanted = names_in(symbols)
        self.want(wanted)
        life = self._life
        if life is None:
            return
        deadline = time.monotonic() + self.settings.subscribe_timeout
        while not life.done() and not self._pool.places.settled(wanted):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            await self._wait(life, left)

    async def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Want `symbols` no longer. Their late ticks are dropped and counted from now on."""
        self.unwant(names_in(symbols))

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
        self._changed()
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

    def _changed(self) -> None:
        for told in self._waiters:
            told.set()


def _raise_fate(life: asyncio.Task[None]) -> None:
    if life.done() and not life.cancelled():
        life.result()

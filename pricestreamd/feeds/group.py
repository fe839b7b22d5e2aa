"""Several feeds as one: each symbol goes to the feed that it belongs to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pricestreamd.feeds.announcer import EventCallback
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.standby import Standby
from pricestreamd.feeds.takeover import PATIENCE, SETTLED
from pricestreamd.model.errors import TransportError
from pricestreamd.model.interface import ClientStats, ConnectionCallback, ErrorCallback, MessageCallback
from pricestreamd.model.tick import Tick, symbol_key


class FeedGroup:
    """`clients` by their names, in order; implements `WebSocketInterface`.

    A symbol belongs to the feed that wants it already; one that nobody wants goes to the feed that is named, or to the
    first. Callbacks hear all feeds. There is at least one client, and no two have the same name. Feeds that have a
    backup are looked after by `backups`, which `run` and `listen` do by themselves: it takes over after `patience`
    seconds and gives back after `settled` seconds.
    """

    def __init__(
        self, clients: Iterable[WebSocketClient], *, patience: float = PATIENCE, settled: float = SETTLED
    ) -> None:
        self.clients: dict[str, WebSocketClient] = {}
        for client in clients:
            if client.name in self.clients:
                raise ValueError(f"two feeds are named {client.name!r}")
            self.clients[client.name] = client
        if not self.clients:
            raise ValueError("a group has at least one feed")
        self._standby = Standby(self.clients, patience, settled)
        self._message_callbacks: list[MessageCallback] = []
        # What listens to each client now: a callback, or the way to it that leaves out what a backup is in charge of.
        self._heard: list[tuple[WebSocketClient, MessageCallback]] = []
        self._others: list[Callable[[WebSocketClient], object]] = []

    def put(self, client: WebSocketClient) -> None:
        """Have `client` among the feeds, in the place of the one of its name if there is one; nobody closes that."""
        self.clients[client.name] = client
        for attach in self._others:
            attach(client)
        self.settle()

    def remove(self, name: str) -> None:
        """Have the feed `name` no more; nobody closes it."""
        del self.clients[name]
        self.settle()

    def settle(self) -> None:
        """Feeds, or their backups, have changed: see anew who is in charge of what, and whose ticks pass."""
        self._standby.look(time.monotonic())
        for client, heard in self._heard:
            client.forget_message(heard)
        self._heard = []
        for callback in self._message_callbacks:
            self._hear(callback)

    def _hear(self, callback: MessageCallback) -> None:
        for client in self.clients.values():
            heard = self._standby.filtered(client.name, callback)
            self._heard.append((client, heard))
            client.on_message(heard)

    def _attach(self, attach: Callable[[WebSocketClient], object]) -> None:
        """Do it for each client of now, and each that comes later."""
        self._others.append(attach)
        for client in self.clients.values():
            attach(client)

    def owner(self, symbol: str) -> WebSocketClient | None:
        """The feed that wants `symbol`, before any that is only its backup; None if none does."""
        key = symbol_key(symbol)
        owners = [client for client in self.clients.values() if client.wants(key)]
        backups = {client.settings.backup for client in owners}
        return next((client for client in owners if client.name not in backups), next(iter(owners), None))

    async def backups(self) -> None:
        """Let backups take over and give back, until cancelled."""
        await self._standby.run()

    # --- connecting

    async def connect(self) -> None:
        """Open every feed; if one cannot be opened, close all and raise what it raised."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for client in self.clients.values():
                    tasks.create_task(client.connect())
        except BaseExceptionGroup as group:
            await self.disconnect()
            raise group.exceptions[0] from None

    async def disconnect(self) -> None:
        """Close every feed."""
        await asyncio.gather(*(client.disconnect() for client in self.clients.values()))

    async def listen(self, timeout: float | None = None) -> None:
        """Deliver messages until `timeout` seconds are over or all feeds are disconnected; raise the first fatal error.

        One feed's fatal error closes the others too: a program that goes on without a part of its symbols should say
        so, by running its clients one by one.
        """
        await self._all(client.listen(timeout) for client in self.clients.values())

    async def run(self) -> None:
        """The supervised life of every feed; raises as `WebSocketClient.run`."""
        await self._all(client.run() for client in self.clients.values())

    async def _all(self, lives: Iterable[Any]) -> None:
        watching = asyncio.create_task(self.backups(), name="backups")
        try:
            async with asyncio.TaskGroup() as tasks:
                for life in lives:
                    tasks.create_task(life)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    @property
    def is_connected(self) -> bool:
        """Whether every feed is connected."""
        return all(client.is_connected for client in self.clients.values())

    # --- symbols

    async def subscribe(self, symbols: Iterable[str], feed: str | None = None) -> None:
        """Want `symbols`, each at its feed; wait as `WebSocketClient.subscribe`. `feed`: for those that have none yet.

        Raises:
            KeyError: there is no feed of that name.
        """
        shares = self._shares(symbols, feed)
        await asyncio.gather(*(self.clients[name].subscribe(share) for name, share in shares.items()))

    async def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Want `symbols` no longer, whichever feed they belong to."""
        symbols = list(symbols)
        for client in self.clients.values():
            await client.unsubscribe([symbol for symbol in symbols if client.wants(symbol)])

    def get_subscriptions(self) -> list[str]:
        """The wanted symbols of all feeds."""
        return [symbol for client in self.clients.values() for symbol in client.get_subscriptions()]

    def strangers(self, client: WebSocketClient) -> list[WebSocketClient]:
        """The other feeds, but for the backup of `client` and those whose backup it is: they share their symbols."""
        return [
            other
            for other in self.clients.values()
            if other is not client and client.settings.backup != other.name and other.settings.backup != client.name
        ]

    def _shares(self, symbols: Iterable[str], feed: str | None) -> dict[str, list[str]]:
        fallback = next(iter(self.clients.values())) if feed is None else self.clients[feed]
        shares: dict[str, list[str]] = {}
        for symbol in symbols:
            shares.setdefault((self.owner(symbol) or fallback).name, []).append(symbol)
        return shares

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a message of your own to the only feed.

        Raises:
            TransportError: there are several; send to one of `clients`.
        """
        if len(self.clients) > 1:
            raise TransportError("several feeds: send to one of them", reason="endpoint")
        await next(iter(self.clients.values())).send(message)

    # --- callbacks and settings

    def on_message(self, callback: MessageCallback) -> None:
        """Call `callback` with each tick of each feed that is in charge of its symbol."""
        self._message_callbacks.append(callback)
        self._hear(callback)

    def refuse(self, tick: Tick) -> None:
        """As `WebSocketClient.refuse`, for the feed that it came from."""
        if (client := self.clients.get(tick.feed)) is not None:
            client.refuse(tick)

    def on_connection(self, callback: ConnectionCallback) -> None:
        """As `WebSocketClient.on_connection`, for each feed; the mapping names it."""
        self._attach(lambda client: client.on_connection(callback))

    def on_error(self, callback: ErrorCallback) -> None:
        """As `WebSocketClient.on_error`, for each feed; the exception names it."""
        self._attach(lambda client: client.on_error(callback))

    def on_event(self, callback: EventCallback) -> None:
        """As `WebSocketClient.on_event`, for each feed."""
        self._attach(lambda client: client.on_event(callback))

    def set_reconnection_strategy(self, config: Mapping[str, Any] | None = None, **settings: Any) -> None:
        """As `WebSocketClient.set_reconnection_strategy`, for each feed."""
        for client in self.clients.values():
            client.set_reconnection_strategy(config, **settings)

    def set_heartbeat(self, enabled: bool, interval: float = 30.0) -> None:
        """As `WebSocketClient.set_heartbeat`, for each feed."""
        for client in self.clients.values():
            client.set_heartbeat(enabled, interval)

    def get_stats(self) -> ClientStats:
        """Counters of all feeds together; `uptime` is the shortest, `last_heartbeat` the oldest."""
        stats = [client.get_stats() for client in self.clients.values()]
        heard = [each["last_heartbeat"] for each in stats if each["last_heartbeat"] is not None]
        return {
            "connected": all(each["connected"] for each in stats),
            "uptime": min(each["uptime"] for each in stats),
            "messages_received": sum(each["messages_received"] for each in stats),
            "messages_sent": sum(each["messages_sent"] for each in stats),
            "reconnections": sum(each["reconnections"] for each in stats),
            "subscriptions": sum(each["subscriptions"] for each in stats),
            "subscribed_symbols": [symbol for each in stats for symbol in each["subscribed_symbols"]],
            "heartbeat_enabled": all(each["heartbeat_enabled"] for each in stats),
            "last_heartbeat": max(heard, default=None),
            "last_error": next((each["last_error"] for each in stats if each["last_error"] is not None), None),
        }

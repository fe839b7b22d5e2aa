"""Several feeds as one source of ticks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.model.interface import ClientStats, ConnectionCallback, ErrorCallback, MessageCallback


class FeedGroup:
    """`clients`: name to feed."""

    def __init__(self, clients: Mapping[str, WebSocketClient]) -> None:
        self.clients = dict(clients)

    async def connect(self) -> None:
        """All of them."""
        await asyncio.gather(*(client.connect() for client in self.clients.values()))

    async def disconnect(self) -> None:
        """All of them."""
        await asyncio.gather(*(client.disconnect() for client in self.clients.values()))

    @property
    def is_connected(self) -> bool:
        """All of them."""
        return all(client.is_connected for client in self.clients.values())

    async def subscribe(self, symbols: Iterable[str]) -> None:
        """The owner of each."""
        await next(iter(self.clients.values())).subscribe(symbols)

    async def unsubscribe(self, symbols: Iterable[str]) -> None:
        """The owner of each."""
        await next(iter(self.clients.values())).unsubscribe(symbols)

    def get_subscriptions(self) -> list[str]:
        """Of all."""
        return [symbol for client in self.clients.values() for symbol in client.get_subscriptions()]

    async def listen(self, timeout: float | None = None) -> None:
        """All."""
        await asyncio.gather(*(client.listen(timeout) for client in self.clients.values()))

    async def send(self, message: Mapping[str, Any]) -> None:
        """To all."""
        for client in self.clients.values():
            await client.send(message)

    def on_message(self, callback: MessageCallback) -> None:
        """Of all."""
        for client in self.clients.values():
            client.on_message(callback)

    def on_connection(self, callback: ConnectionCallback) -> None:
        """Of all."""
        for client in self.clients.values():
            client.on_connection(callback)

    def on_error(self, callback: ErrorCallback) -> None:
        """Of all."""
        for client in self.clients.values():
            client.on_error(callback)

    def get_stats(self) -> ClientStats:
        """Of the first."""
        return next(iter(self.clients.values())).get_stats()

    def set_reconnection_strategy(self, config: Mapping[str, Any] | None = None, **settings: Any) -> None:
        """Of all."""
        for client in self.clients.values():
            client.set_reconnection_strategy(config, **settings)

    def set_heartbeat(self, enabled: bool, interval: float = 30.0) -> None:
        """Of all."""
        for client in self.clients.values():
            client.set_heartbeat(enabled, interval)

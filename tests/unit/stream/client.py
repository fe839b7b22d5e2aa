"""A client without a network: the whole `WebSocketInterface`, and a handle for what a provider would do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from pricestreamd.model.interface import (
    ClientStats,
    ConnectionCallback,
    ErrorCallback,
    MessageCallback,
    WebSocketInterface,
)
from pricestreamd.model.tick import Tick


class LocalClient:
    """Connects to nothing. `connect_error` and `subscribe_error` are raised where they are set."""

    def __init__(self) -> None:
        self.connect_error: BaseException | None = None
        self.subscribe_error: BaseException | None = None
        self.listen_error: BaseException | None = None
        self.calls: list[str] = []
        self._connected = False
        self._symbols: list[str] = []
        self._on_message: list[MessageCallback] = []
        self._on_connection: list[ConnectionCallback] = []
        self._on_error: list[ErrorCallback] = []
        self._closed = asyncio.Event()

    # --- what a provider does

    def deliver(self, symbol: str, price: Any, at: float, volume: float | None = None) -> None:
        """A price comes in."""
        for callback in self._on_message:
            callback(Tick(symbol, price, at, at, volume, "USD", "local"))

    def change(self, change: str, **details: Any) -> None:
        """The connection changes."""
        for callback in self._on_connection:
            callback(change, {"feed": "local", **details})

    def fail(self, error: str, exc: Exception) -> None:
        """Something goes wrong."""
        for callback in self._on_error:
            callback(error, exc)

    # --- WebSocketInterface

    async def connect(self) -> None:
        self.calls.append("connect")
        if self.connect_error is not None:
            raise self.connect_error
        self._connected = True
        self._closed.clear()
        self.change("connected", host="localhost", port=1)

    async def disconnect(self) -> None:
        self.calls.append("disconnect")
        self._closed.set()
        if self._connected:
            self._connected = False
            self.change("disconnected", reason="stopped")

    @property
    def is_connected(self) -> bool:
        return self._connected

    async def subscribe(self, symbols: Iterable[str]) -> None:
        if self.subscribe_error is not None:
            raise self.subscribe_error
        self._symbols += [symbol for symbol in symbols if symbol not in self._symbols]

    async def unsubscribe(self, symbols: Iterable[str]) -> None:
        gone = set(symbols)
        self._symbols = [symbol for symbol in self._symbols if symbol not in gone]

    def get_subscriptions(self) -> list[str]:
        return list(self._symbols)

    async def listen(self, timeout: float | None = None) -> None:
        self.calls.append("listen")
        if self.listen_error is not None:
            raise self.listen_error
        async with asyncio.timeout(timeout):
            await self._closed.wait()

    async def send(self, message: Mapping[str, Any]) -> None:
        self.calls.append(f"send {message}")

    def on_message(self, callback: MessageCallback) -> None:
        self._on_message.append(callback)

    def on_connection(self, callback: ConnectionCallback) -> None:
        self._on_connection.append(callback)

    def on_error(self, callback: ErrorCallback) -> None:
        self._on_error.append(callback)

    def get_stats(self) -> ClientStats:
        return {
            "connected": self._connected,
            "uptime": 0.0,
            "messages_received": 0,
            "messages_sent": 0,
            "reconnections": 0,
            "subscriptions": len(self._symbols),
            "subscribed_symbols": self.get_subscriptions(),
            "heartbeat_enabled": False,
            "last_heartbeat": None,
            "last_error": None,
        }

    def set_reconnection_strategy(self, config: Mapping[str, Any] | None = None, **settings: Any) -> None:
        self.calls.append(f"reconnection {config} {settings}")

    def set_heartbeat(self, enabled: bool, interval: float = 30.0) -> None:
        self.calls.append(f"heartbeat {enabled} {interval}")


def satisfies() -> WebSocketInterface:
    """For the type checker: this class has the shape that the service asks for."""
    return LocalClient()

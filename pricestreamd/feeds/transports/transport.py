"""The port behind which all transports stand: a WebSocket, a stream of Server-Sent Events, or repeated polls.

A transport is an open connection. What it receives has the shape of an aiohttp WebSocket message, because that is what
the path of a tick reads: `(kind, data, extra)`. `TEXT` and `BINARY` carry a provider's message as bytes, one for each
call; `PING` and `PONG` are signs of life of the transport itself (a comment in an event stream is a `PONG`); anything
else says that the connection has ended, and `loss` tells how.

Only our own errors come out of a transport; whatever an underlying library raises is mapped at its door.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import WSMsgType

from pricestreamd.feeds.connection.verdict import Loss
from pricestreamd.model.errors import HandshakeRejected

CLOSE_TIMEOUT = 2.0
"""Seconds that a goodbye may take; then the connection is reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to dial. Times in seconds, sizes in bytes. `tls`: None without TLS. `proxy`: `env`, an address, or None."""

    tls: ssl.SSLContext | None = None
    connect_timeout: float = 30.0
    max_message_size: int = 4 * 1024 * 1024
    proxy: str | None = field(default=None, repr=False)


class UpgradeRefused(HandshakeRejected):
    """As its base; `text` is the beginning of the server's answer, for the adapter to judge."""

    def __init__(self, message: str, *, status: int, retry_after: float | None, text: str) -> None:
        super().__init__(message, status=status, retry_after=retry_after)
        self.text = text


class Transport(Protocol):
    """An open connection."""

    host: str
    port: int

    @property
    def receive(self) -> Callable[[], Awaitable[Any]]:
        """The next message; see above. On the path of every tick, so it may be a library's own method."""

    async def send(self, text: str) -> None:
        """Send a text; raises `TransportError` where the connection is closing, or nothing can be sent."""

    async def ping(self) -> None:
        """Ask for a pong; nothing where the transport knows none. Raises as `send`."""

    async def pong(self, payload: bytes) -> None:
        """Answer a ping; raises as `send`."""

    async def close(self) -> None:
        """Say goodbye, within `CLOSE_TIMEOUT`; then `receive` ends."""

    def abort(self) -> None:
        """Reset the connection; `receive` ends at once."""

    async def discard(self) -> None:
        """Free everything, whatever the state."""

    def loss(self, kind: WSMsgType, data: object, text: object) -> Loss:
        """How the connection ended, by the message that `receive` returned last."""

"""Where a connection comes in: it finds a place or is refused, speaks TLS where asked for, and then says something.

    accepted --no room--> refused: told so in plain HTTP; behind TLS closed without a word
    accepted -----------> `Newcomer` --its first byte--> `Connection`
    accepted --TLS------> `Handshake` --done in time, and its first byte--> `Connection`
                             --else--> closed

Who has said nothing costs little and has a place in the room all the same, or ten thousand would cost as many files.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import cast

from aiohttp import web

from pricestreamd.http.connection import KEEPALIVE_SECONDS, Connection, Refusal
from pricestreamd.http.room import Room

_log = logging.getLogger(__name__)

# From the first byte to the last of a handshake; and what the farewell of TLS may take.
HANDSHAKE_SECONDS = 5.0
FAREWELL_SECONDS = 2.0


class Closed(asyncio.Protocol):
    """One connection too many that expects TLS: a handshake only to say no would cost more than the answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        cast("asyncio.Transport", transport).abort()


class Newcomer(asyncio.Protocol):
    """A connection that has said nothing yet."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.transport: asyncio.Transport | None = None
        self.over = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for its first byte, for as long as for a further request."""
        self.transport = cast("asyncio.Transport", transport)
        if self.over:
            # Cut between being accepted and this.
            self.transport.abort()
            return
        self._deadline = asyncio.get_running_loop().call_later(KEEPALIVE_SECONDS, self.cut)

    def data_received(self, data: bytes) -> None:
        """Now it costs what a connection costs."""
        self.end()
        transport = self.transport
        assert transport is not None  # noqa: S101 - nothing comes before `connection_made`
        connection = self.door.connection()
        if connection is None:
            transport.abort()
            return
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.data_received(data)

    def connection_lost(self, _exc: BaseException | None) -> None:
        """It has gone without a word, or was cut."""
        self.end()

    def cut(self) -> None:
        """End it at once."""
        self.end()
        if self.transport is not None:
            self.transport.abort()

    def end(self) -> None:
        """Be a newcomer no more."""
        self.over = True
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self.door.leave(self)


class Handshake(Newcomer):
    """A newcomer that has to shake hands first."""

    def __init__(self, door: Door, context: ssl.SSLContext) -> None:
        super().__init__(door)
        self._context = context
        # A client that has come to its end sends its request in the same breath.
        self._early = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, before anything is read."""
        if self.over:
            super().connection_made(transport)
            return
        self.transport = cast("asyncio.Transport", transport)
        self.transport.pause_reading()
        self._task = asyncio.get_running_loop().create_task(self._shake_hands(self.transport))

    def data_received(self, data: bytes) -> None:
        """What it says when it is over counts."""
        if self._task is None:
            super().data_received(data)
        else:
            self._early += data

    def end(self) -> None:
        """Be a newcomer no more."""
        super().end()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _shake_hands(self, plain: asyncio.Transport) -> None:
        try:
            secured = await asyncio.get_running_loop().start_tls(
                plain,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=FAREWELL_SECONDS,
            )
        except OSError as exc:
            # ssl.SSLError, a deadline, a reset: what people send who speak something else, or have no certificate.
            _log.debug("a TLS handshake failed: %s", type(exc).__name__)
            secured = None
        self._task = None
        if secured is None or secured.is_closing():
            self.end()
            plain.abort()
            return
        super().connection_made(secured)
        if self._early:
            super().data_received(self._early)


class Door:
    """Makes the protocol of each connection that is accepted. `context` is asked for the TLS of this moment."""

    def __init__(self, server: web.Server, room: Room, context: Callable[[], ssl.SSLContext] | None = None) -> None:
        self._server = server
        self._room = room
        self._context = context
        self._newcomers: set[Newcomer] = set()

    def __call__(self) -> asyncio.Protocol:
        """For one that has just been accepted."""
        newcomer = Handshake(self, self._context()) if self._context is not None else Newcomer(self)
        if not self._room.enter(newcomer):
            return Refusal(self._room.most) if self._context is None else Closed()
        self._newcomers.add(newcomer)
        return newcomer

    def leave(self, newcomer: Newcomer) -> None:
        """It is none any more; its place is free."""
        self._newcomers.discard(newcomer)
        self._room.leave(newcomer)

    def connection(self) -> Connection | None:
        """A connection with a place in the room; None where there is none."""
        connection = Connection(self._server, self._room)
        return connection if self._room.enter(connection) else None

    def close(self) -> None:
        """End those who have said nothing."""
        for newcomer in list(self._newcomers):
            newcomer.cut()

"""The TCP connection below a transport: how it ended, how to reset it, and how the kernel watches over it."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from contextlib import suppress
from typing import Final

from aiohttp.connector import Connection

# SO_LINGER on, zero seconds: close() sends RST and keeps nothing.
_NO_LINGER = struct.pack("ii", 1, 0)
# After 20 s without a byte the kernel asks the other kernel, three times, 10 s apart: a peer that is gone is found
# within a minute (measured: 51 s). Systems that lack a setting keep their own.
_KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_ENDINGS = {errno.ECONNRESET: "reset", errno.ETIMEDOUT: "timeout", errno.EHOSTUNREACH: "network"}


class TcpLink:
    """The connection that aiohttp has just opened for a request.

    `closed` is done when the connection is; None where it was before anybody asked. `ending` tells how: `eof` while it
    is open, and where the other end just ended it.
    """

    def __init__(self, connection: Connection) -> None:
        transport, protocol = connection.transport, connection.protocol
        assert transport is not None  # noqa: S101 - aiohttp has just received an answer by it
        assert protocol is not None  # noqa: S101 - as above
        self._transport = transport
        # Asked for now, because a TLS transport that is closed cannot name its socket any more.
        self._raw: socket.socket = transport.get_extra_info("socket")
        self.ending = "eof"
        self.closed = protocol.closed
        if self.closed is not None:
            self.closed.add_done_callback(self._note_ending)

    def reset(self) -> None:
        """Send RST instead of waiting for a peer that may be gone; nothing where the connection is closed already."""
        with suppress(OSError):  # closed already
            self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    def close(self) -> None:
        """End the connection in order."""
        self._transport.close()

    def keep_alive(self) -> None:
        """Have the kernel find out that the peer is gone, within a minute.

        For a transport that can ask nothing itself. It is the next hop that is watched: behind a proxy, the proxy.
        """
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE.items():
            if (option := getattr(socket, name, None)) is not None:
                self._raw.setsockopt(socket.IPPROTO_TCP, option, value)

    async def wait_closed(self, timeout: float) -> None:
        """Until the connection is closed, or `timeout` seconds are over."""
        if self.closed is not None:
            await asyncio.wait({self.closed}, timeout=timeout)

    def _note_ending(self, closed: asyncio.Future[None]) -> None:
        if not closed.cancelled() and (error := closed.exception()) is not None:
            self.ending = _ENDINGS.get(getattr(error.__cause__, "errno", None) or 0, "eof")

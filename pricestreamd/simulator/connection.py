"""One client of the simulator: what it hears, and the ways in which its connection can end."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping, Sequence

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from pricestreamd.simulator.frames import text_frames

# Enough to keep the network busy while the next prices are made, and little to lose when the connection drops.
_HIGH_WATER_BYTES = 1 << 18
# Without waiting: what may pile up for a client that does not read, some 20,000 prices.
_STUCK_BYTES = 1 << 22
# A close frame that the client does not answer is not waited for any longer.
CLOSE_SECONDS = 1.0


class Connection:
    """A WebSocket after its upgrade. Frames are written to the transport itself, many at once.

    `subscribed` are keys; `wanted` says the same for every symbol that a tick can have. `muted`: silenced by the
    scenario. `sent` counts the prices written to it.
    """

    def __init__(
        self, response: web.WebSocketResponse, writer: AbstractStreamWriter, transport: asyncio.Transport, key: str
    ) -> None:
        transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        self._response = response
        self._writer = writer
        self._transport = transport
        self.key = key
        self.subscribed: tuple[str, ...] = ()
        self.wanted: Mapping[str, bool] = {}
        self.muted = False
        self.sent = 0

    @property
    def heard(self) -> bool:
        """Whether prices go to this client now."""
        return bool(self.subscribed) and not self.muted and not self._transport.is_closing()

    def say(self, texts: Sequence[str]) -> None:
        """Send messages at once, one frame each."""
        if not self._transport.is_closing():
            self._transport.write(text_frames(texts))

    def send_prices(self, frames: bytes, count: int) -> None:
        """Send `count` frames, ready-made. For a connection that is `heard`."""
        self._transport.write(frames)
        self.sent += count

    async def drained(self, patience: float) -> None:
        """Return when the client has taken most of what was sent; drop it when that takes `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                await self._writer.drain()
        except TimeoutError:
            self._transport.abort()
        except ConnectionError:
            return

    def drop_if_stuck(self) -> None:
        """Drop a client that has left too much lying."""
        if self._transport.get_write_buffer_size() > _STUCK_BYTES:
            self._transport.abort()

    def cut(self, *, reset: bool = False) -> None:
        """End the TCP stream without a close frame: after what was written before, or by a reset at once."""
        if not reset:
            self._transport.close()
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            # To linger for 0 s is to close with a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    async def close(self, code: int) -> None:
        """Send a close frame and wait, not long, for the client's."""
        await self._response.close(code=code, drain=False)

    async def leave(self, code: int) -> None:
        """End it for good, within a second: politely, unless the client has stopped reading."""
        if self._transport.get_write_buffer_size() > _HIGH_WATER_BYTES:
            self._transport.abort()
        await self._response.close(code=code, drain=False)
        self._transport.abort()

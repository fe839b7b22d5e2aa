"""A TCP proxy that spoils connections, in the words of Toxiproxy: what a network does, between real sockets.

Toxics may be added and removed while connections are open; each chunk of bytes passes those that are there when it comes.
Times are seconds, sizes bytes. `upstream` is what the client sends, `downstream` what the server sends.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self

Direction = Literal["upstream", "downstream"]
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Latency:
    """Each chunk comes later."""

    latency: float
    jitter: float = 0.0


@dataclass(frozen=True)
class Bandwidth:
    """So many bytes a second, and no more."""

    rate: float


@dataclass(frozen=True)
class SlowClose:
    """The end of the stream comes later."""

    delay: float


@dataclass(frozen=True)
class Timeout:
    """Nothing passes any more; the connection closes after `timeout`, or never if that is 0: a black hole."""

    timeout: float = 0.0


@dataclass(frozen=True)
class ResetPeer:
    """RST to both sides, `timeout` after the next chunk."""

    timeout: float = 0.0


@dataclass(frozen=True)
class Slicer:
    """Chunks in pieces of `size`, `delay` apart."""

    size: int
    delay: float = 0.0


@dataclass(frozen=True)
class LimitData:
    """The connection closes after so many bytes."""

    limit: int


Toxic = Latency | Bandwidth | SlowClose | Timeout | ResetPeer | Slicer | LimitData


class FaultProxy:
    """Listens on a free loopback port and forwards to `host`:`port`. An async context manager."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self._toxics: dict[Direction, list[Toxic]] = {"upstream": [], "downstream": []}
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self.accepted = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for link in list(self._links):
            link.reset()
        while self._links:
            await asyncio.sleep(0.001)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def url(self, path: str = "/") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def add(self, toxic: Toxic, direction: Direction = "downstream") -> None:
        self._toxics[direction].append(toxic)

    def clear(self) -> None:
        for toxics in self._toxics.values():
            toxics.clear()

    def black_hole(self) -> None:
        """Swallow both directions and answer nothing, without a word to either side."""
        self.add(Timeout(), "upstream")
        self.add(Timeout(), "downstream")

    def reset_all(self) -> None:
        """RST on every open connection, now."""
        for link in list(self._links):
            link.reset()

    def toxics(self, direction: Direction) -> list[Toxic]:
        return self._toxics[direction]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        link = _Link(self, (reader, writer), (far_reader, far_writer))
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: FaultProxy, near: _Stream, far: _Stream) -> None:
        self._proxy = proxy
        self._near, self._far = near, far
        self._pumps: list[asyncio.Task[None]] = []
        self._passed: dict[Direction, int] = {"upstream": 0, "downstream": 0}

    async def run(self) -> None:
        self._pumps = [
            asyncio.create_task(self._pump("upstream", self._near[0], self._far[1])),
            asyncio.create_task(self._pump("downstream", self._far[0], self._near[1])),
        ]
        await asyncio.wait(self._pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in self._pumps:
            pump.cancel()
        await asyncio.wait(self._pumps)
        for _, writer in (self._near, self._far):
            writer.close()

    def reset(self) -> None:
        for _, writer in (self._near, self._far):
            with suppress(OSError):
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            writer.transport.abort()
        for pump in self._pumps:
            pump.cancel()

    async def _pump(self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                for piece in self._pieces(direction, data):
                    if not await self._spoil(direction, piece, writer):
                        return
        for toxic in self._proxy.toxics(direction):
            if isinstance(toxic, SlowClose):
                await asyncio.sleep(toxic.delay)

    def _pieces(self, direction: Direction, data: bytes) -> Iterator[bytes]:
        sizes = [toxic.size for toxic in self._proxy.toxics(direction) if isinstance(toxic, Slicer)]
        size = min(sizes, default=len(data))
        for start in range(0, len(data), size):
            yield data[start : start + size]

    async def _spoil(self, direction: Direction, data: bytes, writer: asyncio.StreamWriter) -> bool:
        for toxic in list(self._proxy.toxics(direction)):
            match toxic:
                case Latency(latency, jitter):
                    await asyncio.sleep(max(0.0, latency + random.uniform(-jitter, jitter)))
                case Bandwidth(rate):
                    await asyncio.sleep(len(data) / rate)
                case Slicer(_, delay):
                    await asyncio.sleep(delay)
                case Timeout(timeout):
                    await asyncio.sleep(timeout or 3600.0)
                    return False
                case ResetPeer(timeout):
                    await asyncio.sleep(timeout)
                    self.reset()
                    return False
                case LimitData(limit):
                    data = data[: limit - self._passed[direction]]
        self._passed[direction] += len(data)
        writer.write(data)
        await writer.drain()
        limits = [toxic.limit for toxic in self._proxy.toxics(direction) if isinstance(toxic, LimitData)]
        return not limits or self._passed[direction] < min(limits)

"""The real HTTP server on a free port, and ways to talk to it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from pricestreamd.http.allowance import Allowance
from pricestreamd.http.app import HttpServer
from pricestreamd.http.control import Control
from pricestreamd.http.settings import HttpSettings
from pricestreamd.http.view import DaemonView


@contextlib.asynccontextmanager
async def serving(
    daemon: DaemonView,
    *,
    max_connections: int = 512,
    control: Control | None = None,
    token_file: Path | None = None,
    requests: Allowance | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[HttpServer, aiohttp.ClientSession]]:
    """The server, and a client whose addresses begin at it; it may ask as often as it likes unless `requests` is given."""
    server = HttpServer(
        daemon,
        HttpSettings(**{"listen": "127.0.0.1:0", **settings}),
        control=control,
        token_file=token_file,
        max_connections=max_connections,
        requests=Allowance(10**9, 1e9) if requests is None else requests,
    )
    await server.start()
    connector = aiohttp.TCPConnector(limit=0)
    try:
        async with aiohttp.ClientSession(
            f"http://{server.address}", timeout=aiohttp.ClientTimeout(30), connector=connector
        ) as client:
            yield server, client
    finally:
        await server.stop(2.0)


async def exchange(server: HttpServer, request: bytes) -> bytes:
    """Send bytes as they are; what came back until the server closed."""
    host, _, port = server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@dataclass
class ServerSentEvent:
    """One frame of a stream; `comment` frames hold nothing else."""

    id: str = ""
    event: str = ""
    data: Any = None
    comment: str = ""
    retry: str = ""


def parse_frame(text: str) -> ServerSentEvent:
    """A frame without its empty line."""
    frame = ServerSentEvent()
    for line in text.split("\n"):
        name, _, value = line.partition(": ")
        if line.startswith(":"):
            frame.comment = line
        elif name == "data":
            frame.data = json.loads(value)
        else:
            assert name in ("id", "event", "retry"), line
            setattr(frame, name, value)
    return frame


class EventReader:
    """Reads frames from an open answer of `/api/v1/events`."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        self._content = response.content

    async def frame(self) -> ServerSentEvent:
        """The next frame of any kind."""
        async with asyncio.timeout(10):
            text = await self._content.readuntil(b"\n\n")
        if not text.endswith(b"\n\n"):
            raise EOFError(text.decode())
        return parse_frame(text[:-2].decode())

    async def next(self) -> ServerSentEvent:
        """The next event."""
        while True:
            frame = await self.frame()
            if frame.event:
                return frame

    async def take(self, count: int) -> list[ServerSentEvent]:
        """The next `count` events."""
        return [await self.next() for _ in range(count)]

"""An HTTP proxy: tunnels what is asked for with CONNECT, and forwards plain requests.

    async with ConnectProxy({"feed.example.org:443": server.port}) as proxy:
        ...

A place that is not among the routes is dialled as it is named. `connects` and `forwards` keep what was asked for.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Mapping
from typing import Self

from yarl import URL


class ConnectProxy:
    """The proxy, on a free loopback port. `credentials`: `user:password` that it wants to see, if any."""

    def __init__(self, routes: Mapping[str, int] | None = None, *, credentials: str | None = None) -> None:
        self.connects: list[str] = []
        self.forwards: list[str] = []
        self.port = 0
        self._routes = dict(routes or {})
        self._wanted = credentials and "Basic " + base64.b64encode(credentials.encode()).decode()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)
        await self._server.wait_closed()

    def url(self, credentials: str = "") -> str:
        return f"http://{credentials + '@' if credentials else ''}127.0.0.1:{self.port}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                await self._lead(reader, writer)
            finally:
                writer.transport.abort()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, _, rest = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
        method, target, version = first.decode().split()
        (self.connects if method == "CONNECT" else self.forwards).append(target)
        lines = rest.decode("latin-1").split("\r\n")
        given = [line.split(": ", 1)[1] for line in lines if line.lower().startswith("proxy-authorization:")]
        if self._wanted is not None and given != [self._wanted]:
            writer.write(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        if method == "CONNECT":
            there, back = await self._open(*target.rsplit(":", 1))
            writer.write(b"HTTP/1.1 200 Tunnel\r\n\r\n")
        else:
            url = URL(target)
            there, back = await self._open(url.host or "", str(url.port))
            kept = "\r\n".join(line for line in lines if not line.lower().startswith("proxy-"))
            back.write(f"{method} {url.raw_path_qs} {version}\r\n{kept}".encode("latin-1"))
        ways = {asyncio.create_task(_pump(reader, back)), asyncio.create_task(_pump(there, writer))}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            back.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)

    async def _open(self, host: str, port: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        route = self._routes.get(f"{host}:{port}")
        return await asyncio.open_connection(*(("127.0.0.1", route) if route else (host, int(port))))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

"""An HTTP server that answers in bytes: whatever a script writes, right or wrong, goes out as it is.

    async with RawHttp(script) as server:
        ...

The script is a coroutine function of one `Asked`, run for each request; one that returns leaves the connection open for
the next request, unless it has ended it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

from multidict import CIMultiDict

_NO_LINGER = struct.pack("ii", 1, 0)


def answer(status: int = 200, body: bytes = b"", /, **headers: str) -> bytes:
    """A whole answer; `content_type="text/html"` is a header."""
    headers["content_length"] = str(len(body))
    return head(status, **headers) + body


def head(status: int = 200, /, **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return f"HTTP/1.1 {status} Whatever\r\n{''.join(lines)}\r\n".encode()


def stream_head(**headers: str) -> bytes:
    """The beginning of an event stream that ends with its connection."""
    return head(content_type="text/event-stream", **headers)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Asked:
    """One request, and the way back to who sent it. `dial` counts the connections from 0."""

    def __init__(
        self,
        dial: int,
        target: str,
        headers: Mapping[str, str],
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.dial = dial
        self.target = target
        self.headers = headers
        self._reader, self._writer = streams
        self.ended = False

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def end(self) -> None:
        self.ended = True
        self._writer.close()

    def reset(self) -> None:
        self.ended = True
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._writer.transport.abort()

    @property
    def socket(self) -> socket.socket:
        raw: socket.socket = self._writer.get_extra_info("socket")
        return raw

    async def gone(self) -> None:
        """Until the client has ended the connection."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(65536):
                pass
        self.end()


Script = Callable[[Asked], Awaitable[None]]


class RawHttp:
    """The server, on a free loopback port. `asked`: every request, in their order."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.dials = 0
        self.port = 0
        self._tls = tls
        self._host = host
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._tls)
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

    def url(self, path: str = "/prices?apikey=canary-key-0815") -> str:
        scheme, host = ("https", "localhost") if self._tls else ("http", self._host)
        return f"{scheme}://{host}:{self.port}{path}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # In a task of ours, because asyncio complains of one of its own that is cancelled.
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dial, self.dials = self.dials, self.dials + 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
                    parts = (line.partition(": ") for line in lines if line)
                    headers = CIMultiDict((name, value) for name, _, value in parts)
                    asked = Asked(dial, first.split()[1], headers, (reader, writer))
                    self.asked.append(asked)
                    await self.script(asked)
                    if asked.ended:
                        return
        finally:
            writer.transport.abort()


def always(data: bytes) -> Script:
    """Answer every request with `data`."""

    async def script(asked: Asked) -> None:
        await asked.write(data)

    return script


def ending(data: bytes) -> Script:
    """Answer with `data` and end the connection."""

    async def script(asked: Asked) -> None:
        await asked.write(data)
        asked.end()

    return script


def holding(*pieces: bytes) -> Script:
    """Answer with `pieces`, one after the other, then say no more until the client goes."""

    async def script(asked: Asked) -> None:
        for piece in pieces:
            await asked.write(piece)
            await asyncio.sleep(0.01)
        await asked.gone()

    return script

"""A relay before a server that may keep what it was sent, and deliver it late: also when the sender has gone.

async with Relay(server.port) as relay:
    relay.hold()       what comes from now on, on connections that are there, waits; so do answers with `answers`
    relay.release()    it goes on
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Self


class Relay:
    """Listens on a free port of this machine and leads to `port`, with TLS on its own side where `tls` is given.

    `target` is where connections that are made from now on lead.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.target = port
        self._tls = tls
        self._lines: set[_Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def lines(self) -> int:
        """Connections that are not done: of those that either end has closed, those with something kept."""
        return len(self._lines)

    def hold(self, *, answers: bool = False) -> None:
        """Keep what comes on the connections that are there; `answers`: what comes back, instead."""
        for line in self._lines:
            (line.back if answers else line.forth).clear()

    def release(self) -> None:
        """Let everything go on."""
        for line in self._lines:
            line.forth.set()
            line.back.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        line = _Line()
        self._lines.add(line)
        far_writer: asyncio.StreamWriter | None = None
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, far_writer, line.forth))
                group.create_task(_pump(far_reader, writer, line.back))
        except (OSError, asyncio.CancelledError):
            pass  # the server is not there: then neither is the relay; or the relay ends
        finally:
            for end in (writer, far_writer):
                if end is not None:
                    end.transport.abort()
            self._lines.discard(line)
            self._tasks.discard(task)


class _Line:
    def __init__(self) -> None:
        self.forth = asyncio.Event()
        self.back = asyncio.Event()
        self.forth.set()
        self.back.set()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            await flowing.wait()
            writer.write(data)
            await writer.drain()
        await flowing.wait()
        if writer.can_write_eof():
            writer.write_eof()

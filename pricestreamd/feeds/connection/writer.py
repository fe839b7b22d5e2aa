"""What goes out over one open connection, in a task of its own: a peer that does not read holds up nobody here.

Nothing has to be bounded by it: texts are paced, and more control frames than a few end the connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from pricestreamd.feeds.connection import debug_log
from pricestreamd.feeds.connection.commands import Close, Ping, Pong, Send
from pricestreamd.feeds.counters import FeedCounters
from pricestreamd.feeds.transports.transport import Transport
from pricestreamd.model.errors import TransportError


class Writer:
    """Writes to `socket`, from now on. `says_goodbye`: a close frame is among what was put."""

    def __init__(self, socket: Transport, counters: FeedCounters, name: str) -> None:
        self.says_goodbye = False
        self._socket = socket
        self._counters = counters
        self._name = name
        self._waiting: deque[Send | Ping | Pong | Close] = deque()
        self._has_more = asyncio.Event()
        self._task = asyncio.create_task(self._write())
        # A writer that fails, be it of a bug, ends the reading too.
        self._task.add_done_callback(
            lambda ended: None if ended.cancelled() or not ended.exception() else socket.abort()
        )

    def put(self, command: Send | Ping | Pong | Close) -> None:
        """Send this after everything that was put before."""
        self.says_goodbye = self.says_goodbye or isinstance(command, Close)
        self._waiting.append(command)
        self._has_more.set()

    async def finish(self) -> None:
        """Wait until goodbye is said, or the socket has failed."""
        await asyncio.wait({self._task})

    async def stop(self) -> None:
        """Write no more."""
        self._task.cancel()
        await asyncio.wait({self._task})

    def raise_bug(self) -> None:
        """After `stop`: raise what ended it, unless that was the network."""
        with suppress(asyncio.CancelledError, TransportError):
            self._task.result()

    async def _write(self) -> None:
        while True:
            await self._has_more.wait()
            self._has_more.clear()
            while self._waiting:
                command = self._waiting.popleft()
                match command:
                    case Send(text):
                        await self._socket.send(text)
                        self._counters.messages_sent += 1
                    case Ping():
                        await self._socket.ping()
                    case Pong(payload):
                        await self._socket.pong(payload)
                    case Close():
                        await self._socket.close()
                debug_log.sent(self._name, command)
                if isinstance(command, Close):
                    return

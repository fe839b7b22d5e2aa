"""The face of providers that send server-sent events."""

from __future__ import annotations

import asyncio

from aiohttp import web

from pricestreamd.simulator.connection import Connection
from pricestreamd.simulator.desk import Desk
from pricestreamd.simulator.dialect import Dialect, Session
from pricestreamd.simulator.door import Door, read_request, web_response
from pricestreamd.simulator.framing import EVENTS

_TORN = {
    "partial-frame": b'data: [{"symbol":"AAPL","latestPr',
    "huge-header": b"data: " + b"x" * 65536,
    "endless-message": b"data: ",
    "more": b"x" * 65536,
}
_DRAINED_BYTES = 1 << 16


class EventConnection(Connection):
    """A stream of events: an answer in chunks (RFC 9112, section 7.1) that does not end by itself."""

    framing = EVENTS
    eof = "truncated"

    def wrapped(self, data: bytes) -> bytes:
        """One chunk."""
        return b"%x\r\n%b\r\n" % (len(data), data)

    def sign_of_life(self, text: str) -> None:
        """A comment, or whatever line the provider sends."""
        self.write(f"{text}\n\n".encode())

    def tear(self, how: str) -> None:
        """A line without its end."""
        self.write(_TORN[how])
        if how == "partial-frame":
            self.die()

    async def drain(self) -> None:
        """Look until most has gone."""
        while self.writable and self._transport.get_write_buffer_size() > _DRAINED_BYTES:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)

    async def close(self, code: int, reason: str = "") -> None:
        """The same: clients say no goodbye."""
        self.part(code, reason)

    def part(self, code: int, reason: str = "") -> None:  # noqa: ARG002 - there is no place for a reason
        """The end of the answer, and of TCP; there is no code, but it is kept for the ledger."""
        if self.writable:
            self._transport.write(b"0\r\n\r\n")
            self.end(f"close {code}")
            self._transport.close()


async def serve_events(door: Door, desk: Desk, dialect: Dialect, request: web.Request) -> web.StreamResponse:
    """Answer with a stream of events, or refuse it."""
    asked = read_request(request)
    refusal = await door.arrive(dialect, asked)
    refusal = door.crowded(dialect) if refusal is None else refusal
    if refusal is not None:
        return web_response(refusal)
    key = dialect.credential(asked) or ""
    session = dialect.session(asked)
    if desk.crowded(dialect, key):
        session = dialect.refusal(429, key)
    elif door.scenario.refuse_in_band or door.scenario.answer == "bad-accept":
        session = dialect.refusal(401, key)
    if not isinstance(session, Session):
        door.refused += 1
        return web_response(session)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    transport = request.transport
    if transport is None:
        return response
    connection = EventConnection(dialect, session, key, transport)
    desk.opened(connection)
    try:
        await connection.vanished()
    finally:
        desk.gone(connection)
    return response

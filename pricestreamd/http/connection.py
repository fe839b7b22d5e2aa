"""One TCP connection of the server: its limits and deadlines, and the answer to malformed requests."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import Any

from aiohttp import web

from pricestreamd.http.access import Handler, add_security_headers
from pricestreamd.http.problem import CONTENT_TYPE, problem_body, problem_response
from pricestreamd.http.room import Room
from pricestreamd.model.sampling import OncePer

_log = logging.getLogger(__name__)

# Well below any limit of open files, so that sockets to providers and the database still open.
MAX_CONNECTIONS = 512
# A header line that trickles in, and a connection that says nothing, are cut after this.
KEEPALIVE_SECONDS = 15.0
MAX_HEADER_BYTES = 8 * 1024
MAX_HEADERS = 64
# How long an unread body is read and thrown away so that the sender sees our answer.
LINGER_SECONDS = 1.0
# What a client may take to read an answer: until then all of it lies in our memory. A live stream has its own rule.
ANSWER_SECONDS = 30.0
# A machine that confirms nothing of what we send for so long is gone; the system breaks the connection.
GONE_SECONDS = 60.0

LIMITS: dict[str, Any] = {
    "keepalive_timeout": KEEPALIVE_SECONDS,
    "max_line_size": MAX_HEADER_BYTES,
    "max_field_size": MAX_HEADER_BYTES,
    "max_headers": MAX_HEADERS,
    "lingering_time": LINGER_SECONDS,
    "access_log": None,
}


class Connection(web.RequestHandler):
    """aiohttp's connection, with a place in the room; what goes wrong below any handler is answered like all else."""

    __slots__ = ("_room",)

    _said = OncePer(60.0)

    def __init__(self, server: web.Server, room: Room) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **LIMITS)
        self._room = room

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # A unix socket has no name that is a tuple, and nobody who goes away unnoticed.
        if isinstance(transport.get_extra_info("sockname"), tuple) and hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = int(GONE_SECONDS * 1000)
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._room.leave(self)
        super().connection_lost(exc)

    def cut(self) -> None:
        """Break the connection: what is still to be written is thrown away."""
        if self.transport is not None:
            self.transport.abort()

    def begins(self) -> None:
        """A request of it is being answered from now on."""
        self._room.busy(self)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the answer, as far as the client takes it in time."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            self.cut()
            return resp, True
        finally:
            self._room.idle(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature; its text may quote the request
    ) -> web.StreamResponse:
        """Answer a request that could not be read (400), or a handler that failed (500)."""
        if status >= 500:
            held = self._said.admit((request.method, type(exc)), time.monotonic())
            if held is not None:
                _log.error("%s %r failed", request.method, request.path, exc_info=exc, extra={"suppressed": held})
        else:
            _log.debug("a request could not be read: %s", type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun already")
        response = problem_response(status)
        add_security_headers(response.headers)
        response.force_close()
        return response


@web.middleware
async def keep_place(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Outermost of all: whose request is being answered makes room for nobody."""
    if isinstance(request.protocol, Connection):
        request.protocol.begins()
    return await handler(request)


class Refusal(asyncio.Protocol):
    """One connection too many: told so, and closed. `most` are open."""

    def __init__(self, most: int) -> None:
        self._most = most

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer before anything is read."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server gives a Protocol
        body = problem_body(503, f"{self._most} connections are open, and more are not served.")
        head = (
            f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
            "Retry-After: 5\r\nConnection: close\r\n\r\n"
        )
        transport.write(head.encode() + body)
        transport.close()

"""One TCP connection of the server: its limits, the answer to malformed requests, and the refusal of too many."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from aiohttp import web

from pricestreamd.http.access import add_security_headers
from pricestreamd.http.problem import CONTENT_TYPE, problem_body, problem_response
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

LIMITS: dict[str, Any] = {
    "keepalive_timeout": KEEPALIVE_SECONDS,
    "max_line_size": MAX_HEADER_BYTES,
    "max_field_size": MAX_HEADER_BYTES,
    "max_headers": MAX_HEADERS,
    "lingering_time": LINGER_SECONDS,
    "access_log": None,
}


class Connection(web.RequestHandler):
    """aiohttp's connection; what goes wrong below any handler is answered like everything else."""

    __slots__ = ()

    _said = OncePer(60.0)

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


class Refusal(asyncio.Protocol):
    """One connection too many: told so, and closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer before anything is read."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server gives a Protocol
        body = problem_body(503, f"More than {MAX_CONNECTIONS} connections are open.")
        head = (
            f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
            "Retry-After: 5\r\nConnection: close\r\n\r\n"
        )
        transport.write(head.encode() + body)
        transport.close()


def connection_for(server: web.Server, max_connections: int) -> asyncio.Protocol:
    """The protocol of a connection that has just been accepted."""
    if len(server.connections) >= max_connections:
        return Refusal()
    return Connection(server, loop=asyncio.get_running_loop(), **LIMITS)

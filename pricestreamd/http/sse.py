"""`GET /api/v1/events`: the live stream as Server-Sent Events, one reader a request."""

from __future__ import annotations

from aiohttp import hdrs, web

from pricestreamd.http.broadcast import EventHub
from pricestreamd.http.connection import MAX_CONNECTIONS
from pricestreamd.http.frame import PREAMBLE
from pricestreamd.http.problem import RefusalError
from pricestreamd.http.query import only
from pricestreamd.http.selection import Selection, SelectionError

# Some connections are left to those who ask how the daemon is.
MAX_READERS = MAX_CONNECTIONS - 32
_RETRY_SECONDS = "5"

HUB = web.AppKey("hub", EventHub)

# A write of this size at most lies in the memory of one connection; the rest of a batch is shared by all its readers.
PIECE_BYTES = 64 * 1024

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    # nginx buffers answers unless told otherwise.
    "X-Accel-Buffering": "no",
}


async def get_events(request: web.Request) -> web.StreamResponse:
    """Stream until the reader leaves, falls too far behind, or the daemon stops."""
    only(request, "event", "symbol")
    try:
        selection = Selection.parse(request.query.getall("event", []), request.query.getall("symbol", []))
    except SelectionError as exc:
        raise RefusalError(400, str(exc), parameter=exc.parameter) from exc
    hub = request.app[HUB]
    if hub.readers >= MAX_READERS:
        text = f"{MAX_READERS} readers of the live stream are connected, and more are not served."
        raise RefusalError(503, text, headers={hdrs.RETRY_AFTER: _RETRY_SECONDS})
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    transport = request.transport
    reader = hub.join(selection, transport.abort if transport is not None else lambda: None)
    try:
        await response.write(PREAMBLE)
        while batch := await reader.next():
            for start in range(0, len(batch), PIECE_BYTES):
                await response.write(batch[start : start + PIECE_BYTES])
    finally:
        hub.leave(reader)
    return response

"""Requests in the debug log: method, path, status and time. Never the query, which may hold anything."""

from __future__ import annotations

import logging
import time

from aiohttp import web

from pricestreamd.http.access import Handler

_log = logging.getLogger(__name__)
_MOST_CHARACTERS = 200


@web.middleware
async def log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Around the middlewares that refuse: refusals are answers, too. A live stream is told of when it has ended."""
    if not _log.isEnabledFor(logging.DEBUG):
        return await handler(request)
    began = time.monotonic()
    status = "not answered"
    try:
        response = await handler(request)
        status = str(response.status)
        return response
    finally:
        milliseconds = (time.monotonic() - began) * 1000
        _log.debug("%s %s: %s in %.1f ms", request.method, request.path[:_MOST_CHARACTERS], status, milliseconds)

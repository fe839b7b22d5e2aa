"""The face of providers that answer plain requests.

A request is no connection, so what scenarios do to connections happens here to single requests, and their times count
from the first request: where a connection would end, two requests of three do, without an answer; where it would fall
silent, requests are answered with the same price for ever; where it would die, with nothing.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import Counter

from aiohttp import web

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.dialect import Answer, Dialect
from pricestreamd.simulator.door import Door, read_request, web_response
from pricestreamd.simulator.player import Player

_LOOK_SECONDS = 0.05


class Office:
    """Answers the plain requests of one dialect. `asked` counts, per key, how often its price was asked for."""

    def __init__(self, door: Door, dialect: Dialect, player: Player) -> None:
        self.asked: Counter[str] = Counter()
        self._door = door
        self._dialect = dialect
        self._player = player
        self._only_requests = dialect.face == "request"
        self._first_at: float | None = None
        self._requests = 0
        self._frozen: dict[str, Tick] = {}

    # --- what dialects ask

    def now(self) -> float:
        """Epoch seconds."""
        return time.time()

    def last(self, key: str) -> Tick | None:
        """The price of `key`: the last one of a file, the walk's otherwise; in silence always the same."""
        self.asked[key] += 1
        if self._silent() and key in self._frozen:
            return self._frozen[key]
        tick = self._player.last(key, self._dialect.key)
        if self._only_requests:
            self._player.watch(key)
            tick = tick or self._player.seek(key, self._dialect)
        if tick is not None:
            self._frozen[key] = tick
        return tick

    # --- answering

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        asked, scene = read_request(request), self._door.scenario
        refusal = await self._door.arrive(self._dialect, asked, plain=True)
        if refusal is None and scene.refuse_in_band:
            refusal = self._dialect.refusal(401, self._dialect.credential(asked) or "")
        if refusal is not None:
            return web_response(refusal)
        now = asyncio.get_running_loop().time()
        self._first_at = now if self._first_at is None else self._first_at
        self._requests += 1
        if self._after(scene.dead_after):
            return await self._never(request)
        if self._after(scene.ends_after) and self._requests % 3:
            return self._cut(request, reset=scene.ending == "reset")
        answer = self._dialect.answer(asked, self, now)
        return await self._half(request, answer) if self._after(scene.torn_after) else self._whole(answer)

    def _whole(self, answer: Answer) -> web.Response:
        spoilt = self._player.spoiled(answer.body, self._dialect.answer_fields)
        if spoilt is None:
            return web_response(answer)
        return web.Response(body=spoilt, status=answer.status, content_type=answer.content_type)

    def _after(self, seconds: float | None) -> bool:
        if seconds is None or self._first_at is None:
            return False
        return asyncio.get_running_loop().time() - self._first_at >= seconds

    def _silent(self) -> bool:
        return self._after(self._door.scenario.mute_after)

    async def _never(self, request: web.Request) -> web.StreamResponse:
        """No answer, for as long as the client waits."""
        while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_LOOK_SECONDS)
        return web.Response()

    async def _half(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        """Half an answer, and nothing more."""
        body = answer.body.encode()
        response = web.StreamResponse(headers={"Content-Length": str(len(body)), "Content-Type": answer.content_type})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        return await self._never(request)

    def _cut(self, request: web.Request, *, reset: bool) -> web.StreamResponse:
        """The end of TCP instead of an answer."""
        transport = request.transport
        if transport is not None:
            sock = transport.get_extra_info("socket")
            if reset and sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        return web.Response()

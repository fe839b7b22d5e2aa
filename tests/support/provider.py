"""A provider that does as it is told: a real WebSocket server that speaks Twelve Data, or refuses to.

    async with ScriptedProvider() as provider:
        client = WebSocketClient("twelvedata", endpoint=provider.url)

Its script is a coroutine function of one `Conversation`, run for each connection; the default one acknowledges and
answers heartbeats. What every client said is kept in `conversations`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import WSMsgType, web

_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Answer:
    """What the upgrade is answered with instead of 101."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


class Conversation:
    """One connection, from the server's side."""

    def __init__(self, number: int, request: web.Request, ws: web.WebSocketResponse, *, pongs: bool) -> None:
        self.number = number
        self.pongs = pongs
        self.headers = request.headers
        self.path = request.path_qs
        self.ws = ws
        self.transport = request.transport
        self.received: list[dict[str, Any]] = []
        self.pings = 0
        self.close_code: int | None = None
        self.closed = False

    @property
    def subscribed(self) -> set[str]:
        """What the client has asked for, less what it has given up."""
        symbols: set[str] = set()
        for message in self.received:
            named = str(message.get("params", {}).get("symbols", "")).split(",")
            if message.get("action") == "subscribe":
                symbols.update(named)
            elif message.get("action") == "unsubscribe":
                symbols.difference_update(named)
        return symbols

    def actions(self, name: str) -> list[dict[str, Any]]:
        return [message for message in self.received if message.get("action") == name]

    async def send(self, message: Mapping[str, Any] | str | bytes) -> None:
        if isinstance(message, bytes):
            await self.ws.send_frame(message, WSMsgType.TEXT)
        else:
            await self.ws.send_str(message if isinstance(message, str) else json.dumps(message))

    async def price(self, symbol: str, price: object, timestamp: int = 1_700_000_000, **more: object) -> None:
        await self.send({"event": "price", "symbol": symbol, "price": price, "timestamp": timestamp, **more})

    async def acknowledge(self, message: Mapping[str, Any], *, fails: object = None) -> None:
        refused = {item["symbol"] if isinstance(item, dict) else item for item in fails or []}  # type: ignore[attr-defined]
        named = str(message["params"]["symbols"]).split(",")
        await self.send(
            {
                "event": "subscribe-status",
                "status": "warning" if refused else "ok",
                "success": [{"symbol": name} for name in named if name not in refused],
                "fails": fails,
            }
        )

    def reset(self) -> None:
        """RST."""
        assert self.transport is not None
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def drop(self) -> None:
        """End of stream without a close frame."""
        assert self.transport is not None
        self.transport.close()

    async def serve(self, *, heartbeats: bool = True, acknowledge: bool = True) -> None:
        """Behave, until the client goes."""
        async for message in self.messages():
            if message.get("action") == "subscribe" and acknowledge:
                await self.acknowledge(message)
            elif message.get("action") == "heartbeat" and heartbeats:
                await self.send({"event": "heartbeat", "status": "ok"})

    async def messages(self) -> Any:
        """What the client says, as it comes; also kept in `received`."""
        async for frame in self.ws:
            if frame.type is WSMsgType.TEXT:
                message = json.loads(frame.data)
                self.received.append(message)
                yield message
            elif frame.type is WSMsgType.PING:
                self.pings += 1
                if self.pongs:
                    await self.ws.pong(frame.data)
        self.closed = True
        self.close_code = self.ws.close_code


Script = Callable[[Conversation], Awaitable[None]]


async def behave(conversation: Conversation) -> None:
    """The default script."""
    await conversation.serve()


class ScriptedProvider:
    """The server. `answer`, while it is set, takes the place of the upgrade. `pongs`: whether pings are answered.

    `released`: where there is such an event, no request is answered before it is set.
    """

    def __init__(
        self, script: Script = behave, *, tls: ssl.SSLContext | None = None, pongs: bool = True, host: str = "127.0.0.1"
    ) -> None:
        self.script = script
        self.answer: Answer | None = None
        self.released: asyncio.Event | None = None
        self.conversations: list[Conversation] = []
        self.requests: list[web.Request] = []
        self._tls = tls
        self._pongs = pongs
        self._host = host
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, 0, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        for conversation in self.conversations:
            if conversation.transport is not None:
                conversation.transport.abort()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return (
            f"{'wss' if self._tls else 'ws'}://{'localhost' if self._tls else '127.0.0.1'}:{self.port}/v1/quotes/price"
        )

    @property
    def last(self) -> Conversation:
        return self.conversations[-1]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.released is not None:
            await self.released.wait()
        if self.answer is not None:
            return web.Response(status=self.answer.status, headers=self.answer.headers, text=self.answer.body)
        ws = web.WebSocketResponse(autoping=False, compress=False)
        await ws.prepare(request)
        conversation = Conversation(len(self.conversations), request, ws, pongs=self._pongs)
        self.conversations.append(conversation)
        with suppress(ConnectionError, asyncio.CancelledError):
            await self.script(conversation)
        return ws

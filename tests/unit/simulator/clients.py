"""Clients of the simulator that do nothing but listen, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from pricestreamd.simulator.server import Simulator

Client = aiohttp.ClientWebSocketResponse
TEXT, BINARY, CLOSE, PING = (
    aiohttp.WSMsgType.TEXT,
    aiohttp.WSMsgType.BINARY,
    aiohttp.WSMsgType.CLOSE,
    aiohttp.WSMsgType.PING,
)
CLOSED, ERROR = aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR

SUBSCRIBE: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "twelvedata": lambda symbols: {"action": "subscribe", "params": {"symbols": symbols}},
    "generic": lambda symbols: {"op": "subscribe", "symbols": symbols},
    "binance": lambda symbols: {
        "method": "SUBSCRIBE",
        "params": [f"{symbol.lower()}@aggTrade" for symbol in symbols.split(",")],
        "id": 1,
    },
}


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session, session.ws_connect(url, **options) as client:
        yield client


@asynccontextmanager
async def subscribed(sim: Simulator, provider: str, symbols: str, **options: Any) -> AsyncIterator[Client]:
    """A client that has asked for symbols, and not yet read the answer."""
    async with connected(sim.url_of(provider), **options) as client:
        await client.send_json(SUBSCRIBE[provider](symbols))
        yield client


async def heard(client: Client) -> aiohttp.WSMessage:
    return await client.receive(timeout=5)


async def said(client: Client) -> Any:
    """The next text, as JSON."""
    message = await heard(client)
    assert message.type is TEXT, message
    return json.loads(message.data)


async def price_messages(client: Client, count: int, mark: str = "") -> list[Any]:
    """The next so many texts that hold a price, or `mark`."""
    found: list[Any] = []
    while len(found) < count:
        message = await heard(client)
        assert message.type is TEXT, message
        if mark in message.data if mark else any(word in message.data for word in ('"price"', '"aggTrade"')):
            found.append(json.loads(message.data))
    return found


async def over_and_over(step: Callable[[], Awaitable[object]]) -> None:
    """Do something until it raises."""
    while True:
        await step()


async def end_of(client: Client) -> tuple[aiohttp.WSMsgType, int | None, str]:
    """How the connection ended: the kind of the last message, the code, the reason."""
    while True:
        message = await heard(client)
        if message.type not in (TEXT, BINARY, PING, aiohttp.WSMsgType.PONG):
            reason = message.extra if message.type is CLOSE else None
            return message.type, client.close_code, reason or ""


class EventStream:
    """A response that is a stream of events; comments are kept, too."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.comments: list[str] = []
        self._rest = b""

    async def event(self) -> str:
        """The data of the next event."""
        lines: list[str] = []
        while True:
            line = (await asyncio.wait_for(self._line(), 5)).decode(errors="replace")
            if line.startswith(":"):
                self.comments.append(line)
            elif line.startswith("data:"):
                lines.append(line.removeprefix("data:").removeprefix(" "))
            elif not line and lines:
                return "\n".join(lines)

    async def _line(self) -> bytes:
        """However long it is."""
        while (end := self._rest.find(b"\n")) < 0:
            more = await self.response.content.readany()
            if not more:
                raise EOFError
            self._rest += more
        line, self._rest = self._rest[:end], self._rest[end + 1 :]
        return line

    async def quotes(self) -> list[dict[str, Any]]:
        """The next event, as JSON."""
        return json.loads(await self.event())  # type: ignore[no-any-return] # arrays of objects


@asynccontextmanager
async def streaming(url: str, **query: str) -> AsyncIterator[EventStream]:
    async with aiohttp.ClientSession() as session, session.get(url, params=query) as response:
        yield EventStream(response)


async def fetched(url: str, headers: Mapping[str, str] | None = None, **query: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session:
        async with session.get(url, params=query, headers=headers, timeout=aiohttp.ClientTimeout(5)) as response:
            return response.status, await response.text()


async def upgraded(port: int, path: str = "/v1/quotes/price") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The bare TCP stream of a WebSocket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==",
    ]
    writer.write("\r\n".join([*head, "", ""]).encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    return reader, writer


def masked(text: str) -> bytes:
    """A client's text frame, its mask all zeros."""
    data = text.encode()
    size = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0xFE]) + len(data).to_bytes(2)
    return b"\x81" + size + bytes(4) + data

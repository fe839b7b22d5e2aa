"""The face of providers that speak over a WebSocket."""

from __future__ import annotations

import asyncio
import base64

from aiohttp import WSMessage, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

from pricestreamd.simulator.connection import CLOSE_SECONDS, Connection
from pricestreamd.simulator.desk import Desk
from pricestreamd.simulator.dialect import Dialect, Session
from pricestreamd.simulator.door import Door, read_request, web_response
from pricestreamd.simulator.frames import CLOSE, CONTINUATION, PING, TEXT, frame
from pricestreamd.simulator.framing import WEBSOCKET

_TORN = {
    "partial-frame": frame(TEXT, b'{"event":"price","symbol":"AAPL","price":' + b" " * 80)[:40],
    "huge-header": b"\x81\x7f" + (1 << 62).to_bytes(8) + b'{"filler":"' + b"x" * 4096,
    "endless-message": frame(TEXT, b'{"filler":"', final=False),
    "more": frame(CONTINUATION, b"x" * 65536, final=False),
}
# A close frame holds 125 bytes, two of them the code.
_LONGEST_REASON = 123
_OVER = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)
_WRONG_ACCEPT = base64.b64encode(bytes(20)).decode()


class WebSocketConnection(Connection):
    """A WebSocket after its upgrade."""

    framing = WEBSOCKET

    def __init__(
        self,
        dialect: Dialect,
        session: Session,
        key: str,
        transport: asyncio.Transport,
        *,
        response: web.WebSocketResponse,
        writer: AbstractStreamWriter,
    ) -> None:
        super().__init__(dialect, session, key, transport)
        self._response = response
        self._writer = writer
        self._parted = asyncio.Event()

    def sign_of_life(self, text: str) -> None:
        """A ping, whose answer is awaited."""
        self.unanswered.add(text)
        self.write(frame(PING, text.encode()))

    def answered(self, payload: bytes) -> None:
        """A pong has come: it answers the ping that it copies, and no other."""
        self.unanswered.discard(payload.decode("latin-1"))

    async def pong(self, payload: bytes) -> None:
        """Answer a ping."""
        if self.writable:
            await self._response.pong(payload)

    def tear(self, how: str) -> None:
        """As bytes of frames."""
        self.write(_TORN[how])
        if how in ("partial-frame", "huge-header"):
            self.die()

    async def drain(self) -> None:
        """By the transport's own marks."""
        await self._writer.drain()

    def part(self, code: int, reason: str = "") -> None:
        """A close frame."""
        if self.writable:
            self.write(frame(CLOSE, code.to_bytes(2) + reason.encode()[:_LONGEST_REASON]))
            self.end(f"close {code}")

    async def close(self, code: int, reason: str = "") -> None:
        """Send a close frame, wait, not long, for the client's, and end TCP."""
        self.part(code, reason)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._parted.wait()
        except TimeoutError:
            pass
        self._transport.close()

    def client_parted(self) -> None:
        """The client has sent a close frame, or is gone."""
        self._parted.set()


async def serve_websocket(door: Door, desk: Desk, dialect: Dialect, request: web.Request) -> web.StreamResponse:
    """Take an upgrade, or refuse it; then talk until the connection ends."""
    asked = read_request(request)
    refusal = await door.arrive(dialect, asked)
    refusal = door.crowded(dialect) if refusal is None else refusal
    if refusal is not None:
        return web_response(refusal)
    key = dialect.credential(asked) or ""
    session = dialect.session(asked)
    if desk.crowded(dialect, key):
        session = dialect.refusal(429, key)
    if not isinstance(session, Session):
        door.refused += 1
        return web_response(session)
    scene = door.scenario
    if scene.answer == "bad-accept":
        return await _wrong_upgrade(door, request)
    response = web.WebSocketResponse(
        timeout=CLOSE_SECONDS,
        compress=False,
        autoping=False,
        autoclose=False,
        max_msg_size=dialect.limits.max_message_size,
    )
    writer = await response.prepare(request)
    transport = request.transport
    if transport is None:
        return response
    connection = WebSocketConnection(dialect, session, key, transport, response=response, writer=writer)
    if scene.refuse_in_band:
        door.refused += 1
        connection.say([dialect.refusal_in_band()])
        connection.part(1008)
        desk.spawn(connection.close(1008))
        await _converse(desk, connection, response)
        return response
    desk.opened(connection)
    try:
        await _converse(desk, connection, response)
    finally:
        desk.gone(connection)
    return response


async def _converse(desk: Desk, connection: WebSocketConnection, response: web.WebSocketResponse) -> None:
    """Hear the client until the connection ends. A client that has been silent for too long is cut off."""
    idle, now = connection.dialect.limits.idle_timeout, asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(idle) as silence:
            while True:
                message = await response.receive()
                if message.type in _OVER:
                    break
                if not connection.writable or not desk.heard(connection):
                    continue
                if await _is_word(desk, connection, message):
                    if idle is not None:
                        silence.reschedule(now() + idle)
                    desk.receive(connection, message.data if message.type is WSMsgType.TEXT else "")
    except TimeoutError:
        connection.cut()
        return
    connection.client_parted()
    if message.type is WSMsgType.CLOSE and connection.writable:
        await response.close(code=message.data or 1000, drain=False)
    else:
        # Dead, or closed by us: either says nothing more, and the end of TCP is somebody else's business.
        await connection.vanished()


async def _is_word(desk: Desk, connection: WebSocketConnection, message: WSMessage) -> bool:
    """Whether a message says something, after taking care of pings and pongs."""
    if message.type is WSMsgType.PING:
        if desk.scenario.pongs:
            await connection.pong(message.data)
        return False
    if message.type is WSMsgType.PONG:
        connection.answered(message.data)
        return False
    return True


async def _wrong_upgrade(door: Door, request: web.Request) -> web.StreamResponse:
    """Agree to the upgrade with a signature that is none, and say nothing more."""
    door.refused += 1
    transport = request.transport
    if transport is not None:
        head = (
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {_WRONG_ACCEPT}",
        )
        transport.write("\r\n".join([*head, "", ""]).encode())
        await asyncio.sleep(CLOSE_SECONDS)
        transport.close()
    return web.Response(status=400)

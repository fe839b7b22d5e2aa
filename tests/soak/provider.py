"""The provider of a soak: numbers its ticks, keeps the ledger, and can be made to misbehave, connection by connection.

It is strict where providers are: a client that sends too much, says what is not understood, leaves a ping unanswered
on a sound connection or stays after a farewell is written down in `violations`.
"""

from __future__ import annotations

import asyncio
import math
import struct
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from aiohttp import WSMsgType, web

from tests.soak.ledger import MARGIN, Page
from tests.soak.wire import Heard, Wire
from tests.soak.world import World
from tests.support.faultproxy import Timeout
from tests.support.lineproxy import Line, LineProxy

_PING_EVERY = 3.0
# Longer than the slowest client needs to see that it has been cut off.
_PONG_WITHIN = 12.0
# How often the market is looked at: ticks of one look are written together.
_LOOK = 0.005
# A farewell is followed by the end, in seconds.
_GRACE = 10.0


@dataclass
class Outage:
    """A connection was taken away; it is over when others carry its symbols. Times are monotonic seconds.

    Symbols that come and go do not count: they may be away when it ends.
    """

    kind: str
    began: float
    left: set[int]
    ended: float | None = None


@dataclass(eq=False)
class Client:
    """One connection of the client, from this side."""

    number: int
    transport: asyncio.Transport
    line: Line
    page: Page = field(default_factory=Page)
    symbols: set[int] = field(default_factory=set)
    silent: bool = False
    """No ticks go to it any more."""
    over: bool = False
    """Nothing at all goes to it any more."""
    spoiled: bool = False
    """It will not last, or is over: its symbols are not well on it."""
    leaving: bool = False
    """It was told that it will be closed."""
    texts: deque[float] = field(default_factory=deque)
    ponged_at: float = 0.0
    busy_until: float = 0.0

    @property
    def sound(self) -> bool:
        """Whether it may be chosen for the next fault."""
        return bool(self.symbols) and not self.spoiled and not self.leaving and self.busy_until <= time.monotonic()

    def write(self, data: bytes) -> None:
        if not self.over and not self.transport.is_closing():
            self.transport.write(data)


class NumberedProvider:
    """Serves `world` in the words of `wire`, through a `LineProxy`. An async context manager."""

    def __init__(self, world: World, wire: Wire) -> None:
        self.world = world
        self.wire = wire
        self.clients: list[Client] = []
        self.pages: list[Page] = []
        self.outages: list[Outage] = []
        self.violations: Counter[str] = Counter()
        self.connects = 0
        self.ack_delay = 0.0
        self.speed = 1.0
        """Of the market: so many times its rates."""
        self.refusal: int | None = None
        """HTTP status with which upgrades are refused at present."""
        self._open_outages: list[Outage] = []
        self._serials = [0] * world.symbols
        self._numbers = [-1] * world.symbols
        self._audience: list[list[Client]] = [[] for _ in range(world.symbols)]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get(self.wire.path, self._handle)
        if self.wire.rest_path is not None:
            app.router.add_get(self.wire.rest_path, self._last_prices)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.proxy = LineProxy(self._runner.addresses[0][1])
        await self.proxy.__aenter__()
        self._market = asyncio.create_task(self._play())
        self._tasks = [self._market, asyncio.create_task(self._ping())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.proxy.__aexit__()
        for client in self.clients:
            client.transport.abort()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where clients connect: the proxy."""
        return self.proxy.url(self.wire.path)

    @property
    def carried(self) -> set[int]:
        """Symbols that are subscribed on a sound connection."""
        return {symbol for client in self.clients if not client.spoiled for symbol in client.symbols}

    async def hush(self) -> None:
        """The market is over; what was written stays on its way."""
        self._market.cancel()
        await asyncio.wait({self._market})

    # --- the market

    async def _play(self) -> None:
        ahead = None
        ticks = self.world.ticks()
        looked_at, market = time.monotonic(), 0.0
        while True:
            now = time.monotonic()
            market += (now - looked_at) * self.speed
            looked_at = now
            while True:
                at, symbol, number = ahead or next(ticks)
                if at > market:
                    ahead = (at, symbol, number)
                    break
                ahead = None
                self._tick(symbol, number)
            await asyncio.sleep(_LOOK)

    def _tick(self, symbol: int, number: int) -> None:
        copies = self.world.copies(symbol, number)
        serial = self._serials[symbol]
        self._serials[symbol] += copies
        self._numbers[symbol] = number
        audience = self._audience[symbol]
        if not audience:
            return
        at = time.time()
        frames = b"".join(_text(self.wire.tick(symbol, number, serial + copy, at)) for copy in range(copies))
        now = time.monotonic()
        for client in audience:
            if not client.silent:
                client.page.wrote(symbol, number, now)
                client.write(frames)

    # --- conversations

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self.refusal is not None:
            return web.Response(status=self.refusal, headers={"Retry-After": "1"})
        ws = web.WebSocketResponse(autoping=False, compress=False, timeout=2.0)
        await ws.prepare(request)
        transport = request.transport
        line = self.proxy.line(transport.get_extra_info("peername")[1]) if transport is not None else None
        if transport is None or line is None:
            return ws
        client = Client(self.connects, transport, line, ponged_at=time.monotonic())
        self.connects += 1
        self.clients.append(client)
        self.pages.append(client.page)
        try:
            async for frame in ws:
                if frame.type is WSMsgType.TEXT:
                    self._count(client)
                    self._heard(client, frame.data)
                elif frame.type is WSMsgType.PING:
                    self._count(client, control=True)
                    client.write(b"\x8a" + bytes([len(frame.data)]) + frame.data)
                elif frame.type is WSMsgType.PONG:
                    self._count(client, control=True)
                    client.ponged_at = time.monotonic()
        finally:
            self._gone(client)
        return ws

    async def _last_prices(self, request: web.Request) -> web.Response:
        return web.json_response(text=self.wire.last_prices(request.query, self._numbers))

    def _count(self, client: Client, *, control: bool = False) -> None:
        if control and not self.wire.counts_control_frames:
            return
        limit, seconds = self.wire.allowed
        now = time.monotonic()
        client.texts.append(now)
        while now - client.texts[0] > seconds:
            client.texts.popleft()
        # A line that was slow brings together what was sent apart.
        if len(client.texts) > limit and client.busy_until < now - seconds:
            self.violations["too many messages"] += 1

    def _heard(self, client: Client, text: str) -> None:
        try:
            heard = self.wire.heard(text)
        except (ValueError, KeyError, IndexError):
            self.violations["message not understood"] += 1
            return
        if heard.subscribe and self.ack_delay:
            asyncio.get_running_loop().call_later(self.ack_delay, self._answer, client, heard)
        else:
            self._answer(client, heard)

    def _answer(self, client: Client, heard: Heard) -> None:
        if client not in self.clients or client.over:
            return
        client.write(_text(heard.answer))
        for symbol in heard.unsubscribe:
            client.page.gave_up(symbol, time.monotonic())
        self._change(client, (client.symbols | set(heard.subscribe)) - set(heard.unsubscribe))

    def _change(self, client: Client, symbols: set[int]) -> None:
        for symbol in client.symbols - symbols:
            self._audience[symbol].remove(client)
        for symbol in symbols - client.symbols:
            for other in self._audience[symbol]:
                if other.leaving:
                    other.page.handed_over.setdefault(symbol, time.monotonic())
            self._audience[symbol].append(client)
        gone, client.symbols = client.symbols - symbols, symbols
        self._look_for_gaps(client, gone)
        self._look_at_outages()

    def _gone(self, client: Client) -> None:
        """The stream has ended, whoever ended it."""
        client.page.broken(time.monotonic(), "client")
        client.leaving = client.leaving and not client.spoiled
        client.spoiled = True
        self.clients.remove(client)
        for symbol in client.symbols:
            self._audience[symbol].remove(client)
        self._look_for_gaps(client, client.symbols)

    def _look_for_gaps(self, client: Client, gone: set[int]) -> None:
        """Whoever leaves in good time has others carry its symbols before, unless these are spoiled in the meantime."""
        if client.leaving:
            spoiled = {symbol for outage in self._open_outages if outage.kind != "farewell" for symbol in outage.left}
            bare = [symbol for symbol in gone & set(self.world.residents) - spoiled if not self._audience[symbol]]
            self.violations["symbols uncovered by a planned replacement"] += len(bare)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(_PING_EVERY)
            now = time.monotonic()
            for client in list(self.clients):
                if now - client.ponged_at > _PONG_WITHIN:
                    if not client.spoiled:
                        self.violations["ping not answered"] += 1
                    client.line.reset_all()
                    client.transport.abort()
                else:
                    client.write(b"\x89\x04soak")

    # --- misbehaviour

    def end(self, client: Client, kind: str, margin: float = MARGIN, *, silent: bool = True) -> None:
        """From now on nothing arrives; somebody should notice."""
        client.page.broken(time.monotonic(), kind, margin)
        client.silent = silent
        if not client.spoiled:
            client.spoiled = True
            self._begin_outage(kind, client.symbols)

    def reset(self, client: Client) -> None:
        """RST."""
        self.end(client, "reset")
        client.over = True
        client.line.reset_all()

    def eof(self, client: Client) -> None:
        """The end of the stream, without a close frame."""
        self.end(client, "eof")
        client.over = True
        client.transport.close()

    def close(self, client: Client, code: int) -> None:
        """A close frame. Everything before it arrives."""
        self.end(client, f"close {code}", margin=0.0)
        client.write(b"\x88\x02" + struct.pack("!H", code))
        client.over = True

    def mute(self, client: Client) -> None:
        """No ticks any more; everything else is answered."""
        self.end(client, "mute", margin=0.0)

    def half_open(self, client: Client) -> None:
        """Both directions vanish without a word; this side goes on writing."""
        self.end(client, "half-open", silent=False)
        client.line.spoil(Timeout())

    def farewell(self, client: Client) -> None:
        """Say that the connection will be closed, and close it some time later: nothing needs to be lost."""
        assert self.wire.farewell is not None
        client.leaving = True
        client.busy_until = math.inf
        client.write(_text(self.wire.farewell))
        self._begin_outage("farewell", client.symbols)
        asyncio.get_running_loop().call_later(_GRACE, self._close_after_farewell, client)

    def _close_after_farewell(self, client: Client) -> None:
        if client in self.clients and not client.spoiled:
            client.leaving = False
            self.violations["did not leave after the farewell"] += 1
            self.close(client, 1001)

    def forget(self, client: Client, symbol: int) -> None:
        """One symbol is not subscribed any more, and nobody is told."""
        self._change(client, client.symbols - {symbol})
        self._begin_outage("forgotten symbol", {symbol})

    def noise(self, client: Client) -> None:
        """Frames that are no ticks."""
        for text in self.wire.noise:
            client.write(_text(text))

    def _begin_outage(self, kind: str, symbols: set[int]) -> None:
        outage = Outage(kind, time.monotonic(), symbols & set(self.world.residents))
        self.outages.append(outage)
        self._open_outages.append(outage)
        self._look_at_outages()

    def _look_at_outages(self) -> None:
        if not self._open_outages:
            return
        carried = {symbol for each in self.clients if not each.spoiled and not each.leaving for symbol in each.symbols}
        now = time.monotonic()
        for outage in self._open_outages:
            outage.left -= carried
            if not outage.left:
                outage.ended = now
        self._open_outages = [outage for outage in self._open_outages if outage.ended is None]


def recovery_times(outages: Iterable[Outage]) -> dict[str, list[float]]:
    """Seconds from fault to live again, by kind, in their order."""
    times: dict[str, list[float]] = {}
    for outage in outages:
        if outage.ended is not None:
            times.setdefault(outage.kind, []).append(outage.ended - outage.began)
    return times


def _text(text: str) -> bytes:
    data = text.encode()
    return (bytes((0x81, len(data))) if len(data) < 126 else b"\x81\x7e" + struct.pack("!H", len(data))) + data

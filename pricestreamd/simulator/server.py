"""The simulated provider as a server: upgrades, conversations and scripted faults. Prices are the player's."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import WSMsgType, web

from pricestreamd.simulator.connection import CLOSE_SECONDS, Connection
from pricestreamd.simulator.dialect import Limits, Reply
from pricestreamd.simulator.dialects import create
from pricestreamd.simulator.market import Dice, Market
from pricestreamd.simulator.player import Player, Wanted
from pricestreamd.simulator.scenarios import STEADY, Scenario, find_scenario
from pricestreamd.simulator.sources import FileSource, Source, SyntheticSource

MAX_RATE = math.inf
"""As fast as the clients take the prices."""


class Simulator:
    """A provider of our own on `host`:`port` (0: a free one): `async with Simulator("twelvedata") as sim: sim.url`.

    `source`: recorded files to play; without it synthetic prices, the same for the same `seed`. `rate`: ticks per
    second over all symbols, or `MAX_RATE`. `api_key`: the only key let in; without it any is. `limits`: other than
    the provider's own. `connects` and `refused` count upgrades.

    Raises:
        ValueError: no such provider or scenario, or a rate that is not positive.
        ReplayInputError: on entering, when a file cannot be used.
        OSError: on entering, when the address cannot be bound.
    """

    def __init__(
        self,
        provider: str,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        source: str | Path | Iterable[str | Path] | None = None,
        rate: float = 20.0,
        api_key: str | None = None,
        scenario: str | Scenario = STEADY,
        seed: int | str = 0,
        limits: Limits | None = None,
    ) -> None:
        if not rate > 0:
            raise ValueError(f"a rate is a positive number of ticks per second, or MAX_RATE, not {rate!r}")
        self.scenario = scenario if isinstance(scenario, Scenario) else find_scenario(scenario)
        self.connections: list[Connection] = []
        self.connects = 0
        self.refused = 0
        self._dialect = create(provider, self.scenario, limits)
        self._address = (host, port)
        self._files = [source] if isinstance(source, str | Path) else list(source) if source is not None else None
        self._rate = rate
        self._api_key = api_key
        self._seed = seed
        self._closing: set[asyncio.Task[None]] = set()

    # --- life

    async def __aenter__(self) -> Self:
        self._source: Source = SyntheticSource(Market(self._dice)) if self._files is None else FileSource(self._files)
        patience = self.scenario.slow_reader_seconds
        self._player = Player(self._dialect, self._source, self._rate, self.connections, patience)
        app = web.Application()
        app.router.add_get(self._dialect.path, self._connect)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_SECONDS)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, *self._address).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._playing = asyncio.create_task(self._player.play(), name="simulator player")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        tasks = [self._playing, *self._closing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(connection.leave(1001) for connection in list(self.connections)))
        await self._runner.cleanup()

    def _dice(self, symbol: str) -> Dice:
        return random.Random(f"{self._seed}/{symbol}").random  # noqa: S311 - prices, not secrets

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._runner.addresses[0][1])

    @property
    def url(self) -> str:
        """Where clients connect, without a key."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._address[0], self._address[0])  # noqa: S104 - not bound here
        return f"ws://{f'[{host}]' if ':' in host else host}:{self.port}{self._dialect.path}"

    async def wait_prepared(self) -> None:
        """Return when as much as fits of the files is ready to go out at `MAX_RATE`: worth it before a benchmark."""
        await self._player.prepared.wait()

    async def wait_played(self) -> None:
        """Return when the last tick of the files was sent; with synthetic prices, never.

        Raises:
            ReplayInputError: the rest of a file cannot be read.
        """
        await asyncio.shield(self._playing)

    # --- counters

    @property
    def sent(self) -> Counter[str]:
        """Prices written to open connections, per key (`AAPL`, `RY:TSX`)."""
        counts: Counter[str] = Counter()
        for symbol, count in self._player.sent.items():
            counts[self._dialect.key(symbol) or symbol] += count
        return counts

    @property
    def subscribed(self) -> tuple[str, ...]:
        """Keys of which prices go to somebody."""
        return self._player.keys

    @property
    def unusable_rows(self) -> int:
        """Rows of the files that were passed over because they hold no usable price."""
        return self._source.unusable if isinstance(self._source, FileSource) else 0

    # --- conversations

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        """Take an upgrade, or refuse it."""
        scene, dialect = self.scenario, self._dialect
        key = dialect.credential(request.query, request.headers)
        status = scene.refuse_status
        if status is None and not scene.refuse_in_band and self._api_key is not None and key != self._api_key:
            status = 401
        if status is not None:
            self.refused += 1
            headers = dict(scene.refuse_headers)
            return web.json_response(text=dialect.refusal(status), status=status, headers=headers)
        response = web.WebSocketResponse(
            timeout=CLOSE_SECONDS,
            compress=False,
            autoping=scene.pongs,
            max_msg_size=dialect.limits.max_message_size,
        )
        writer = await response.prepare(request)
        transport = request.transport
        if transport is None:
            return response
        self.connects += 1
        connection = Connection(response, writer, transport, key)
        if scene.refuse_in_band:
            self.refused += 1
            connection.say([dialect.refusal_in_band()])
            await connection.close(1008)
        else:
            await self._serve(connection, response)
        return response

    async def _serve(self, connection: Connection, response: web.WebSocketResponse) -> None:
        """Talk with one client until the connection ends."""
        self.connections.append(connection)
        timers = self._start_faults(connection)
        session = self._dialect.session()
        idle = self._dialect.limits.idle_timeout
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(idle) as silence:
                async for message in response:
                    if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                        continue
                    if idle is not None:
                        silence.reschedule(now() + idle)
                    text = message.data if message.type is WSMsgType.TEXT else ""
                    for reply in session.receive(text, now()):
                        self._schedule(connection, reply, timers)
        except TimeoutError:
            connection.cut()
        finally:
            for timer in timers:
                timer.cancel()
            self.connections.remove(connection)
            self._player.subscriptions_changed()

    def _start_faults(self, connection: Connection) -> list[asyncio.TimerHandle]:
        """Close the oldest of too many connections; set the clocks of what the scenario does to this one."""
        allowed = self._dialect.limits.connections_per_key
        if allowed is not None:
            for oldest in [other for other in self.connections if other.key == connection.key][:-allowed]:
                oldest.cut()
        scene, loop = self.scenario, asyncio.get_running_loop()
        timers = []
        if scene.ends_after is not None:
            timers.append(loop.call_later(scene.ends_after, self._end, connection))
        if scene.mute_after is not None:
            connection.muted = scene.mute_after <= 0
            timers.append(loop.call_later(scene.mute_after, self._mute, connection))
        return timers

    def _end(self, connection: Connection) -> None:
        if self.scenario.ending != "close":
            connection.cut(reset=self.scenario.ending == "reset")
            return
        task = asyncio.create_task(connection.close(self.scenario.close_code), name="simulator close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _mute(self, connection: Connection) -> None:
        connection.muted = True
        self._player.subscriptions_changed()

    def _schedule(self, connection: Connection, reply: Reply, timers: list[asyncio.TimerHandle]) -> None:
        """Give a reply now, or, if it is an acknowledgement, when the scenario lets it."""
        delay = self.scenario.ack_delay
        if reply.subscribed is None or delay == 0:
            self._reply(connection, reply)
        elif delay is not None:
            timers.append(asyncio.get_running_loop().call_later(delay, self._reply, connection, reply))

    def _reply(self, connection: Connection, reply: Reply) -> None:
        # Both in one go, so that no price can come before the acknowledgement.
        connection.say([reply.text])
        if reply.subscribed is not None:
            connection.subscribed = reply.subscribed
            connection.wanted = Wanted(self._dialect, reply.subscribed)
            self._player.subscriptions_changed()

"""The simulated provider as a server: one market, told on as many faces as its dialects have."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from aiohttp import web

from pricestreamd.simulator.chaos import Chaos, Fault
from pricestreamd.simulator.connection import CLOSE_SECONDS, Connection
from pricestreamd.simulator.desk import Desk
from pricestreamd.simulator.dialect import Dialect, Limits
from pricestreamd.simulator.dialects import create
from pricestreamd.simulator.door import Door
from pricestreamd.simulator.events import serve_events
from pricestreamd.simulator.ledger import Ledger
from pricestreamd.simulator.market import Dice, Market
from pricestreamd.simulator.pacing import PoissonPace, TickPace
from pricestreamd.simulator.player import Player
from pricestreamd.simulator.requests import Office
from pricestreamd.simulator.scenarios import STEADY, Scenario, find_scenario
from pricestreamd.simulator.sources import FileSource, Source, SyntheticSource, UnevenSource
from pricestreamd.simulator.websocket import serve_websocket

MAX_RATE = math.inf
"""As fast as the clients take the prices."""

Rates = Literal["even", "poisson"]
"""Symbols in turn at even intervals; or each a Poisson process with a rate of its own."""

_SCHEMES = {"websocket": "ws", "events": "http", "request": "http"}
_LOOK_SECONDS = 0.005


class Simulator:
    """A provider of our own on `host`:`port` (0: a free one): `async with Simulator("twelvedata") as sim: sim.url`.

    `provider`: whose protocol to speak; several speak on the same port, about the same prices. `source`: recorded files
    to play; without it synthetic prices, the same for the same `seed`. `rate`: ticks per second over all symbols, or
    `MAX_RATE`. `api_key`: the only key let in; without it any is. `scenario`: how it misbehaves, by name
    (`drop:3s+reject-some`) or as a record. `limits`: other than the provider's own, by provider or for all. `ledger`:
    number the ticks and record where each was written (see the module `ledger`).

    While it runs: `connections` are those open now, each with its `number`, `key`, `subscribed`, `sent`, `muted` and
    `opened_at`; `connects` and `refused` count upgrades; `drop`, `mute`, `pause`, `refuse` and `switch` act on it.

    Raises:
        ValueError: no such provider or scenario, or a rate that is not positive.
        ReplayInputError: on entering, when a file cannot be used.
        OSError: on entering, when the address cannot be bound.
    """

    def __init__(
        self,
        provider: str | Sequence[str],
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        source: str | Path | Iterable[str | Path] | None = None,
        rate: float = 20.0,
        rates: Rates = "even",
        api_key: str | None = None,
        scenario: str | Scenario = STEADY,
        seed: int | str = 0,
        limits: Limits | Mapping[str, Limits] | None = None,
        ledger: bool = False,
    ) -> None:
        if not rate > 0:
            raise ValueError(f"a rate is a positive number of ticks per second, or MAX_RATE, not {rate!r}")
        self.scenario = scenario if isinstance(scenario, Scenario) else find_scenario(scenario)
        self.connections: list[Connection] = []
        self.ledger = Ledger() if ledger else None
        names = [provider] if isinstance(provider, str) else list(provider)
        given = limits if isinstance(limits, Mapping) else dict.fromkeys(names, limits)
        self._dialects = {name: create(name, self.scenario, given.get(name), ledger=ledger) for name in names}
        self._address = (host, port)
        self._files = [source] if isinstance(source, str | Path) else list(source) if source is not None else None
        self._rate = rate
        self._rates = rates
        self._seed = seed
        self._door = Door(self.scenario, api_key)
        self._offices: list[Office] = []
        self._chaos: Chaos | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # --- life

    async def __aenter__(self) -> Self:
        dialects = list(self._dialects.values())
        self._source = self._make_source()
        self._player = Player(
            dialects, self._source, self._make_pace(), self.connections, dice=self._dice, ledger=self.ledger
        )
        self._desk = Desk(self.scenario, self.connections, self._player, self.ledger)
        app = web.Application()
        for dialect in dialects:
            self._open(app, dialect)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_SECONDS)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, *self._address).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._playing = asyncio.create_task(self._player.play(), name="simulator player")
        self._tasks.append(self._playing)
        self._unleash()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._player.stop()
        await self._desk.shut()
        await self._runner.cleanup()

    def _make_source(self) -> Source:
        if self._files is not None:
            return FileSource(self._files)
        market = Market(self._dice)
        if self._rates == "poisson":
            return UnevenSource(market, self._dice, self._dice("who is next"))
        return SyntheticSource(market)

    def _make_pace(self) -> TickPace:
        # A message of many ticks is full after a second.
        rate = max(self._rate, self.scenario.batch) if self.scenario.batch > 1 else self._rate
        if self._rates == "poisson" and rate < MAX_RATE:
            return PoissonPace(rate, self._dice("when is next"))
        return TickPace(rate)

    def _open(self, app: web.Application, dialect: Dialect) -> None:
        """Serve all addresses of a dialect."""
        office = Office(self._door, dialect, self._player)
        self._offices.append(office)
        for path, face in dialect.faces.items():
            if face == "websocket":
                app.router.add_get(path, partial(serve_websocket, self._door, self._desk, dialect))
            elif face == "events":
                app.router.add_get(path, partial(serve_events, self._door, self._desk, dialect))
            else:
                app.router.add_get(path, office.serve)

    def _unleash(self) -> None:
        if self.scenario.chaos_every is not None and self._chaos is None:
            self._chaos = Chaos(self._desk, self._door, self._dice("chaos"), self.scenario.chaos_every)
            self._tasks.append(asyncio.create_task(self._chaos.run(), name="simulator chaos"))

    def _dice(self, symbol: str) -> Dice:
        return random.Random(f"{self._seed}/{symbol}").random  # noqa: S311 - prices, not secrets

    # --- where it is

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._runner.addresses[0][1])

    @property
    def url(self) -> str:
        """Where clients connect, without a key; with several providers the first one's."""
        return self.url_of(next(iter(self._dialects)))

    def url_of(self, provider: str) -> str:
        """Where clients of one of several providers connect."""
        dialect = self._dialects[provider]
        return f"{_SCHEMES[dialect.face]}://{self._authority}{dialect.address}"

    @property
    def http_url(self) -> str:
        """What plain requests begin with: `http://127.0.0.1:9778`."""
        return f"http://{self._authority}"

    @property
    def _authority(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._address[0], self._address[0])  # noqa: S104 - not bound here
        return f"{f'[{host}]' if ':' in host else host}:{self.port}"

    # --- waiting

    async def wait_prepared(self) -> None:
        """Return when as much as fits of the files is ready to go out at `MAX_RATE`: worth it before a benchmark."""
        await self._player.prepared.wait()

    async def wait_played(self) -> None:
        """Return when the last tick of the files was sent; with synthetic prices, never.

        Raises:
            ReplayInputError: the rest of a file cannot be read.
        """
        await asyncio.shield(self._playing)

    # --- acting on it

    async def drop(
        self, connection: Connection, how: Literal["reset", "eof"] | int = "reset", reason: str = ""
    ) -> None:
        """End a connection by a reset, the end of TCP, or a close frame with this code; return when it is gone."""
        if isinstance(how, int):
            await connection.close(how, reason)
        else:
            connection.cut(reset=how == "reset")
        while connection in self.connections:  # noqa: ASYNC110 - a moment, and only for tests
            await asyncio.sleep(_LOOK_SECONDS)

    def mute(self, connection: Connection, *, dead: bool = False) -> None:
        """Send no more prices on a connection; with `dead`, nothing at all, not even answers, while TCP stays open."""
        if dead:
            self._desk.kill(connection)
        else:
            self._desk.mute(connection)

    def pause(self) -> None:
        """Let the whole market stand still, as if it were closed."""
        self._player.pause()

    def resume(self) -> None:
        """Let it go on."""
        self._player.resume()

    def refuse(self, seconds: float, status: int = 503) -> None:
        """Refuse every request for a while."""
        self._door.close(seconds, status)

    def switch(self, scenario: str | Scenario) -> None:
        """Behave by another scenario from now on. Clocks that have been set for open connections stay set."""
        self.scenario = scenario if isinstance(scenario, Scenario) else find_scenario(scenario)
        for dialect in self._dialects.values():
            dialect.switch(self.scenario)
        self._door.scenario = self._desk.scenario = self.scenario
        self._player.behave(self.scenario)
        self._unleash()

    # --- counters

    @property
    def connects(self) -> int:
        """Connections that were ever opened."""
        return self._desk.connects

    @property
    def refused(self) -> int:
        """Requests that were refused."""
        return self._door.refused

    @property
    def dials(self) -> tuple[float, ...]:
        """When each connection was asked for, whether or not it was refused, on the event loop's clock."""
        return tuple(self._door.dials)

    @property
    def requests(self) -> tuple[float, ...]:
        """When each plain request came, likewise."""
        return tuple(self._door.requests)

    @property
    def asked(self) -> Counter[str]:
        """How often the price of each key was asked for by a plain request."""
        return sum((office.asked for office in self._offices), Counter())

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What chaos has done so far."""
        return tuple(self._chaos.faults) if self._chaos is not None else ()

    @property
    def sent(self) -> Counter[str]:
        """Prices written to open connections, per key (`AAPL`, `RY:TSX`)."""
        counts: Counter[str] = Counter()
        for symbol, count in self._player.sent.items():
            keys = (dialect.key(symbol) for dialect in self._dialects.values())
            counts[next(filter(None, keys), symbol)] += count
        return counts

    @property
    def subscribed(self) -> tuple[str, ...]:
        """Keys of which prices go to somebody."""
        return self._player.keys

    @property
    def unusable_rows(self) -> int:
        """Rows of the files that were passed over because they hold no usable price."""
        return self._source.unusable if isinstance(self._source, FileSource) else 0

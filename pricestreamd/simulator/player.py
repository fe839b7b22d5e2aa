"""The player: takes ticks from the source and writes them to whoever has subscribed.

It pauses while nobody has, so a recorded file begins at the first subscription and every tick of it that somebody
wants goes out. At full rate it waits for its slowest client: nothing is skipped for anyone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

from pricestreamd.model.errors import PriceStreamError
from pricestreamd.model.tick import Tick
from pricestreamd.simulator.connection import Connection
from pricestreamd.simulator.dialect import Dialect, Fields, Voice
from pricestreamd.simulator.distortion import Distortion, Told, bursting
from pricestreamd.simulator.framing import WEBSOCKET
from pricestreamd.simulator.ledger import Ledger
from pricestreamd.simulator.market import Dice
from pricestreamd.simulator.pacing import TickPace
from pricestreamd.simulator.scenario import Scenario
from pricestreamd.simulator.sources import FileSource, Source
from pricestreamd.simulator.spoiler import Spoiler
from pricestreamd.simulator.strip import Choice, Handful, Lot, Strip, Wanted
from pricestreamd.simulator.summaries import Summaries

_log = logging.getLogger(__name__)

# Prices made and written in one go at full rate: some 90 kB, so that a write costs little per price.
_BATCH = 512
# What may be made ready in advance: some 700,000 prices.
_PREPARED_BYTES = 1 << 27
# The player wakes no more often than this: a thousand times a second is even enough for any reader.
_SHORTEST_SLEEP = 0.001


class Player:
    """Plays `source` to `connections`, the server's own list. `sent` counts prices written, per symbol of a tick.

    `keys`: what somebody wants. `scenario` decides how ticks and messages are spoilt, if at all.
    """

    def __init__(
        self,
        dialects: Sequence[Dialect],
        source: Source,
        pace: TickPace,
        connections: Sequence[Connection],
        *,
        dice: Callable[[str], Dice],
        ledger: Ledger | None = None,
    ) -> None:
        self.sent: Counter[str] = Counter()
        self.keys: tuple[str, ...] = ()
        self.prepared = asyncio.Event()
        self._dialects = dialects
        self._source = source
        self._pace = pace
        self._connections = connections
        self._dice = dice
        self._ledger = ledger
        self._numbering = [dialect for dialect in dialects if dialect.numbered]
        self._ids: Counter[str] = Counter()
        self._wanted = Wanted(dialects, ())
        self._watched: dict[str, None] = {}
        self._audience = asyncio.Event()
        self._running = asyncio.Event()
        self._running.set()
        self._strips: deque[Strip] = deque()
        self._summaries = Summaries(self._tell_summary)
        self.behave(dialects[0].scenario)

    # --- what others say to it

    def behave(self, scenario: Scenario) -> None:
        """Spoil ticks and messages as this scenario says, from now on."""
        die, first = self._dice("faults"), self._dialects[0]
        self._scene = scenario
        self._distortion = Distortion(scenario, die) if Distortion.needed(scenario) else None
        self._spoiler: Spoiler | None = None
        if self._distortion is not None or Spoiler.needed(scenario):
            self._spoiler = Spoiler(scenario, die, first.stranger, ledger=first.ledger)

    def subscriptions_changed(self) -> None:
        """Take note of what is wanted now, and by anybody at all."""
        heard = [connection for connection in self._connections if connection.heard]
        wanted = [key for connection in heard for key in connection.subscribed]
        self.keys = tuple(dict.fromkeys([*wanted, *self._watched]))
        self._wanted = Wanted(self._dialects, self.keys)
        if self.keys:
            self._audience.set()
        else:
            self._audience.clear()

    def watch(self, key: str) -> None:
        """Play a key that nobody is subscribed to, from now on: a file's, for those who ask."""
        if key not in self._watched and isinstance(self._source, FileSource):
            self._watched[key] = None
            self.subscriptions_changed()

    def pause(self) -> None:
        """Make no more prices until `resume`."""
        self._running.clear()

    def resume(self) -> None:
        """Make prices again."""
        self._running.set()

    def last(self, key: str, named: Callable[[str], str | None]) -> Tick | None:
        """The price of `key` as it stands, None if there is none yet."""
        return self._source.last(key, named, time.time())

    def seek(self, key: str, dialect: Dialect) -> Tick | None:
        """The next price of `key` in a file, for somebody who cannot wait until it is played; None if it is far."""
        if not isinstance(self._source, FileSource):
            return None
        return self._source.seek(key, Wanted((dialect,), (key,)))

    def spoiled(self, body: str, known: Sequence[Fields]) -> bytes | None:
        """A plain answer as the scenario has it; None: as it is."""
        return self._spoiler.answer(body, known) if self._spoiler is not None else None

    def snapshot(self, connection: Connection, named: Callable[[str], str | None]) -> None:
        """Tell a client that has just come what is known of all its symbols."""
        found = [tick for key in connection.subscribed if (tick := self.last(key, named)) is not None]
        if not found or not connection.heard:
            return
        strip = self._numbered(found)
        lot: Lot = strip if self._spoiler is None else Handful(list(strip.told()), self._spoiler)
        for voice, wanted in connection.listening:
            self._tell(connection, lot.choose(voice, connection.framing, wanted))

    # --- playing

    async def play(self) -> None:
        """Give out the ticks until the source is exhausted.

        Raises:
            ReplayInputError: the rest of a file cannot be read.
        """
        pace, now = self._pace, asyncio.get_running_loop().time
        began = now()
        try:
            await self._prepare()
            while self._strips or not self._source.exhausted:
                if not (self._audience.is_set() and self._running.is_set()):
                    await self._audience.wait()
                    await self._running.wait()
                    pace.start(now())
                    continue
                due = _BATCH if pace.unlimited else pace.due(now())
                if due >= self._scene.batch:
                    due = min(due, max(_BATCH, self._scene.batch))
                    pace.given(due)
                    if self._scene.burst > 1 and bursting(now() - began):
                        due *= self._scene.burst
                    self._send(self._strips.popleft() if self._strips else self._strip(due, self.keys, self._wanted))
                    await self._let_clients_take()
                else:
                    await asyncio.sleep(max(_SHORTEST_SLEEP, pace.next_at() - now()))
        except PriceStreamError as exc:
            _log.error("the simulator has no more prices: %s", exc)
            raise
        finally:
            self.prepared.set()
        self._summaries.tell_all()
        _log.info("the recorded prices are over: %d sent", self.sent.total())

    def stop(self) -> None:
        """Nothing more is told."""
        self._summaries.stop()

    async def _prepare(self) -> None:
        """While nobody listens yet, make ready what will have to go out as fast as it can be written."""
        voice = self._dialects[0].sole_voice if len(self._dialects) == 1 else None
        plain = self._spoiler is None and self._ledger is None
        if plain and voice is not None and self._pace.unlimited and isinstance(self._source, FileSource):
            anything = Wanted(self._dialects, None)
            size = 0
            while not (self._audience.is_set() or self._source.exhausted or size > _PREPARED_BYTES):
                strip = self._strip(_BATCH, (), anything)
                size += len(strip.frames(voice, WEBSOCKET))
                strip.forget_ticks()
                self._strips.append(strip)
                await asyncio.sleep(0)
        self.prepared.set()

    def _strip(self, count: int, keys: Sequence[str], wanted: Mapping[str, bool]) -> Strip:
        return self._numbered(self._source.take(count, keys, wanted, time.time()))

    def _numbered(self, ticks: list[Tick]) -> Strip:
        """A strip of these ticks, which have just happened."""
        first = 0
        if self._ledger is not None and ticks:
            first = self._ledger.made + 1
            ticks = self._ledger.number(ticks, time.time())
        ids: list[int] = []
        if self._numbering:
            for tick in ticks:
                self._ids[tick.symbol] += 1
                ids.append(self._ids[tick.symbol])
            for dialect in self._numbering:
                dialect.note(ticks)
        return Strip(ticks, ids, first)

    def _send(self, strip: Strip) -> None:
        """Write to every connection the prices that it has subscribed to."""
        lot: Lot = strip
        if self._spoiler is not None:
            told = list(strip.told())
            if self._distortion is not None:
                told = self._distortion.apply(told, time.time())
            lot = Handful(told, self._spoiler)
        for connection in self._connections:
            if connection.heard:
                for voice, wanted in connection.listening:
                    if not voice.every:
                        self._tell(connection, lot.choose(voice, connection.framing, wanted))
        if self._summaries.due(self._connections):
            self._summaries.keep(lot.told if isinstance(lot, Handful) else strip.told())

    def _tell(self, connection: Connection, choice: Choice | None) -> None:
        if choice is not None:
            connection.send_prices(choice)
            self.sent.update(choice.symbols)

    def _tell_summary(self, voice: Voice, told: Sequence[Told]) -> None:
        lot = Handful(told, self._spoiler)
        for connection in self._connections:
            for known, wanted in connection.listening:
                if known is voice and connection.heard:
                    self._tell(connection, lot.choose(voice, connection.framing, wanted))

    async def _let_clients_take(self) -> None:
        """At full rate wait for the slowest; at any other, a client that has stopped reading must not stop the rest."""
        patience = self._scene.slow_reader_seconds
        for connection in list(self._connections):
            if self._pace.unlimited and not self._scene.small_buffers:
                await connection.drained(patience)
            else:
                connection.drop_if_stuck(patience)
        await asyncio.sleep(0)

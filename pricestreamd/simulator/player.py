"""The player: takes ticks from the source and writes them to whoever has subscribed.

It pauses while nobody has, so a recorded file begins at the first subscription and every tick of it that somebody
wants goes out. At full rate it waits for its slowest client: nothing is skipped for anyone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress

from pricestreamd.model.errors import PriceStreamError
from pricestreamd.simulator.connection import Connection
from pricestreamd.simulator.dialect import Dialect
from pricestreamd.simulator.frames import split_frames, text_frames
from pricestreamd.simulator.pacing import TickPace
from pricestreamd.simulator.sources import FileSource, Source

_log = logging.getLogger(__name__)

# Prices made and written in one go at full rate: some 90 kB, so that a write costs little per price.
_BATCH = 512
# What may be made ready in advance: some 700,000 prices.
_PREPARED_BYTES = 1 << 27
# The player wakes no more often than this: a thousand times a second is even enough for any reader.
_SHORTEST_SLEEP = 0.001


class Wanted(dict[str, bool]):
    """Whether the symbol of a tick names one of the keys (None: any key at all), found out once per symbol."""

    def __init__(self, dialect: Dialect, keys: Iterable[str] | None) -> None:
        super().__init__()
        self._dialect = dialect
        self._keys = frozenset(keys) if keys is not None else None

    def __missing__(self, symbol: str) -> bool:
        key = self._dialect.key(symbol)
        wanted = self[symbol] = key is not None and (self._keys is None or key in self._keys)
        return wanted


@dataclass(frozen=True, slots=True)
class _Strip:
    """Some prices, ready to be written: their frames one after the other, and the symbol of each."""

    frames: bytes
    symbols: list[str]


class Player:
    """Plays `source` to `connections`, the server's own list. `sent` counts prices written, per symbol of a tick.

    `patience`: seconds that a client may take nothing at full rate.
    """

    def __init__(
        self, dialect: Dialect, source: Source, rate: float, connections: Sequence[Connection], patience: float
    ) -> None:
        self.sent: Counter[str] = Counter()
        self.keys: tuple[str, ...] = ()
        self.prepared = asyncio.Event()
        self._dialect = dialect
        self._source = source
        self._pace = TickPace(rate)
        self._connections = connections
        self._patience = patience
        self._wanted = Wanted(dialect, ())
        self._audience = asyncio.Event()
        self._strips: deque[_Strip] = deque()

    def subscriptions_changed(self) -> None:
        """Take note of what is wanted now, and by anybody at all."""
        heard = [connection for connection in self._connections if connection.heard]
        self.keys = tuple(dict.fromkeys(key for connection in heard for key in connection.subscribed))
        self._wanted = Wanted(self._dialect, self.keys)
        if self.keys:
            self._audience.set()
        else:
            self._audience.clear()

    async def play(self) -> None:
        """Give out the ticks until the source is exhausted.

        Raises:
            ReplayInputError: the rest of a file cannot be read.
        """
        pace, now = self._pace, asyncio.get_running_loop().time
        try:
            await self._prepare()
            while self._strips or not self._source.exhausted:
                if not self._audience.is_set():
                    await self._audience.wait()
                    pace.start(now())
                due = _BATCH if pace.unlimited else min(_BATCH, pace.due(now()))
                if due > 0:
                    strip = self._strips.popleft() if self._strips else self._strip(due, self.keys, self._wanted)
                    pace.given(len(strip.symbols))
                    self._send(strip)
                    await self._let_clients_take()
                else:
                    await asyncio.sleep(max(_SHORTEST_SLEEP, pace.next_at() - now()))
        except PriceStreamError as exc:
            _log.error("the simulator has no more prices: %s", exc)
            raise
        finally:
            self.prepared.set()
        _log.info("the recorded prices are over: %d sent", self.sent.total())

    async def _prepare(self) -> None:
        """While nobody listens yet, make ready what will have to go out as fast as it can be written."""
        if self._pace.unlimited and isinstance(self._source, FileSource):
            anything = Wanted(self._dialect, None)
            size = 0
            while not (self._audience.is_set() or self._source.exhausted or size > _PREPARED_BYTES):
                strip = self._strip(_BATCH, (), anything)
                size += len(strip.frames)
                self._strips.append(strip)
                await asyncio.sleep(0)
        self.prepared.set()

    def _strip(self, count: int, keys: Sequence[str], wanted: Wanted) -> _Strip:
        ticks = self._source.take(count, keys, wanted, time.time())
        return _Strip(text_frames(list(map(self._dialect.frame, ticks))), [tick.symbol for tick in ticks])

    def _send(self, strip: _Strip) -> None:
        """Write to every connection the prices that it has subscribed to."""
        there = dict.fromkeys(strip.symbols)
        for connection in self._connections:
            wanted = connection.wanted
            if not there or not connection.heard:
                continue
            if all(wanted[symbol] for symbol in there):
                connection.send_prices(strip.frames, len(strip.symbols))
                self.sent.update(strip.symbols)
            elif any(wanted[symbol] for symbol in there):
                chosen = [wanted[symbol] for symbol in strip.symbols]
                connection.send_prices(b"".join(compress(split_frames(strip.frames), chosen)), sum(chosen))
                self.sent.update(compress(strip.symbols, chosen))

    async def _let_clients_take(self) -> None:
        """At full rate wait for the slowest; at any other, a client that has stopped reading must not stop the rest."""
        for connection in list(self._connections):
            if self._pace.unlimited:
                await connection.drained(self._patience)
            else:
                connection.drop_if_stuck()
        await asyncio.sleep(0)

"""The ledger: which tick was written to which connection, when, and how each connection ended. For proofs.

In ledger mode the ticks of a simulator are numbered from 1 on, over all symbols and connections, and each carries its
number to the receiver **as its volume**: `day_volume` of Twelve Data, `q` of Binance's trades (`v` of its summaries),
`latestVolume` of IEX, `size` of the generic provider. So whatever the provider, `int(tick.volume)` at the receiver is
the number, and

    received = Counter(int(tick.volume) for tick in ticks)
    owed = simulator.ledger.owed(loop.time())
    assert all(received[number] == 1 for number in owed)       # nothing lost, nothing twice
    assert all(count == 1 for count in received.values())

says that every tick which was sent on a live connection was received exactly once. A tick that is told on two
connections has one number. Deliberately spoilt copies of ticks and answers to plain requests are not in the ledger;
ticks that a scenario repeats are in it as often as they were written.

It keeps 16 bytes for each tick written and some 24 for each tick made.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pricestreamd.model.tick import Tick

_GRACEFUL = ("eof", "close")


class Made(NamedTuple):
    """A tick as it was made. `at`: epoch seconds."""

    symbol: str
    price: float
    at: float


@dataclass(slots=True)
class Life:
    """One connection from its upgrade to its end. Times are the event loop's clock, which is `time.monotonic()`."""

    connection: int
    """Its number, from 1 on."""
    provider: str
    key: str
    opened_at: float
    ended_at: float | None = None
    """When the simulator ended it, or noticed its end; None: it lives."""
    ending: str | None = None
    """`eof`, `reset`, `close 1001` and so on where the simulator ended it; `client` where the client did.

    A stream of events that just ends is `truncated`: to HTTP it is an error, and clients drop what they have not read.
    """
    times: array[float] = field(default_factory=lambda: array("d"))
    """When each tick was written; as long as `numbers`."""
    numbers: array[int] = field(default_factory=lambda: array("Q"))
    """The numbers of the ticks written, in this order."""

    def owed(self, now: float, margin: float) -> Iterator[int]:
        """The numbers that the client must have received: see `Ledger.owed`."""
        until = now - margin if self.ended_at is None else self.ended_at
        if self.ending is not None and not self.ending.startswith(_GRACEFUL):
            until -= margin
        for at, number in zip(self.times, self.numbers, strict=True):
            if at > until:
                return
            yield number


class Ledger:
    """Everything that was written. `lives`: the connections, in the order in which they were opened."""

    def __init__(self) -> None:
        self.lives: list[Life] = []
        self._symbols: list[str] = []
        self._prices = array("d")
        self._times = array("d")

    @property
    def made(self) -> int:
        """How many ticks there were: the highest number."""
        return len(self._symbols)

    def tick(self, number: int) -> Made:
        """What tick number `number` was."""
        return Made(self._symbols[number - 1], self._prices[number - 1], self._times[number - 1])

    def owed(self, now: float, margin: float = 1.0) -> set[int]:
        """The numbers of the ticks that a client which reads without delay must have received by `now`.

        `now`: the event loop's clock. Of a connection that lives, what was written `margin` seconds before. Of one
        that the simulator ended by a close frame or by the end of the stream, everything that was written; of one that
        ended by a reset, or by its client, what was written `margin` seconds before that: later bytes may have died
        on the way.
        """
        return {number for life in self.lives for number in life.owed(now, margin)}

    def number(self, ticks: Sequence[Tick], now: float) -> list[Tick]:
        """The ticks with their numbers as volumes."""
        numbered = []
        for tick in ticks:
            self._symbols.append(tick.symbol)
            self._prices.append(tick.price)
            self._times.append(now)
            volume = float(len(self._symbols))
            numbered.append(Tick(tick.symbol, tick.price, tick.timestamp, tick.received_at, volume, None, tick.feed))
        return numbered

    def opened(self, connection: int, provider: str, key: str, now: float) -> Life:
        """A connection has been opened: its page."""
        life = Life(connection, provider, key, now)
        self.lives.append(life)
        return life

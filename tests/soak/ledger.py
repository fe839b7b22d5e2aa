"""What was written to which connection and when, and what has become of it.

A tick is *owed* when it was written to a connection that lived to the end, or more than `MARGIN` before its connection
was broken. What is younger may be lost, because TCP does not tell what has arrived: a reset drops what the other end
has not read yet. A close frame comes after everything that was written before it, so it has no such margin. What was
written after the break (a half-open connection takes it without a word) was never on a live connection.

A tick that was written to two connections, because one replaces the other, is owed if either owes it, and once. Who
replaces a connection before it ends loses nothing by that: what was written to the old one until the new one has the
symbol is owed, whenever the client closes the old one.

Of a symbol that the client gives up nothing is owed from `MARGIN` before, when the request was on its way, until the
client wants it again.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from tests.soak.world import World

MARGIN = 0.5
"""Seconds."""

_SENT, _LIVE, _OWED = 1, 2, 4

Absences = Mapping[int, Sequence[tuple[float, float]]]
"""Symbol to the times from which, and until which, it was not wanted."""


@dataclass
class Page:
    """What was written to one connection. Times are monotonic seconds."""

    symbols: array[int] = field(default_factory=lambda: array("H"))
    numbers: array[int] = field(default_factory=lambda: array("I"))
    times: array[float] = field(default_factory=lambda: array("d"))
    broken_at: float = math.inf
    owed_until: float = math.inf
    how: str = ""
    """What broke it."""
    given_up: dict[int, list[float]] = field(default_factory=dict)
    """When each symbol was unsubscribed here."""
    handed_over: dict[int, float] = field(default_factory=dict)
    """When each symbol was subscribed on the connection that replaces this one."""

    def wrote(self, symbol: int, number: int, now: float) -> None:
        """A tick, with all its copies, at once."""
        self.symbols.append(symbol)
        self.numbers.append(number)
        self.times.append(now)

    def broken(self, now: float, how: str, margin: float = MARGIN) -> None:
        """Nothing that is written from now on arrives; the first break counts."""
        if self.broken_at == math.inf:
            self.broken_at, self.how = now, how
            self.owed_until = now - margin

    def gave_up(self, symbol: int, now: float) -> None:
        """The client has unsubscribed `symbol` here."""
        self.given_up.setdefault(symbol, []).append(now)

    def marks(self, absences: Absences) -> Iterator[tuple[int, int, float, int]]:
        """Symbol, number and time of each tick, and what can be said of it."""
        for symbol, number, at in zip(self.symbols, self.numbers, self.times, strict=True):
            live = at < self.broken_at and not _within(at, absences.get(symbol, ()))
            given_up = [(gone, gone) for gone in self.given_up.get(symbol, ())]
            owed = at < self.owed_until and not _within(at, given_up)
            owed = owed or at <= self.handed_over.get(symbol, -math.inf)
            yield symbol, number, at, _SENT | (live and _LIVE) | (live and owed and _OWED)


def _within(at: float, spans: Iterable[tuple[float, float]]) -> bool:
    return any(begin - MARGIN <= at <= end for begin, end in spans)


@dataclass(frozen=True)
class Audit:
    """The ledger beside the table. Equal trades count singly. Ages are seconds before the break."""

    sent: int
    """Ticks written to a connection that was alive as far as anybody can tell."""
    received: int
    """Those of them that came; each counted once."""
    lost_within_margin: int
    lost_outside: int
    duplicates: int
    never_sent: int
    """Came, and the ledger does not know them."""
    losses: dict[str, int]
    """What the connections of those died of that are lost within the margin. One that was on two connections counts twice."""
    oldest_loss: float
    """How long before the break the oldest of those was written that are lost within the margin."""
    examples: list[str]
    """Some of the ticks that break a promise: symbol, number, how often it came."""


def audit(
    world: World, pages: Iterable[Page], received: bytes | bytearray, absences: Absences = MappingProxyType({})
) -> Audit:
    """Lay the ledger beside the table of what has come. `absences`: from when to when a symbol was not wanted."""
    pages = list(pages)
    marks = bytearray(world.starts[-1])
    for page in pages:
        for symbol, number, _, mark in page.marks(absences):
            marks[world.starts[symbol] + number] |= mark
    sent = came = within = outside = twice = unknown = 0
    examples: list[str] = []
    for symbol in range(world.symbols):
        first = world.starts[symbol]
        for place in range(first, world.starts[symbol + 1]):
            mark, count = marks[place], received[place]
            if not mark:
                unknown += count
                continue
            copies = world.copies(symbol, place - first)
            missing = max(0, copies - count)
            sent += copies if mark & _LIVE else 0
            came += min(count, copies) if mark & _LIVE else 0
            outside += missing if mark & _OWED else 0
            within += missing if mark & _LIVE and not mark & _OWED else 0
            twice += max(0, count - copies)
            if (count > copies or (missing and mark & _OWED)) and len(examples) < 20:
                examples.append(f"symbol {symbol} tick {place - first}: came {count} times of {copies}")
    losses = [(page.how, age) for page in pages for age in _losses(world, page, marks, received)]
    oldest = max((age for _, age in losses), default=0.0)
    return Audit(sent, came, within, outside, twice, unknown, dict(Counter(how for how, _ in losses)), oldest, examples)


def _losses(world: World, page: Page, marks: bytearray, received: bytes | bytearray) -> Iterator[float]:
    """Ages of what `page` has lost within the margin."""
    for symbol, number, at in zip(page.symbols, page.numbers, page.times, strict=True):
        place = world.starts[symbol] + number
        young = page.owed_until <= at < page.broken_at and marks[place] & (_LIVE | _OWED) == _LIVE
        if young and received[place] < world.copies(symbol, number):
            yield page.broken_at - at

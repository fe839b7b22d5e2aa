"""A day of looks at symbols, once a second, on two clocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from pricestreamd.feeds.silence.hours import Always, Hours, calendar
from pricestreamd.feeds.silence.rhythm import SymbolClocks
from pricestreamd.model.tick import Tick

MONDAY = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
OPENING, CLOSING = MONDAY + 14.5 * 3600, MONDAY + 21 * 3600
NEW_YORK = calendar("XNYS")
ALWAYS = Always()


class Switch:
    """A market that opens and closes when a test says so."""

    name = "switch"

    def __init__(self, *, is_open: bool = True) -> None:
        self.open = is_open

    def is_open(self, at: float) -> bool:
        return self.open

    def next_change(self, at: float) -> float | None:
        return None


@dataclass
class Day:
    """Looks once a second, on two clocks, and what they found."""

    stale_after: float | Literal["learned"] | None = "learned"
    hours: Hours | Callable[[str], Hours | None] | None = NEW_YORK
    at: float = OPENING - 10
    now: float = 1000.0
    latest: dict[str, Tick] = field(default_factory=dict)
    stale: list[tuple[str, int]] = field(default_factory=list)
    resumed: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        hours = self.hours
        self.clocks = SymbolClocks(self.stale_after, hours if callable(hours) else lambda _: hours)

    def expect(self, *symbols: str) -> None:
        for symbol in symbols:
            self.clocks.expect(symbol, self.now)

    def tick(self, symbol: str, *, late: bool = False, age: float = 0.0) -> None:
        self.latest[symbol] = Tick(symbol, 1.0, self.at - age, self.at - age, None, None, "", late)

    def pass_time(self, seconds: float, set_clock: float = 0.0) -> None:
        """One look after so many seconds; the wall clock is set forward by `set_clock` besides."""
        self.now += seconds
        self.at += seconds + set_clock
        found = self.clocks.look(self.latest, self.now, self.at)
        self.stale += [(symbol, round(silent)) for symbol, silent in found.stale]
        self.resumed += [(symbol, round(silent)) for symbol, silent in found.resumed]

    def run(self, seconds: int, *symbols: str, every: int = 1) -> None:
        """Look once a second; a tick of `symbols` before each look whose number is a multiple of `every`."""
        for number in range(1, seconds + 1):
            if number % every == 0:
                for symbol in symbols:
                    self.tick(symbol)
            self.pass_time(1.0)

    def run_until(self, at: float) -> None:
        self.run(round(at - self.at))


def judged(stale_after: float | Literal["learned"] | None = "learned", **others: object) -> Day:
    """A day whose market opened some seconds ago; symbol A has had a tick."""
    day = Day(stale_after, **others)  # type: ignore[arg-type]  # the fields of Day
    day.expect("A")
    day.run(15)
    day.run(2, "A")
    return day

"""Does an event go to this sink? By its name, its symbol and, for `price.error`, its severity.

It is asked for every event of every sink, so answers are remembered by event name and symbol. An event without a
symbol concerns them all: `symbols` does not hold it back.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import get_args

from pricestreamd.model.events import CustomEvent, Event, PriceError, Severity
from pricestreamd.model.tick import symbol_key

EVERYTHING = ("*",)
# More than the symbols of a large market times the events that have one; beyond it the answers are found anew.
REMEMBERED = 65_536

_SEVERITIES: tuple[Severity, ...] = get_args(Severity)


class EventFilter:
    """Answers for one sink.

    `events` and `symbols` are globs; symbols match in any case. `carries` are the names of the events that the sink
    can take at all, or `*`. `answers` holds what was decided, at most `remembered` of it, for whoever asks too often to
    call `admits` each time: what is not in there must be asked.
    """

    __slots__ = ("_carries", "_events", "_least", "_remembered", "_symbols", "answers")

    def __init__(
        self,
        events: Iterable[str] = EVERYTHING,
        symbols: Iterable[str] = EVERYTHING,
        min_severity: Severity = "info",
        *,
        carries: Iterable[str] = EVERYTHING,
        remembered: int = REMEMBERED,
    ) -> None:
        self._events = tuple(events)
        self._symbols = tuple(map(symbol_key, symbols))
        self._least = _SEVERITIES.index(min_severity)
        self._carries = tuple(carries)
        self._remembered = remembered
        self.answers: dict[tuple[str, str | None], bool] = {}

    @property
    def patterns(self) -> tuple[str, ...]:
        """What to listen to: the fewest names, families (`price.*`) or `*` that cover all it admits, none twice."""
        if "*" not in self._carries:
            return tuple(name for name in self._carries if self._wants(name))
        if not all(_is_pattern(glob) for glob in self._events):
            return EVERYTHING
        return tuple(
            dict.fromkeys(
                glob
                for glob in self._events
                if not any(other != glob and fnmatchcase(glob, other) for other in self._events)
            )
        )

    def admits(self, event: Event) -> bool:
        """Whether `event` goes to the sink."""
        if isinstance(event, PriceError) and self._least:
            # Its severity differs from one to the next: never remembered.
            return _SEVERITIES.index(event.severity) >= self._least and self._decide(event.event, event.symbol)
        symbols = _symbols_of(event)
        if len(symbols) > 1:
            return any(self._decide(event.event, symbol) for symbol in symbols)
        key = (event.event, symbols[0] if symbols else None)
        answer = self.answers.get(key)
        if answer is None:
            if len(self.answers) >= self._remembered:
                self.answers.clear()
            answer = self.answers[key] = self._decide(*key)
        return answer

    def admits_named(self, name: str, symbol: str) -> bool:
        """Whether events of this name about `symbol` go to the sink, whatever their severity."""
        return self._decide(name, symbol)

    def admits_all(self, name: str) -> bool:
        """Whether every event of this name goes to the sink, whatever its symbol and severity."""
        whatever = "*" in self._symbols and not (self._least and name == PriceError.event)
        return whatever and self._decide(name, None)

    def carried(self, name: str) -> bool:
        """Whether the sink can take events of this name at all."""
        return any(fnmatchcase(name, carried) for carried in self._carries)

    def _decide(self, name: str, symbol: str | None) -> bool:
        if not self._wants(name) or not self.carried(name):
            return False
        if symbol is None:
            return True
        key = symbol_key(symbol)
        return any(fnmatchcase(key, glob) for glob in self._symbols)

    def _wants(self, name: str) -> bool:
        return any(fnmatchcase(name, glob) for glob in self._events)


def _is_pattern(glob: str) -> bool:
    """Whether the dispatcher knows `glob` as it stands: `*`, a family, or a plain name."""
    stem = glob.removesuffix(".*") if glob != "*" else ""
    return not set(stem) & set("*?[")


def _symbols_of(event: Event) -> tuple[str, ...]:
    """The symbols an event is about: one, several (`price.gap`), or none."""
    symbol = event.data.get("symbol") if isinstance(event, CustomEvent) else getattr(event, "symbol", None)
    if isinstance(symbol, str):
        return (symbol,)
    symbols: tuple[str, ...] = getattr(event, "symbols", ())
    return symbols

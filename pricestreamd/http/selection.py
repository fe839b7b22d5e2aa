"""What a reader of the live stream asked for: which events, of which symbols.

`event` and `symbol` are names or globs, several separated by commas or by repeating the parameter. Without `event`, all
events; without `symbol`, those of all symbols. An event that is about no symbol (the life of a connection, an error of
the whole daemon) passes every symbol filter, because it concerns them all.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pricestreamd.model.events import EVENTS, Event
from pricestreamd.model.tick import symbol_key

ALL = "*"
NAMES = tuple(sorted(cls.event for cls in EVENTS))
# Families in which we know every name, so that a slip of the keyboard is told instead of hearing nothing for ever.
_OWN_FAMILIES = frozenset(name.partition(".")[0] for name in NAMES)
_GLOB = re.compile(r"[*?\[]")
# Custom events may carry any text as symbol: what was decided is remembered within this bound.
_REMEMBERED = 20_000


class SelectionError(ValueError):
    """A filter that cannot be meant. `parameter` is `event` or `symbol`."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter. Equal filters are equal keys, so that readers who want the same share the work.

    `events` are patterns as `fnmatch` has them; `symbols` are symbol keys or patterns of them, empty for all.
    """

    events: tuple[str, ...] = (ALL,)
    symbols: tuple[str, ...] = ()
    _names: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)
    _keys: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def parse(cls, events: Iterable[str], symbols: Iterable[str]) -> Selection:
        """Read the values of the query parameters `event` and `symbol`.

        Raises:
            SelectionError: an empty or overlong item, or a name that is nearly one of ours.
        """
        names = _items("event", events)
        for name in names:
            _check_name(name)
        keys = {symbol_key(symbol) for symbol in _items("symbol", symbols)}
        if ALL in keys:
            keys.clear()
        return cls(tuple(sorted(set(names))) or (ALL,), tuple(sorted(keys)))

    @property
    def all(self) -> bool:
        """Whether every event is wanted."""
        return self.events == (ALL,) and not self.symbols

    def patterns(self) -> frozenset[str]:
        """Names and families to listen to, as the dispatcher understands them: as narrow as it can say."""
        return frozenset(_dispatcher_pattern(glob) for glob in self.events)

    def wants(self, event: Event) -> bool:
        """Whether the reader asked for this event."""
        name = event.event
        wanted = self._names.get(name)
        if wanted is None:
            wanted = any(fnmatch.fnmatchcase(name, pattern) for pattern in self.events)
            _remember(self._names, name, wanted)
        return wanted and (not self.symbols or self._wants_symbol(event))

    def _wants_symbol(self, event: Event) -> bool:
        symbol = getattr(event, "symbol", None)
        if symbol is None:
            symbols = getattr(event, "symbols", None)
            if symbols is None and hasattr(event, "data"):
                symbol = event.data.get("symbol")
            if symbol is None:
                return not symbols or any(map(self._matches, symbols))
        return self._matches(str(symbol))

    def _matches(self, symbol: str) -> bool:
        wanted = self._keys.get(symbol)
        if wanted is None:
            key = symbol_key(symbol)
            wanted = any(fnmatch.fnmatchcase(key, pattern) for pattern in self.symbols)
            _remember(self._keys, symbol, wanted)
        return wanted


def narrowest(patterns: Iterable[str]) -> frozenset[str]:
    """`patterns` without those that another one covers: no event matches two of the rest."""
    distinct = frozenset(patterns)
    if ALL in distinct:
        return frozenset({ALL})
    families = {pattern[:-1] for pattern in distinct if pattern.endswith(".*")}
    return frozenset(
        pattern
        for pattern in distinct
        if not any(pattern.startswith(family) and pattern != f"{family}*" for family in families)
    )


def _dispatcher_pattern(glob: str) -> str:
    wild = _GLOB.search(glob)
    if wild is None:
        return glob
    family = glob[: wild.start()].rpartition(".")[0]
    return f"{family}.*" if family else ALL


def _items(parameter: str, values: Iterable[str]) -> list[str]:
    items = [item.strip() for value in values for item in value.split(",")]
    for item in items:
        if not item or len(item) > 100 or not item.isprintable():
            example = "price.alert" if parameter == "event" else "AAPL"
            raise SelectionError(
                parameter, f"{parameter}: expected names or globs separated by commas, such as {example}"
            )
    return items


def _check_name(name: str) -> None:
    family, dot, _ = name.partition(".")
    if _GLOB.search(name):
        if family in _OWN_FAMILIES and dot and not fnmatch.filter(NAMES, name):
            raise SelectionError("event", f"event: no event matches {name}; there are {', '.join(NAMES)}")
    elif family in _OWN_FAMILIES and dot and name not in NAMES:
        raise SelectionError("event", f"event: there is no event {name}; there are {', '.join(NAMES)}")


def _remember(memory: dict[str, bool], key: str, wanted: bool) -> None:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = wanted

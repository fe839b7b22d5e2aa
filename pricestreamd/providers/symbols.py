"""The table of wanted symbols: from the provider's spelling to the configured one, in one dict lookup.

Providers echo symbols as they like: without the venue that was asked for (`RY` for `RY:TSX`), in another case, with
spaces. `lookup` answers for every spelling that is clear by itself. What is not there goes to `resolve`, which also
looks at the venue that the message names:

1. the full symbol, venue included, is wanted: that one;
2. one of the wanted symbols with this base names the venue, or has been acknowledged with it: that one;
3. the bare base is wanted: that one;
4. only one symbol with this base was ever wanted here: that one, unless it was wanted of a venue, acknowledgements
   have taught what the provider calls that venue, and the message names none of these: then it is of another market;
5. otherwise nobody can tell, and the answer is None.

Symbols that are wanted no longer stay in the table for a while. A late price of `RY` must not be taken for `RY:TSX`
merely because that is the only one left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from pricestreamd.model.tick import symbol_key

# Odd spellings and names of venues that the provider keeps using; a server that invents new ones must not make the
# table grow.
_MAX_ODD = 1000
_MAX_ODD_LENGTH = 64
# Symbols wanted no longer whose late prices are still told apart.
_MAX_RETIRED = 1000


@dataclass(slots=True)
class _Entry:
    """A symbol that is or was wanted. `venues` are the names by which the provider acknowledged its exchange."""

    symbol: str
    key: str
    base: str
    venue: str
    wanted: bool = True
    venues: set[str] = field(default_factory=set)

    @property
    def knows_its_venues(self) -> bool:
        """Whether a venue was asked for, and it is known what the provider calls it."""
        return bool(self.venue and self.venues)


class SymbolTable:
    """Wanted symbols of one connection, in the order in which they were added.

    `split` parts a symbol into the base that is always echoed and the venue that may be missing, both upper case.
    `lookup` is the way for the path of a tick: the configured spelling, or None if only `resolve` can tell. `every`:
    whatever comes is wanted.
    """

    __slots__ = ("_by_base", "_by_key", "_clear", "_odd", "_retired", "_split", "_told", "every", "lookup")

    def __init__(self, split: Callable[[str], tuple[str, str]], *, every: bool = False) -> None:
        self._split = split
        self.every = every
        self._by_key: dict[str, _Entry] = {}
        self._by_base: dict[str, list[_Entry]] = {}
        self._retired: dict[str, None] = {}
        self._clear: dict[str, str] = {}
        self._odd: list[str] = []
        self._told: dict[tuple[str, tuple[str, ...]], str] = {}
        self.lookup: Callable[[str], str | None] = self._admit if every else self._clear.get

    def add(self, symbol: str) -> None:
        """Want `symbol`; wanting it again in another spelling changes nothing."""
        key = symbol_key(symbol)
        self._forget_odd()
        entry = self._by_key.get(key)
        if entry is None:
            base, venue = self._split(key)
            entry = self._by_key[key] = _Entry(symbol.strip(), key, base, venue)
            self._by_base.setdefault(base, []).append(entry)
        elif not entry.wanted:
            entry.wanted = True
            entry.symbol = symbol.strip()
            del self._retired[key]
        self._set_clear(entry.base)

    def remove(self, symbol: str) -> None:
        """Want `symbol` no longer."""
        entry = self._by_key.get(symbol_key(symbol))
        if entry is None or not entry.wanted:
            return
        self._forget_odd()
        entry.wanted = False
        self._retired[entry.key] = None
        self._set_clear(entry.base)
        if len(self._retired) > _MAX_RETIRED:
            self._drop(next(iter(self._retired)))

    def __contains__(self, symbol: str) -> bool:
        entry = self._by_key.get(symbol_key(symbol))
        return entry is not None and entry.wanted

    def __iter__(self) -> Iterator[str]:
        return (entry.symbol for entry in self._by_key.values() if entry.wanted)

    def __len__(self) -> int:
        return len(self._by_key) - len(self._retired)

    def resolve_venues(self, native_symbol: str, venues: tuple[str, ...]) -> str | None:
        """As `resolve`, for the path of a tick: what was found once for this symbol and these venues is remembered."""
        key = native_symbol, venues
        symbol = self._told.get(key)
        if symbol is None:
            symbol = self.resolve(native_symbol, venues)
            if symbol is not None and all(len(name) <= _MAX_ODD_LENGTH for name in (native_symbol, *venues)):
                if len(self._told) >= _MAX_ODD:
                    self._told.clear()
                self._told[key] = symbol
        return symbol

    def resolve(self, native_symbol: str, venues: Iterable[str] = ()) -> str | None:
        """The wanted symbol that the provider means, or None. Remembers an odd spelling that is clear by itself."""
        key = symbol_key(native_symbol)
        entry = self._find(key, venues)
        if entry is None and self.every and key:
            self.add(native_symbol)
            entry = self._find(key, venues)
        if entry is None or not entry.wanted:
            return None
        if key in self._clear and native_symbol not in self._clear and len(native_symbol) <= _MAX_ODD_LENGTH:
            if len(self._odd) >= _MAX_ODD:
                self._forget_odd()
            self._odd.append(native_symbol)
            self._clear[native_symbol] = entry.symbol
        return entry.symbol

    def acknowledged(self, native_symbol: str, venues: Iterable[str] = ()) -> tuple[str, ...]:
        """The wanted symbols that an acknowledgement may mean, and learn the venue's names for next time.

        An acknowledgement that cannot be told apart is taken for all: asking again does no harm, waiting does.
        """
        names = {symbol_key(venue) for venue in venues}
        key = symbol_key(native_symbol)
        entry = self._find(key, names)
        if entry is None:
            base, venue = self._split(key)
            return () if venue else tuple(other.symbol for other in self._by_base.get(base, ()) if other.wanted)
        if not names <= entry.venues:
            entry.venues |= names
            self._forget_odd()
            self._set_clear(entry.base)
        return (entry.symbol,) if entry.wanted else ()

    def _admit(self, native_symbol: str) -> str | None:
        """As `lookup` where every symbol is wanted."""
        return self._clear.get(native_symbol) or self.resolve(native_symbol)

    def _find(self, key: str, venues: Iterable[str]) -> _Entry | None:
        base, venue = self._split(key)
        names = {symbol_key(name) for name in venues}
        if venue:
            if (exact := self._by_key.get(key)) is not None:
                return exact
            names.add(venue)
        entries = self._by_base.get(base, ())
        for entry in entries:
            if entry.venue and entry.venue in names:
                return entry
        for entry in entries:
            if not names.isdisjoint(entry.venues):
                return entry
        for entry in entries:
            if not entry.venue:
                return entry
        if len(entries) != 1:
            return None
        only = entries[0]
        return None if only.knows_its_venues and names else only

    def _set_clear(self, base: str) -> None:
        """Say which spellings of `base` need no second look."""
        entries = self._by_base[base]
        self._clear.pop(base, None)
        for entry in entries:
            if entry.wanted:
                self._clear[entry.key] = entry.symbol
            else:
                self._clear.pop(entry.key, None)
        if len(entries) > 1:
            self._clear.pop(base, None)  # also a bare symbol that is wanted: the venue decides
        elif entries and entries[0].wanted and not entries[0].knows_its_venues:
            self._clear[base] = entries[0].symbol

    def _drop(self, key: str) -> None:
        del self._retired[key]
        entry = self._by_key.pop(key)
        siblings = self._by_base[entry.base]
        siblings.remove(entry)
        if siblings:
            self._set_clear(entry.base)
        else:
            del self._by_base[entry.base]

    def _forget_odd(self) -> None:
        for spelling in self._odd:
            self._clear.pop(spelling, None)
        self._odd.clear()
        self._told.clear()

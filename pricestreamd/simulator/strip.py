"""Ticks on their way to everybody who wants them. Plain code.

A strip is the path of a benchmark's load: its messages are made once, and it costs each hearer one look-up. A handful
is the slow way: messages are made for each hearer, and spoilt if the scenario wants it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Protocol

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.dialect import Dialect, Voice
from pricestreamd.simulator.distortion import Told
from pricestreamd.simulator.framing import Framing
from pricestreamd.simulator.spoiler import Spoiler


class Wanted(dict[str, bool]):
    """Whether the symbol of a tick names one of the keys (None: any key at all), found out once per symbol."""

    def __init__(self, dialects: Iterable[Dialect], keys: Iterable[str] | None) -> None:
        super().__init__()
        self._dialects = tuple(dialects)
        self._keys = frozenset(keys) if keys is not None else None

    def __missing__(self, symbol: str) -> bool:
        named = [key for dialect in self._dialects if (key := dialect.key(symbol)) is not None]
        wanted = self[symbol] = any(self._keys is None or key in self._keys for key in named)
        return wanted


class Choice:
    """What one client hears of some ticks: `frames` with `count` ticks, their symbols, their numbers in the ledger."""

    __slots__ = ("count", "frames", "numbers", "symbols")

    def __init__(self, frames: bytes, symbols: Sequence[str], numbers: Sequence[int]) -> None:
        self.frames = frames
        self.symbols = symbols
        self.numbers = numbers
        self.count = len(symbols)


class Lot(Protocol):
    """Some ticks."""

    def choose(self, voice: Voice, framing: Framing, wanted: Mapping[str, bool]) -> Choice | None:
        """What of them is told to somebody who wants these symbols; None if nothing is."""


class Strip:
    """Ticks that have just happened. `ids`: their numbers among the ticks of their symbols, empty if nobody asks.

    `first`: the ledger's number of the first one, 0 without a ledger; the others follow.
    """

    __slots__ = ("_made", "first", "ids", "symbols", "there", "ticks")

    def __init__(self, ticks: Sequence[Tick], ids: Sequence[int] = (), first: int = 0) -> None:
        self.ticks = ticks
        self.ids = ids
        self.first = first
        self.symbols = [tick.symbol for tick in ticks]
        self.there = tuple(dict.fromkeys(self.symbols))
        self._made: dict[tuple[Voice, Framing], bytes] = {}

    def frames(self, voice: Voice, framing: Framing) -> bytes:
        """All messages, one for each tick."""
        made = self._made.get((voice, framing))
        if made is None:
            made = self._made[voice, framing] = framing.join(voice.texts(self.ticks, self.ids))
        return made

    def forget_ticks(self) -> None:
        """Keep no more than what is made: for strips that wait."""
        self.ticks = ()

    def choose(self, voice: Voice, framing: Framing, wanted: Mapping[str, bool]) -> Choice | None:
        """All of it, mostly."""
        there = self.there
        if all(wanted[symbol] for symbol in there):
            all_numbers = range(self.first, self.first + len(self.symbols)) if self.first else ()
            return Choice(self.frames(voice, framing), self.symbols, all_numbers) if there else None
        if not any(wanted[symbol] for symbol in there):
            return None
        chosen = [wanted[symbol] for symbol in self.symbols]
        symbols = list(compress(self.symbols, chosen))
        numbers = list(compress(range(self.first, self.first + len(chosen)), chosen)) if self.first else ()
        frames = b"".join(compress(framing.split(self.frames(voice, framing)), chosen))
        return Choice(frames, symbols, numbers)

    def told(self) -> Iterator[Told]:
        """Its ticks one by one."""
        for index, tick in enumerate(self.ticks):
            number = self.first + index if self.first else 0
            yield Told(tick, self.ids[index] if self.ids else 0, number)


class Handful:
    """Ticks one by one; `spoiler`: what is done to their messages."""

    def __init__(self, told: Sequence[Told], spoiler: Spoiler | None = None) -> None:
        self.told = told
        self._spoiler = spoiler
        self._made: dict[Voice, list[str]] = {}

    def choose(self, voice: Voice, framing: Framing, wanted: Mapping[str, bool]) -> Choice | None:
        """What is spoilt counts as told, but copies have no number."""
        chosen = [index for index, one in enumerate(self.told) if wanted[one.tick.symbol]]
        if not chosen:
            return None
        made = self._items(voice)
        items = [made[index] for index in chosen]
        symbols = [self.told[index].tick.symbol for index in chosen]
        numbers = [number for index in chosen if (number := self.told[index].number)]
        if self._spoiler is not None:
            return Choice(self._spoiler.encode(voice, framing, items), symbols, numbers)
        groups = [items] if voice.gathers == "always" else [[item] for item in items]
        return Choice(framing.join([voice.message(group) for group in groups]), symbols, numbers)

    def _items(self, voice: Voice) -> list[str]:
        """Each tick as the voice tells it, made once for all hearers; one that is repeated in the same words."""
        if voice not in self._made:
            distinct = list({id(one): one for one in self.told}.values())
            texts = voice.items([one.tick for one in distinct], [one.id for one in distinct])
            words = {id(one): text for one, text in zip(distinct, texts, strict=True)}
            self._made[voice] = [words[id(one)] for one in self.told]
        return self._made[voice]

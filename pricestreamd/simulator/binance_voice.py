"""Binance's market streams: trades, aggregated trades, best bid and ask, 24-hour summaries; raw or wrapped.

All prices and quantities are texts of eight decimals; times are milliseconds, or microseconds where the address says
so. Ids of trades are contiguous per symbol. A wrapped message is `{"stream":"btcusdt@trade","data":{...}}`. The best
bid and ask have neither an event type nor a time.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.dialect import Fields, Voice
from pricestreamd.simulator.instruments import coin_pair

Kind = Literal["aggTrade", "trade", "bookTicker", "miniTicker", "ticker"]
KINDS: tuple[Kind, ...] = ("aggTrade", "trade", "bookTicker", "miniTicker", "ticker")

_TRADE = Fields(price="p", symbol="s", time="T", volume="q", optional=("m", "M"))
_FIELDS = {
    "aggTrade": _TRADE,
    "trade": _TRADE,
    "bookTicker": Fields(price="b", symbol="s", volume="B", optional=("u", "A")),
    "miniTicker": Fields(price="c", symbol="s", time="E", volume="v", optional=("o", "h", "l", "q")),
    "ticker": Fields(price="c", symbol="s", time="E", volume="v", optional=("o", "h", "l", "q", "p", "P", "b", "a")),
}


class Form(NamedTuple):
    """How messages are written on a connection."""

    combined: bool
    units_per_second: int


@dataclass(slots=True)
class _Day:
    """What has happened to a symbol since the simulator was started."""

    open: float
    high: float
    low: float
    base: float = 0.0
    quote: float = 0.0


class Days:
    """The summaries of all symbols, for all forms in which they are told. `ledger`: volumes are the last tick's."""

    def __init__(self, *, ledger: bool) -> None:
        self._ledger = ledger
        self._days: dict[str, _Day] = {}

    def note(self, ticks: Iterable[Tick]) -> None:
        """Trades have happened."""
        for tick in ticks:
            self._note(tick)

    def _note(self, tick: Tick) -> None:
        day = self._days.get(tick.symbol)
        if day is None:
            day = self._days[tick.symbol] = _Day(tick.price, tick.price, tick.price)
        day.high, day.low = max(day.high, tick.price), min(day.low, tick.price)
        volume = tick.volume or 0.0
        day.base = volume if self._ledger else day.base + volume
        day.quote += volume * tick.price

    def of(self, tick: Tick) -> _Day:
        """The summary of the tick's symbol."""
        return self._days.get(tick.symbol) or _Day(tick.price, tick.price, tick.price)


def first_id(symbol: str) -> int:
    """Where the ids of a symbol begin: somewhere, and always the same."""
    return zlib.crc32(symbol.encode()) % 1_000_000_000


class _Names(dict[str, str]):
    """The provider's names of symbols, such as BTCUSDT for what a file calls BTC/USDT."""

    def __missing__(self, symbol: str) -> str:
        name = self[symbol] = coin_pair(symbol) or symbol
        return name


class StreamVoice(Voice):
    """One kind of stream in one form. `everything`: all symbols in one array, `!miniTicker@arr`."""

    def __init__(self, kind: Kind, form: Form, days: Days, *, everything: bool = False) -> None:
        self.kind = kind
        self.fields = _FIELDS[kind]
        self._form = form
        self._days = days
        self._everything = everything
        self._names = _Names()
        if kind in ("miniTicker", "ticker"):
            self.every = 1.0
        if everything:
            self.gathers = "always"
        self._write = {
            "aggTrade": self._agg_trade,
            "trade": self._trade,
            "bookTicker": self._book_ticker,
            "miniTicker": self._mini_ticker,
            "ticker": self._ticker,
        }[kind]

    def items(self, ticks: Sequence[Tick], ids: Sequence[int]) -> list[str]:
        """Wrapped here, but for the array of everything, which is wrapped as a whole."""
        plain = [self._write(tick, number) for tick, number in zip(ticks, ids, strict=True)]
        if self._everything or not self._form.combined:
            return plain
        return [
            f'{{"stream":"{self._names[tick.symbol].lower()}@{self.kind}","data":{text}}}'
            for tick, text in zip(ticks, plain, strict=True)
        ]

    def message(self, items: Sequence[str]) -> str:
        """The array of everything; or the item."""
        if not self._everything:
            return items[0]
        array = f"[{','.join(items)}]"
        return f'{{"stream":"!miniTicker@arr","data":{array}}}' if self._form.combined else array

    def _at(self, seconds: float) -> int:
        return int(seconds * self._form.units_per_second)

    def _agg_trade(self, tick: Tick, number: int) -> str:
        at, trade = self._at(tick.timestamp), first_id(tick.symbol) * 3 + number
        return (
            f'{{"e":"aggTrade","E":{at},"s":"{self._names[tick.symbol]}","a":{first_id(tick.symbol) + number},'
            f'"p":"{tick.price:.8f}","q":"{tick.volume or 0:.8f}","f":{trade},"l":{trade},"T":{at},'
            f'"m":{"true" if number % 2 else "false"},"M":true}}'
        )

    def _trade(self, tick: Tick, number: int) -> str:
        at = self._at(tick.timestamp)
        return (
            f'{{"e":"trade","E":{at},"s":"{self._names[tick.symbol]}","t":{first_id(tick.symbol) * 3 + number},'
            f'"p":"{tick.price:.8f}","q":"{tick.volume or 0:.8f}","T":{at},'
            f'"m":{"true" if number % 2 else "false"},"M":true}}'
        )

    def _book_ticker(self, tick: Tick, number: int) -> str:
        return (
            f'{{"u":{first_id(tick.symbol) * 7 + number},"s":"{self._names[tick.symbol]}",'
            f'"b":"{tick.price:.8f}","B":"{tick.volume or 0:.8f}",'
            f'"a":"{tick.price * 1.00001:.8f}","A":"{tick.volume or 0:.8f}"}}'
        )

    def _mini_ticker(self, tick: Tick, number: int) -> str:  # noqa: ARG002 - summaries have no ids
        return f'{{"e":"24hrMiniTicker",{self._day(tick)}}}'

    def _ticker(self, tick: Tick, number: int) -> str:
        change = tick.price - self._days.of(tick).open
        return (
            f'{{"e":"24hrTicker",{self._day(tick)},"p":"{change:.8f}","P":"{100 * change / tick.price:.3f}",'
            f'"Q":"{tick.volume or 0:.8f}","b":"{tick.price:.8f}","a":"{tick.price * 1.00001:.8f}","n":{number}}}'
        )

    def _day(self, tick: Tick) -> str:
        day = self._days.of(tick)
        return (
            f'"E":{self._at(tick.timestamp)},"s":"{self._names[tick.symbol]}","c":"{tick.price:.8f}",'
            f'"o":"{day.open:.8f}","h":"{day.high:.8f}","l":"{day.low:.8f}",'
            f'"v":"{day.base:.8f}","q":"{day.quote:.8f}"'
        )


class Voices:
    """Makes each voice once. `days`: what the summaries tell."""

    def __init__(self, *, ledger: bool) -> None:
        self.days = Days(ledger=ledger)
        self._voices: dict[tuple[Kind, Form, bool], StreamVoice] = {}

    def voice(self, kind: Kind, form: Form, *, everything: bool = False) -> StreamVoice:
        """The voice of a kind of stream in a form."""
        which = (kind, form, everything)
        if which not in self._voices:
            self._voices[which] = StreamVoice(kind, form, self.days, everything=everything)
        return self._voices[which]


def shutdown(form: Form, now: float) -> str:
    """The announcement of a shutdown. `now`: epoch seconds."""
    event = f'{{"e":"serverShutdown","E":{int(now * form.units_per_second)}}}'
    return f'{{"stream":"!serverShutdown","data":{event}}}' if form.combined else event

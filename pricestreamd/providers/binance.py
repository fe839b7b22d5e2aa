"""Binance: JSON texts over a WebSocket, without a key; spot, and by `endpoint` its sisters.

Documentation: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams, read in the state of
2026-07-21.

What its server says, and what is odd about it:

- `aggTrade`: the trades of one taker at one price; `a` counts them per symbol without a hole, so a hole means that we
  missed some. `trade` (its `t` likewise) says the same once more, trade by trade. Only one of the two is a tick here:
  `aggTrade`, or `trade` where the address itself names `@trade` streams and no `@aggTrade`. The same for the channel
  `ticker`: `24hrMiniTicker`, or `24hrTicker` where the address names `@ticker` and no `@miniTicker`.
- A number seen just before is the same trade again, and dropped. A smaller one is passed on: time tells whether it is
  late, and a server that counts anew must not fall silent here.
- Prices are texts, times milliseconds, or microseconds where the address says `timeUnit=MICROSECOND`. `bookTicker` has
  neither event name nor time. Volume is the trade's size, or the day's total in tickers.
- At `/stream` events come as `{"stream", "data"}`, at `/ws` bare. Answers to requests are never wrapped.
- A symbol that does not exist is acknowledged, and then nothing comes.
- A request of more than 4088 bytes is not read to its end, and never answered
  (github.com/binance/binance-connector-rust/issues/27). A malformed name of a stream spoils its whole request; the
  symbols of such a request are asked for one by one.
- Five texts, pings and pongs a second are the limit; who sends more is closed with 1008, in the end banned.
- `serverShutdown` comes before a planned close. After 24 hours a connection is closed in any case.
- The server pings: spot every 20 s, futures and binance.us every three minutes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, ClassVar

from pricestreamd.model.tick import Tick, symbol_key
from pricestreamd.providers.base import (
    Adapter,
    ConnectParams,
    Farewell,
    FaultKind,
    HttpRequest,
    Ignored,
    Message,
    Missed,
    ProviderFault,
    Rejected,
    Request,
    Terms,
)
from pricestreamd.providers.binance_requests import COMPLAINTS, Conversation
from pricestreamd.providers.binance_streams import read_address
from pricestreamd.providers.complaints import bounded, kind_of
from pricestreamd.providers.profile import Profile
from pricestreamd.providers.rejection import DECODE_ERRORS, Unreadable, not_finite, parse, read_number, read_price
from pricestreamd.providers.times import PER_SECOND, to_seconds

# 4088 are read.
_MAX_REQUEST = 4000

PROFILE = Profile(
    name="binance",
    documentation="https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams",
    endpoint="wss://stream.binance.com:9443/stream",
    auth="none",
    channels={"trades": "trade", "ticker": "day"},
    max_symbols_per_connection=1024,
    connects=300,
    connects_window=300.0,
    lifetime=86_400.0,
    # Five a second, of which one may be our ping and one the pong that we owe; one is left for what bunches up.
    control_messages=2,
    control_window=1.0,
    max_request_bytes=_MAX_REQUEST,
    # Three pings missed, and some time for the fourth to be late.
    heartbeat_silence=75.0,
    pings=True,
    time_unit="ms",
    text_prices=True,
    instruments="crypto",
)

# The same where pings come every three minutes.
_SLOW_SILENCE = 660.0

_STATUSES: dict[int, FaultKind] = {
    HTTPStatus.UNAUTHORIZED: FaultKind.AUTH,
    HTTPStatus.IM_A_TEAPOT: FaultKind.RATE_LIMITED,  # banned for a while
    HTTPStatus.TOO_MANY_REQUESTS: FaultKind.RATE_LIMITED,
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: FaultKind.ENTITLEMENT,  # "a restricted location": a human must move
}

_SYMBOL = re.compile(r"\w+(?:/\w+)?")
_MAX_SYMBOL = 40


class Binance(Adapter):
    """The adapter of Binance."""

    profile: ClassVar[Profile] = PROFILE

    def __init__(self, terms: Terms | None = None) -> None:
        super().__init__(terms)
        self._address = address = read_address(self._endpoint, self.channel)
        if address.pings_slowly:
            self.profile = replace(PROFILE, heartbeat_silence=_SLOW_SILENCE)  # type: ignore[misc]  # this server's own
        self._stream = address.stream
        self._wrapped = address.wrapped
        self._typed = (address.stream.wrapped if address.wrapped else address.stream.bare).decode
        self._per_second = PER_SECOND[address.unit]
        self._lookup = self._admit if self.symbols.every else self.symbols.lookup
        self._spelled: dict[str, str] = {}
        self._expected: dict[str, int] = {}
        self._conversation = Conversation(lambda symbol: f"{self.to_native(symbol)}@{self._stream.name}", _MAX_REQUEST)

    # --- what we say

    def connect_params(self) -> ConnectParams:
        """There is no key."""
        return ConnectParams(self._endpoint)

    def encode_subscribe(self, symbols: Sequence[str]) -> Sequence[Request]:
        """As many streams in a request as its bytes allow."""
        return self._conversation.subscribe(symbols)

    def encode_unsubscribe(self, symbols: Sequence[str]) -> Sequence[Request]:
        """As `encode_subscribe`. Of what nobody wants any more nothing is missed when it comes again."""
        self._forget([symbol for symbol in symbols if symbol not in self.symbols])
        return self._conversation.unsubscribe(symbols, lambda symbol: symbol not in self.symbols)

    def backfill(self, symbols: Sequence[str]) -> Sequence[HttpRequest]:
        """The last prices by REST, of all markets at once: it costs the same, and no unknown symbol can spoil it."""
        address = self._address.last_prices
        return [HttpRequest(address, tuple(symbols))] if address is not None and symbols else []

    def decode_backfill(self, request: HttpRequest, body: bytes, received_at: float) -> Sequence[Tick]:
        """One object or a list of them, without a time: that of the answer counts."""
        value = parse(body)
        wanted = {symbol_key(symbol) for symbol in request.symbols}
        ticks = []
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, dict) or not isinstance(native := item.get("symbol"), str):
                continue
            symbol, price = self.from_native(native), read_price(item.get("price"))
            if symbol is not None and symbol_key(symbol) in wanted and isinstance(price, float):
                currency = _currency(symbol)
                ticks.append(Tick(symbol, price, received_at, received_at, None, currency, self.feed, late=True))
        return ticks

    def refusal(self, symbol: str) -> str | None:
        """The name of a stream must be able to hold a symbol; and one market has one stream, however it is spelled."""
        key = symbol_key(symbol)
        if not _SYMBOL.fullmatch(key) or len(key) > _MAX_SYMBOL:
            return "not a symbol of this exchange: write BTCUSDT or BTC/USDT"
        for other in _spellings(key.replace("/", "")):
            if other != key and other in self.symbols:
                return f"the same market as {self.symbols.resolve(other)}, which is asked for already"
        return None

    def to_native(self, symbol: str) -> str:
        """Lower case and without the slash, as the names of streams have it."""
        return symbol_key(symbol).replace("/", "").lower()

    def from_native(self, native_symbol: str, *venues: str) -> str | None:  # noqa: ARG002 - there is one venue
        """In any case; `BTCUSDT` may be `BTC/USDT`."""
        key = symbol_key(native_symbol)
        return self._lookup(key) or self._by_slash(key)

    # --- what the server says

    def decode(self, data: bytes | str, received_at: float) -> Sequence[Message]:
        """The path of a tick: one typed decode, one lookup, one record. Anything unusual goes to `_read`."""
        try:
            event = self._typed(data)
        except DECODE_ERRORS:
            return self._read(data, received_at)
        if self._wrapped:
            event = event.data
        symbol = self._lookup(event.symbol)
        if symbol is None and (spelled := self._spelled.get(event.symbol)) is not None:
            symbol = self._lookup(spelled)
        if symbol is None or not data.isascii():
            return self._read(data, received_at)
        currency = _currency(symbol) if "/" in symbol else None
        time = event.time / self._per_second
        tick = Tick(symbol, event.price, time, received_at, event.volume, currency, self.feed)
        number = event.number
        if number is None:
            return (tick,)
        if number == self._expected.get(symbol):
            self._expected[symbol] = number + 1
            return (tick,)
        return self._out_of_line(tick, symbol, number)

    def classify_handshake(self, status: int, text: str) -> ProviderFault:
        """429, and 418 for those who did not listen. 403 is a firewall's, and may be over soon."""
        return ProviderFault(_STATUSES.get(status, FaultKind.TRANSIENT), bounded(text))

    def classify_close(self, code: int, reason: str) -> ProviderFault | None:  # noqa: ARG002 - the text decides
        """A close whose text is about a limit."""
        kind = kind_of(reason, COMPLAINTS)
        return None if kind is FaultKind.TRANSIENT else ProviderFault(kind, bounded(reason))

    def _read(self, data: bytes | str, received_at: float) -> Sequence[Message]:
        """Everything but the plain event in the form that the address promises."""
        value = parse(data)
        if isinstance(value, Unreadable):
            if value.reason == "json" and not_finite(data, lambda found: _event_in(found).get(self._stream.price)):
                return (Rejected("not_finite"),)
            return (Rejected(value.reason),)
        name = ""
        if isinstance(value, dict):
            if value.keys().isdisjoint(("e", "data")) and not value.keys().isdisjoint(("result", "error", "code")):
                messages, silent = self._conversation.answer(value)
                self._forget(silent)
                return messages
            name = value["stream"] if isinstance(value.get("stream"), str) else ""
            value = value.get("data", value)
        found: list[Message] = []
        for event in value if isinstance(value, list) else [value]:
            found += self._message(event, name, received_at) if isinstance(event, dict) else (Rejected("type"),)
        return tuple(found)

    def _message(self, event: dict[str, Any], stream: str, received_at: float) -> Sequence[Message]:
        match event.get("e"):
            case self._stream.event:
                return self._price(event, received_at)
            case "serverShutdown":
                return (Farewell("serverShutdown"),)
            case str(name):
                return (Ignored(bounded(name)),)
            case None if stream.endswith(f"@{self._stream.name}") or self._stream.price in event:
                return self._price(event, received_at)  # the typed decoder does not miss a name either
            case _:
                return (Ignored(bounded(stream.partition("@")[2]) or "unnamed"),)

    def _price(self, event: dict[str, Any], received_at: float) -> Sequence[Message]:
        """An event of our stream that the typed decoder did not take, or that needs a second look."""
        native = event.get("s")
        if not isinstance(native, str):
            return (Rejected("missing" if native is None else "type"),)
        symbol = self.from_native(native)
        message = self._tick(event, symbol, received_at)
        number = event.get(self._stream.number) if self._stream.number else None
        if symbol is None or isinstance(number, bool) or not isinstance(number, int):
            return (message,)
        return self._out_of_line(message, symbol, number)

    def _tick(self, event: dict[str, Any], symbol: str | None, received_at: float) -> Message:
        price = read_price(event.get(self._stream.price))
        if isinstance(price, str):
            return Rejected(price)
        written = event.get(self._stream.time)
        time = received_at if written is None else to_seconds(written, self._address.unit)
        if time is None:
            return Rejected("type")
        if symbol is None:
            return Rejected("unknown_symbol")
        # What stands beside the price is not worth losing the price for.
        volume = read_number(event.get(self._stream.volume))
        return Tick(symbol, price, time, received_at, volume, _currency(symbol), self.feed)

    def _out_of_line(self, message: Message, symbol: str, number: int) -> Sequence[Message]:
        """`message` with what its number says: that some were missed before it, or that it has been here already."""
        expected = self._expected.get(symbol, number)
        if number == expected - 1:
            return (Ignored("repeated"),)
        if number >= expected:
            self._expected[symbol] = number + 1
        return (message,) if number <= expected else (Missed((symbol,), number - expected), message)

    def _forget(self, symbols: Sequence[str]) -> None:
        for symbol in symbols:
            self._expected.pop(symbol, None)

    # --- symbols

    def _by_slash(self, key: str) -> str | None:
        """The wanted symbol that is `key` with a slash somewhere; where, is remembered."""
        if len(key) <= _MAX_SYMBOL:
            for spelling in _spellings(key):
                if spelling in self.symbols and (symbol := self.symbols.resolve(spelling)) is not None:
                    self._spelled[key] = spelling
                    return symbol
        return None

    def _admit(self, native_symbol: str) -> str | None:
        """As `lookup`, where every symbol is wanted, some of them in another spelling."""
        return self._by_slash(native_symbol) or self.symbols.lookup(native_symbol)


def _spellings(key: str) -> Iterator[str]:
    """The ways in which a market may have been written."""
    yield key
    for at in range(1, len(key)):
        yield f"{key[:at]}/{key[at:]}"


def _currency(symbol: str) -> str | None:
    """Prices are in the quote asset; only the slash tells where its name begins."""
    return symbol.partition("/")[2].upper() or None


def _event_in(value: dict[str, Any]) -> dict[str, Any]:
    data = value.get("data", value)
    return data if isinstance(data, dict) else {}

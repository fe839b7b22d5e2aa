"""IEX Cloud: quotes over Server-Sent Events, an array of objects in each event. For servers that are like it.

Documentation: https://iexcloud.io/documentation/using-core-data/streaming-data-using-sse.html, read in the state of
2024-01-10. The service ended on 31 August 2024; whoever runs a server of its kind names it as `endpoint`.

What such a server says, and what is odd about it:

- Key (`token`) and symbols are in the query of the address; other symbols need another connection. At most 50 symbols a
  connection, and about 2,000 characters of address: a longer one is answered with HTTP 414.
- At the start each symbol's last quote, then quotes as they change, and now and then an array without any. Nothing
  acknowledges a symbol, and one that does not exist is left out.
- Almost any field of a quote may be null. `latestPrice` is the provider's own choice of the price that counts: the last
  trade on IEX, else the 15 minutes old price of the whole market, else the last close. `latestUpdate` is its time in
  milliseconds; `latestTime` is for people. Both may be months old for what is hardly traded.
- 0 and -1 stand for "none", in prices and in times.
- The same quote is sent again and again: one with an unchanged price and time is a sign of life, and no tick.
- Control characters have been seen in its texts, where JSON allows none.

**The price** is `latestPrice` with `latestUpdate`; where it is missing or "none", `iexRealtimePrice` with
`iexLastUpdated`. `extendedPrice` is of other hours and a quarter of an hour old, so it is not mixed in.
`latestVolume` is the day's total; without an agreement with NASDAQ it is null for the names of that exchange.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import quote as escaped
from urllib.parse import urlsplit, urlunsplit

import msgspec

from pricestreamd.model.tick import PRICE_LIMIT, Tick
from pricestreamd.providers.base import (
    Adapter,
    ConnectParams,
    FaultKind,
    Heartbeat,
    Ignored,
    Message,
    ProviderFault,
    Rejected,
    RejectReason,
    Request,
    Terms,
)
from pricestreamd.providers.complaints import bounded
from pricestreamd.providers.profile import Profile
from pricestreamd.providers.rejection import DECODE_ERRORS, Unreadable, parse, price_reason, read_number, tolerant_parse

PROFILE = Profile(
    name="iex",
    documentation="https://iexcloud.io/documentation/using-core-data/streaming-data-using-sse.html",
    transport="sse",
    subscribes="connect",
    endpoint="https://cloud-sse.iexapis.com/stable/stocksUSNoUTP",
    auth="query",
    channels={"ticker": "day"},
    acknowledges=False,
    max_symbols_per_connection=50,
    # Nothing is ever sent on the connection; connections themselves are refused with HTTP 429 at busy times.
    control_messages=60,
    max_request_bytes=2000,
    time_unit="ms",
)

_STATUSES = {
    401: FaultKind.AUTH,
    402: FaultKind.ENTITLEMENT,  # out of credits: no stream is started
    403: FaultKind.AUTH,
    414: FaultKind.OVER_CAP,
    429: FaultKind.RATE_LIMITED,
}
# Where a price may stand, and its time; the first that is one counts.
_PRICES = (("latestPrice", "latestUpdate"), ("iexRealtimePrice", "iexLastUpdated"))
_CONTROL = bytes(range(0x20))


class _Quote(msgspec.Struct, gc=False, rename="camel"):
    """The fields of a quote that become a tick. Whatever does not fit is read again by `_read`."""

    symbol: str
    latest_price: float
    latest_update: float
    latest_volume: float | None = None
    currency: str | None = None


_decode_quotes = msgspec.json.Decoder(list[_Quote]).decode


class Iex(Adapter):
    """The adapter of IEX Cloud."""

    profile: ClassVar[Profile] = PROFILE

    def __init__(self, terms: Terms | None = None) -> None:
        super().__init__(terms)
        self._lookup = self.symbols.lookup
        self._last: dict[str, tuple[float, float]] = {}
        """The last price of each symbol, and its time as the provider wrote it; 0 or less is no time."""

    # --- what we say

    def connect_params(self) -> ConnectParams:
        """Key and symbols are part of the address, which is therefore never shown."""
        address = self._address()
        return ConnectParams(address + ",".join(escaped(self.to_native(symbol), safe="") for symbol in self.symbols))

    def encode_subscribe(self, symbols: Sequence[str]) -> Sequence[Request]:  # noqa: ARG002 - the address says it all
        """Nothing: a connection has the symbols of its address."""
        return ()

    def encode_unsubscribe(self, symbols: Sequence[str]) -> Sequence[Request]:  # noqa: ARG002 - as above
        """Nothing, as above."""
        return ()

    def refusal(self, symbol: str) -> str | None:
        """A comma would part it in two, and fifty of the longest must fit into one address."""
        if not symbol.strip():
            return "an empty symbol"
        if "," in symbol:
            return "a symbol cannot hold a comma"
        limit, cap = self.profile.max_request_bytes or 0, self.profile.max_symbols_per_connection or 1
        room = (limit - len(self._address())) // cap - 1
        return "too long for the address" if len(escaped(self.to_native(symbol), safe="")) > room else None

    def to_native(self, symbol: str) -> str:
        """Lower case, as the documentation writes them."""
        return symbol.strip().lower()

    def from_native(self, native_symbol: str, *venues: str) -> str | None:
        """`venues` do not matter: a symbol has one."""
        return self.symbols.resolve(native_symbol, venues)

    def _address(self) -> str:
        """The address up to its list of symbols; what the endpoint has as a query stays."""
        parts = urlsplit(self._endpoint)
        key = f"token={escaped(self._api_key.reveal(), safe='')}" if self._api_key else ""
        query = "&".join(filter(None, (parts.query, key, "symbols=")))
        return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))

    # --- what the server says

    def decode(self, data: bytes | str, received_at: float) -> Sequence[Message]:
        """The path of a tick: one typed decode, one look-up for each quote. Anything unusual goes to `_read`."""
        if not data.isascii():
            return self._read(data, received_at)
        try:
            quotes = _decode_quotes(data)
        except DECODE_ERRORS:
            return self._read(data, received_at)
        found: list[tuple[str, _Quote]] = []
        for each in quotes:
            symbol = self._lookup(each.symbol)
            if symbol is None or not 0.0 < each.latest_price < PRICE_LIMIT or each.latest_update <= 0:
                return self._read(data, received_at)
            found.append((symbol, each))
        return [self._tick(symbol, each, received_at) for symbol, each in found] or (Heartbeat(),)

    def classify_handshake(self, status: int, text: str) -> ProviderFault:
        """By the status alone: there are no documented texts."""
        return ProviderFault(_STATUSES.get(status, FaultKind.TRANSIENT), bounded(text))

    def _tick(self, symbol: str, quote: _Quote, received_at: float) -> Message:
        """A tick, unless it was told before."""
        price, update = quote.latest_price, quote.latest_update
        if self._last.get(symbol) == (price, update):
            return Heartbeat()
        self._last[symbol] = (price, update)
        timestamp = update / 1000.0 if update > 0 else received_at
        return Tick(symbol, price, timestamp, received_at, quote.latest_volume, quote.currency, self.feed)

    def _read(self, data: bytes | str, received_at: float) -> Sequence[Message]:
        """Everything but an array of plain quotes."""
        value = parse(data)
        if isinstance(value, Unreadable) and value.reason == "json":
            value = parse(_without_control_characters(data))
        if isinstance(value, Unreadable):
            if value.reason == "json" and _price_is_not_finite(data):
                return (Rejected("not_finite"),)
            return (Rejected(value.reason),)
        if isinstance(value, dict) and "symbol" not in value:
            return (_notice(value),)
        quotes = value if isinstance(value, list) else [value]
        return [self._quote(each, received_at) for each in quotes] or (Heartbeat(),)

    def _quote(self, value: object, received_at: float) -> Message:
        if not isinstance(value, dict):
            return Rejected("type")
        native: Any = value.get("symbol")
        price, update = _price(value)
        if (reason := _fault(native, price, update)) is not None:
            return Rejected(reason)
        symbol = self.symbols.resolve(native)
        if symbol is None:
            return Rejected("unknown_symbol")
        # What stands beside the price is not worth losing the price for.
        volume, currency = read_number(value.get("latestVolume")), value.get("currency")
        currency = currency if isinstance(currency, str) else None
        return self._tick(
            symbol, _Quote(native, float(price), read_number(update) or 0.0, volume, currency), received_at
        )


def _fault(native: object, price: object, update: object) -> RejectReason | None:
    if native is None:
        return "missing"
    if not isinstance(native, str) or (update is not None and read_number(update) is None):
        return "type"
    return price_reason(price)


def _price(value: dict[str, Any]) -> tuple[Any, object]:
    """The price that counts and its time; where there is none, what stands in its place."""
    for name, time in _PRICES:
        price = value.get(name)
        if price_reason(price) not in ("missing", "not_positive"):
            return price, value.get(time)
    return value.get(_PRICES[0][0]), None


def _notice(value: dict[str, Any]) -> Message:
    """An object that is no quote: what is in it is not documented."""
    for name in ("error", "message"):
        if isinstance(text := value.get(name), str):
            return ProviderFault(FaultKind.TRANSIENT, bounded(text))
    return Ignored(bounded(next(iter(value), "")))


def _without_control_characters(data: bytes | str) -> bytes:
    raw = data.encode() if isinstance(data, str) else data  # `parse` has found no fault in its encoding
    return raw.translate(None, _CONTROL)


def _price_is_not_finite(data: bytes | str) -> bool:
    """Whether the array is unreadable only because a price in it is NaN, infinite or beyond a double."""
    quotes = tolerant_parse(_without_control_characters(data))
    prices = [each.get("latestPrice") for each in quotes if isinstance(each, dict)] if isinstance(quotes, list) else []
    return any(isinstance(price, float) and not math.isfinite(price) for price in prices)

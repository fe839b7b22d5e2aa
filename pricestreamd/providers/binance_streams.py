"""Binance's streams of prices: which one an address and a channel mean, and what its events look like.

The four events of two channels say the same in other letters. Each has a typed decoder for events as they come at
`/stream`, wrapped, and at `/ws`, bare.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from pricestreamd.model.tick import PRICE_FLOOR, PRICE_LIMIT
from pricestreamd.providers.profile import Channel

# Where pings come every three minutes (options: every five).
_SLOW_PINGS = re.compile(r"(?:.*\.)?(?:binance\.us|binancefuture\.com|[a-z]stream[a-z-]*\.binance\.com)")

# Where the last prices of several symbols can be asked for; futures answer only for one symbol, or for all.
_LAST_PRICES = "/api/v3/ticker/price"
_REST_HOSTS = {
    "stream.binance.com": "data-api.binance.vision",
    "data-stream.binance.vision": "data-api.binance.vision",
    "stream.binance.us": "api.binance.us",
    "stream.testnet.binance.vision": "testnet.binance.vision",
}
_FUTURES = re.compile(r"[a-z]stream[a-z-]*\.binance\.com|.*\.binancefuture\.com")
_REST_SCHEMES = {"ws": "http", "http": "http", "wss": "https", "https": "https"}


# Checked within the decoder, which is cheaper than anything here. What is not finite, or not a number, is outside, too.
_Price = Annotated[float, msgspec.Meta(ge=PRICE_FLOOR, lt=PRICE_LIMIT)]
_Plain = Annotated[float, msgspec.Meta(ge=0.0, lt=1e30)]


class _AggTrade(msgspec.Struct, gc=False, tag_field="e", tag="aggTrade"):
    """The fields that become a tick. They have the same names in each of the four."""

    symbol: str = msgspec.field(name="s")
    price: _Price = msgspec.field(name="p")
    volume: _Plain = msgspec.field(name="q")
    time: _Plain = msgspec.field(name="T")
    number: int = msgspec.field(name="a")


class _Trade(msgspec.Struct, gc=False, tag_field="e", tag="trade"):
    symbol: str = msgspec.field(name="s")
    price: _Price = msgspec.field(name="p")
    volume: _Plain = msgspec.field(name="q")
    time: _Plain = msgspec.field(name="T")
    number: int = msgspec.field(name="t")


class _MiniTicker(msgspec.Struct, gc=False, tag_field="e", tag="24hrMiniTicker"):
    symbol: str = msgspec.field(name="s")
    price: _Price = msgspec.field(name="c")
    volume: _Plain = msgspec.field(name="v")
    time: _Plain = msgspec.field(name="E")
    number: ClassVar[None] = None


class _Ticker(msgspec.Struct, gc=False, tag_field="e", tag="24hrTicker"):
    symbol: str = msgspec.field(name="s")
    price: _Price = msgspec.field(name="c")
    volume: _Plain = msgspec.field(name="v")
    time: _Plain = msgspec.field(name="E")
    number: ClassVar[None] = None


_Event = TypeVar("_Event")


class _Wrapped(msgspec.Struct, Generic[_Event], gc=False):
    """An event of a combined stream."""

    data: _Event


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of prices: its name behind the `@`, the name of its events, and their fields."""

    name: str
    event: str
    price: str
    volume: str
    time: str
    number: str | None
    """Counts the events of a symbol without a hole."""
    wrapped: msgspec.json.Decoder[Any]
    bare: msgspec.json.Decoder[Any]


# Not strict: texts become numbers within the decoder. It takes what JSON calls a number, and the names of what is not
# finite. Whatever else is a decimal number the adapter reads by itself.
_AGG_TRADE = Stream(
    *("aggTrade", "aggTrade", "p", "q", "T", "a"),
    wrapped=msgspec.json.Decoder(_Wrapped[_AggTrade], strict=False),
    bare=msgspec.json.Decoder(_AggTrade, strict=False),
)
_TRADE = Stream(
    *("trade", "trade", "p", "q", "T", "t"),
    wrapped=msgspec.json.Decoder(_Wrapped[_Trade], strict=False),
    bare=msgspec.json.Decoder(_Trade, strict=False),
)
_MINI_TICKER = Stream(
    *("miniTicker", "24hrMiniTicker", "c", "v", "E", None),
    wrapped=msgspec.json.Decoder(_Wrapped[_MiniTicker], strict=False),
    bare=msgspec.json.Decoder(_MiniTicker, strict=False),
)
_TICKER = Stream(
    *("ticker", "24hrTicker", "c", "v", "E", None),
    wrapped=msgspec.json.Decoder(_Wrapped[_Ticker], strict=False),
    bare=msgspec.json.Decoder(_Ticker, strict=False),
)
_OF_CHANNEL: Mapping[Channel, tuple[Stream, Stream]] = MappingProxyType(
    {"trades": (_AGG_TRADE, _TRADE), "ticker": (_MINI_TICKER, _TICKER)}
)


@dataclass(frozen=True, slots=True)
class Address:
    """What an endpoint says about the server behind it. `last_prices`: where they can be asked for, None if nowhere."""

    stream: Stream
    wrapped: bool
    unit: Literal["ms", "us"]
    pings_slowly: bool
    last_prices: str | None


def read_address(endpoint: str, channel: Channel) -> Address:
    """What `endpoint` means for `channel`.

    The first stream of a channel is taken, unless the endpoint names the second and not the first: one trade is never
    counted by two streams.
    """
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        parts = urlsplit("")
    named = set(re.findall(r"[@!]([A-Za-z]+)", unquote(endpoint)))
    first, second = _OF_CHANNEL[channel]
    return Address(
        stream=second if second.name in named and first.name not in named else first,
        wrapped="/ws" not in parts.path,
        unit="us" if re.search(r"(?i)\btimeUnit=microsecond\b", parts.query) else "ms",
        pings_slowly=_SLOW_PINGS.fullmatch(parts.hostname or "") is not None,
        last_prices=_last_prices(parts),
    )


def _last_prices(parts: SplitResult) -> str | None:
    host = parts.hostname or ""
    if host in _REST_HOSTS:
        return f"https://{_REST_HOSTS[host]}{_LAST_PRICES}"
    scheme = _REST_SCHEMES.get(parts.scheme)
    if scheme is None or _FUTURES.fullmatch(host):
        return None
    return f"{scheme}://{parts.netloc}{_LAST_PRICES}"

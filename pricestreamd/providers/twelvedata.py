"""Twelve Data: JSON texts over a WebSocket, one object a frame.

Documentation: https://twelvedata.com/docs#websocket, read in the state of 2026-03-29.

What its server says, and what is odd about it:

- `price`: the only message with a price. `timestamp` is in whole seconds, so several ticks share one. `day_volume` is
  the day's total. `exchange`, `mic_code`, `currency` and `day_volume` are missing for some instruments. The symbol may
  come without the exchange that was asked for: `RY` for `RY:TSX`.
- `subscribe-status`: `ok`, `warning` (some symbols failed; the connection is none the worse) or `error`. `fails` is
  null, absent, a list of objects or a list of texts. A request that could not be read is answered with `messages` and
  neither list.
- `unsubscribe-status`, `reset-status`: the same family; what they hold on success is not documented.
- `heartbeat`: the answer to ours. It is wanted every ten seconds; without it connections die within minutes.
- A bad key: HTTP 401 at the upgrade, or a text that mentions the key, then a close. HTTP 403 is about the plan.
- One connection too many closes the oldest, without a word.

After a gap the last prices are asked for over HTTP, at `/price` (https://twelvedata.com/docs#price): one symbol is
answered with `{"price": "1.5"}`, several with an object for each, which is a price or a complaint. The answer has no
time. Each symbol costs one credit of the plan, of which the smallest has eight a minute: hence eight symbols in a
request, and no requests at all for more symbols than anybody would wait for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from pricestreamd.model.secret import Secret
from pricestreamd.model.tick import PRICE_LIMIT, Tick, symbol_key
from pricestreamd.providers.base import (
    Ack,
    Adapter,
    ConnectParams,
    FaultKind,
    Heartbeat,
    HttpRequest,
    Ignored,
    Message,
    ProviderFault,
    Rejected,
    Request,
    Terms,
)
from pricestreamd.providers.complaints import bounded, kind_of
from pricestreamd.providers.profile import Profile
from pricestreamd.providers.rejection import DECODE_ERRORS, Unreadable, not_finite, parse, price_reason, read_price

PROFILE = Profile(
    name="twelvedata",
    documentation="https://twelvedata.com/docs#websocket",
    endpoint="wss://ws.twelvedata.com/v1/quotes/price",
    auth="header",
    channels={"trades": "day"},
    max_connections=3,
    evicts_in_silence=True,
    # The documented limit is 100 events without a period; a sister service says a minute. 60 leaves room for both.
    control_messages=60,
    control_window=60.0,
    max_request_bytes=1_000_000,
    heartbeat_interval=10.0,
    # Two answers missed, and some time for the third to be late.
    heartbeat_silence=25.0,
    time_unit="s",
)

# One request for each so many symbols, and none at all for more than these.
_BACKFILL_BATCH, _MAX_BACKFILL = 8, 120
_REST_HOSTS = {"ws.twelvedata.com": "api.twelvedata.com"}
_REST_SCHEMES = {"ws": "http", "wss": "https"}

_HEARTBEAT = '{"action":"heartbeat"}'

# What a complaint is about, by its words; the provider documents none of them. The first that matches counts.
_COMPLAINTS = (
    (re.compile(r"(?i)api[ _-]?key"), FaultKind.AUTH),
    (re.compile(r"(?i)too many connections|connection limit"), FaultKind.CONNECTION_LIMIT),
    (re.compile(r"(?i)too many (requests|messages|events)|rate limit"), FaultKind.RATE_LIMITED),
    (re.compile(r"(?i)credits|too many symbols|symbols? limit"), FaultKind.OVER_CAP),
)
_CODES = {401: FaultKind.AUTH, 403: FaultKind.ENTITLEMENT, 429: FaultKind.RATE_LIMITED}


class _Price(msgspec.Struct, gc=False, tag_field="event", tag="price"):
    """The fields of a price frame that become a tick. Whatever does not fit is read again by `_read`."""

    symbol: str
    price: float
    timestamp: float
    day_volume: float | None = None
    currency: str | None = None


class _Place(msgspec.Struct, gc=False):
    """What tells apart the prices of one ticker on several markets."""

    symbol: str
    exchange: str | None = None
    mic_code: str | None = None


_decode_price = msgspec.json.Decoder(_Price).decode
_decode_place = msgspec.json.Decoder(_Place).decode


class TwelveData(Adapter):
    """The adapter of Twelve Data."""

    profile: ClassVar[Profile] = PROFILE

    def __init__(self, terms: Terms | None = None) -> None:
        super().__init__(terms)
        self._lookup = self.symbols.lookup

    # --- what we say

    def connect_params(self) -> ConnectParams:
        """The key travels in a header: addresses end up in logs."""
        return ConnectParams(self._endpoint, {"X-TD-APIKEY": self._api_key} if self._api_key else {})

    def keepalive(self) -> str | None:
        """The heartbeat action."""
        return _HEARTBEAT

    def encode_subscribe(self, symbols: Sequence[str]) -> Sequence[Request]:
        """One comma list per request; there is no limit on symbols, but one on bytes."""
        return list(self._requests("subscribe", symbols))

    def encode_unsubscribe(self, symbols: Sequence[str]) -> Sequence[Request]:
        """As `encode_subscribe`."""
        return list(self._requests("unsubscribe", symbols))

    def refusal(self, symbol: str) -> str | None:
        """A comma would part it in two, and an empty text names nothing."""
        if not symbol.strip():
            return "an empty symbol"
        return "a symbol cannot hold a comma" if "," in symbol else None

    def to_native(self, symbol: str) -> str:
        """Upper case, as the provider's own libraries send them."""
        return symbol_key(symbol)

    def from_native(self, native_symbol: str, *venues: str) -> str | None:
        """`venues` are the `exchange` and `mic_code` of the message."""
        return self.symbols.resolve(native_symbol, venues)

    @staticmethod
    def split_symbol(symbol: str) -> tuple[str, str]:
        """`RY:TSX` is RY of TSX."""
        base, _, venue = symbol.partition(":")
        return base.strip(), venue.strip()

    def _requests(self, action: str, symbols: Sequence[str]) -> Iterator[Request]:
        # Bytes of the frame around the list, and room to spare.
        room = (self.profile.max_request_bytes or math.inf) - 200
        batch: list[str] = []
        size = 0
        for symbol in symbols:
            length = len(msgspec.json.encode(self.to_native(symbol))) + 1
            if batch and size + length > room:
                yield self._request(action, batch)
                batch, size = [], 0
            batch.append(symbol)
            size += length
        if batch:
            yield self._request(action, batch)

    def _request(self, action: str, symbols: Sequence[str]) -> Request:
        native = ",".join(map(self.to_native, symbols))
        text = msgspec.json.encode({"action": action, "params": {"symbols": native}}).decode()
        return Request(text, tuple(symbols))

    # --- after a gap

    def backfill(self, symbols: Sequence[str]) -> Sequence[HttpRequest]:
        """Eight symbols in a request, at most 120 in all: for more, none."""
        if len(symbols) > _MAX_BACKFILL:
            return ()
        parts = urlsplit(self._endpoint)
        host = parts.netloc
        headers = {}
        if self._api_key:
            headers["Authorization"] = Secret(f"apikey {self._api_key.reveal()}")
        requests = []
        for begin in range(0, len(symbols), _BACKFILL_BATCH):
            batch = tuple(symbols[begin : begin + _BACKFILL_BATCH])
            names = ",".join(quote(self.to_native(symbol), safe="/:") for symbol in batch)
            query = "&".join(filter(None, (parts.query, f"symbol={names}")))
            scheme = _REST_SCHEMES.get(parts.scheme, parts.scheme)
            url = urlunsplit((scheme, _REST_HOSTS.get(host, host), "/price", query, ""))
            requests.append(HttpRequest(url, batch, headers))
        return requests

    def decode_backfill(self, request: HttpRequest, body: bytes, received_at: float) -> Sequence[Tick]:
        """The time of a price is the second in which it was received: finer, it would be newer than the stream's."""
        value = parse(body)
        if not isinstance(value, dict):
            return ()
        if len(request.symbols) == 1 and "price" in value:
            value = {self.to_native(request.symbols[0]): value}
        asked = {symbol_key(symbol): symbol for symbol in request.symbols}
        time = float(math.floor(received_at))
        ticks = []
        for name, answer in value.items():
            symbol = asked.get(symbol_key(name)) or self.symbols.resolve(name)
            price = read_price(answer.get("price")) if isinstance(answer, dict) else "missing"
            if symbol is not None and symbol in request.symbols and symbol in self.symbols and isinstance(price, float):
                ticks.append(Tick(symbol, price, time, received_at, feed=self.feed, late=True))
        return ticks

    # --- what the server says

    def decode(self, data: bytes | str, received_at: float) -> Sequence[Message]:
        """The path of a tick: one typed decode, one lookup, one record. Anything unusual goes to `_read`."""
        try:
            message = _decode_price(data)
        except DECODE_ERRORS:
            return self._read(data, received_at)
        symbol = self._lookup(message.symbol) or self._by_place(data)
        price = message.price
        if symbol is not None and 0.0 < price < PRICE_LIMIT and data.isascii():
            volume = message.day_volume
            return (Tick(symbol, price, message.timestamp, received_at, volume, message.currency, self.feed),)
        return self._read(data, received_at)

    def classify_handshake(self, status: int, text: str) -> ProviderFault:
        """401 and 403, and any other 4xx that mentions the key; a page or a server in trouble has no say about keys."""
        kind = _CODES.get(status)
        if kind is None and HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            kind = kind_of(text, _COMPLAINTS)
        return ProviderFault(kind or FaultKind.TRANSIENT, bounded(text))

    def classify_close(self, code: int, reason: str) -> ProviderFault | None:  # noqa: ARG002 - the text decides
        """A close whose text is about the key, the plan or a limit."""
        kind = kind_of(reason, _COMPLAINTS)
        return None if kind is FaultKind.TRANSIENT else ProviderFault(kind, bounded(reason))

    def _by_place(self, data: bytes | str) -> str | None:
        """The symbol that can be told only by the exchange; None where the frame needs a closer look."""
        try:
            place = _decode_place(data)
        except DECODE_ERRORS:
            return None
        return self.symbols.resolve_venues(place.symbol, tuple(filter(None, (place.exchange, place.mic_code))))

    def _read(self, data: bytes | str, received_at: float) -> Sequence[Message]:
        """Everything but the plain price frame."""
        value = parse(data)
        if isinstance(value, dict):
            return self._message(value, received_at)
        if not isinstance(value, Unreadable):
            return (Rejected("type"),)
        if value.reason == "json" and not_finite(data, lambda found: found.get("price")):
            return (Rejected("not_finite"),)
        return (Rejected(value.reason),)

    def _message(self, value: dict[str, Any], received_at: float) -> Sequence[Message]:
        message: Message
        match value.get("event"):
            case "price":
                message = self._price(value, received_at)
            case "subscribe-status":
                message = self._subscribe_status(value)
            case event if event == "error" or value.get("status") == "error":
                message = _fault(value)
            case "heartbeat":
                message = Heartbeat()
            case "unsubscribe-status":
                message = Ack(unsubscribed=self._named(value.get("success")))
            case None if "price" in value:
                message = Rejected("missing")
            case event:
                message = Ignored(bounded(str(event)))
        return (message,)

    def _price(self, value: dict[str, Any], received_at: float) -> Message:
        """A price frame that the typed decoder did not take, or whose symbol needs a second look."""
        native, price = value.get("symbol"), value.get("price")
        if native is None or price is None:
            return Rejected("missing")
        if not isinstance(native, str):
            return Rejected("type")
        if (reason := price_reason(price)) is not None:
            return Rejected(reason)
        timestamp = value.get("timestamp", received_at)
        timestamp = received_at if timestamp is None else _number(timestamp)
        if timestamp is None:
            return Rejected("type")
        symbol = self.symbols.resolve(native, _venues(value))
        if symbol is None:
            return Rejected("unknown_symbol")
        # What stands beside the price is not worth losing the price for.
        volume, currency = _number(value.get("day_volume")), value.get("currency")
        currency = currency if isinstance(currency, str) else None
        return Tick(symbol, float(price), timestamp, received_at, volume, currency, self.feed)

    def _subscribe_status(self, value: dict[str, Any]) -> Ack | ProviderFault:
        rejected: dict[str, str] = {}
        fails = value.get("fails")
        for item in fails if isinstance(fails, list) else ():
            native = item.get("symbol") if isinstance(item, dict) else item
            if isinstance(native, str):
                text = item.get("message") if isinstance(item, dict) else None
                symbol = self.symbols.resolve(native, _venues(item) if isinstance(item, dict) else ())
                if symbol is not None:
                    rejected[symbol] = bounded(text) if isinstance(text, str) and text else "refused by the provider"
        subscribed = self._named(value.get("success"))
        if value.get("status") == "error" and not rejected and not subscribed:
            return _fault(value)
        return Ack(subscribed, rejected)

    def _named(self, items: object) -> tuple[str, ...]:
        """The symbols of ours in a list of objects or texts."""
        found: dict[str, None] = {}
        for item in items if isinstance(items, list) else ():
            native = item.get("symbol") if isinstance(item, dict) else item
            if isinstance(native, str):
                venues = _venues(item) if isinstance(item, dict) else ()
                found.update(dict.fromkeys(self.symbols.acknowledged(native, venues)))
        return tuple(found)


def _fault(value: dict[str, Any]) -> ProviderFault:
    messages = value.get("messages")
    texts = [*(messages if isinstance(messages, list) else [messages]), value.get("message")]
    text = "; ".join(text for text in texts if isinstance(text, str)) or "an error without a text"
    kind = kind_of(text, _COMPLAINTS)
    code = value.get("code")
    if kind is FaultKind.TRANSIENT and isinstance(code, int):
        kind = _CODES.get(code, kind)
    return ProviderFault(kind, bounded(text))


def _venues(value: dict[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in (value.get("exchange"), value.get("mic_code")) if isinstance(name, str) and name)


def _number(value: object) -> float | None:
    """A JSON number as a float; None for anything else, and for an integer that no double can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None

"""The server's side of IEX Cloud's quotes as server-sent events, as they were until the service ended in August 2024.

Source: https://iexcloud.io/documentation (Streaming data using SSE) in the state of 2024-01-10, and the vendor's
answers in github.com/iexg/IEX-API.

    GET /{stable|v1|beta}/{stocksUS|stocksUSNoUTP|stocksOTC}{|1Second|5Second|1Minute}?token=KEY&symbols=spy,msft

Each event is `data:` with an array of quotes, mostly of one. First comes a snapshot of what is known of every symbol
(not with `nosnapshot=true`), then a quote whenever something changes, or the newest so often as the address says.
There is nothing that a client could say later: other symbols need another connection.

Quirks that are kept: nearly every field may be null (without UTP, the volume and the day's range of NASDAQ names are);
comments and empty arrays come between; 50 symbols a connection; an address above 2,000 characters is refused with 414;
unknown symbols are left out without a word. Codes for tokens are the nearest that are on record: 401 without one, 403
with a wrong one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pricestreamd.model.tick import Tick, symbol_key
from pricestreamd.simulator.dialect import (
    Answer,
    Channel,
    Dialect,
    Face,
    Fields,
    Limits,
    Quotes,
    Reply,
    Request,
    Session,
    Voice,
)
from pricestreamd.simulator.instruments import find
from pricestreamd.simulator.scenario import Scenario
from pricestreamd.simulator.scenario_list import STEADY

_PATTERN = "/{version:stable|v1|beta}/{endpoint:stocks(?:US|USNoUTP|OTC)(?:1Second|5Second|1Minute)?}"
_EVERY = {"1Second": 1.0, "5Second": 5.0, "1Minute": 60.0}
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.^+=-]{0,11}")
_PLAIN = "text/plain"
# Of what a clock can show: scenarios have times beyond.
_LAST_MOMENT = 4e9


class Iex(Dialect):
    """The provider. Its keys are tickers, upper case."""

    address = "/stable/stocksUSNoUTP"
    faces: Mapping[str, Face] = {_PATTERN: "events"}
    usual = Limits(max_symbols=50, max_url=2000, ping_every=15.0)

    def __init__(self, scenario: Scenario = STEADY, limits: Limits | None = None, *, ledger: bool = False) -> None:
        super().__init__(scenario, limits, ledger=ledger)
        self._voices: dict[tuple[bool, float], QuoteVoice] = {}
        self._signs = 0

    @property
    def face(self) -> Face:
        """Events, at all of its addresses."""
        return "events"

    def credential(self, request: Request) -> str:
        """The parameter `token`."""
        return request.query.get("token") or ""

    def refusal(self, status: int, key: str = "") -> Answer:
        """A line of text."""
        if status in (401, 403):
            if not key and status == 401:
                return Answer(
                    "An API key is required to access this data and no key was provided", 401, content_type=_PLAIN
                )
            return Answer("The API key provided is not valid.", 403, content_type=_PLAIN)
        texts = {
            402: "You have exceeded your allotted message quota.",
            429: "Too many requests",
            414: "Request-URI Too Large",
        }
        return Answer(texts.get(status, "The request failed"), status, content_type=_PLAIN)

    def session(self, request: Request) -> IexSession | Answer:
        """A stream of the symbols of the address."""
        asked = [symbol_key(symbol) for symbol in request.query.get("symbols", "").split(",") if symbol.strip()]
        if not asked:
            return Answer("symbols parameter is required", 400, content_type=_PLAIN)
        limit = self.limits.max_symbols
        if limit is not None and len(asked) > limit:
            return Answer(f"a connection is limited to {limit} symbols", 400, content_type=_PLAIN)
        keys = [key for symbol in asked if (key := self.key(symbol)) is not None]
        if self.scenario.reject_how == "error" and any(map(self.choosy.refuses, keys)):
            return Answer("Unknown symbol", 404, content_type=_PLAIN)
        if self.scenario.partial_ack:
            keys = keys[: (len(keys) + 1) // 2]
        known = tuple(dict.fromkeys(key for key in keys if not self.choosy.refuses(key)))
        snapshot = request.query.get("nosnapshot", "").lower() != "true"
        return IexSession(Channel(self._voice(request.parts["endpoint"]), known), snapshot=snapshot)

    def _voice(self, endpoint: str) -> QuoteVoice:
        every = next((seconds for name, seconds in _EVERY.items() if endpoint.endswith(name)), 0.0)
        which = ("NoUTP" in endpoint, every)
        if which not in self._voices:
            self._voices[which] = QuoteVoice(without_utp=which[0], every=every, ledger=self.ledger)
        return self._voices[which]

    def answer(self, request: Request, quotes: Quotes, now: float) -> Answer:  # noqa: ARG002 - there are none
        """No plain requests."""
        return Answer(status=404)

    def key(self, symbol: str) -> str | None:
        """The ticker, upper case; None for what is none, such as a pair of currencies."""
        ticker = symbol_key(symbol)
        return ticker if _SYMBOL.fullmatch(ticker) else None

    def sign_of_life(self, now: float) -> str:  # noqa: ARG002 - no clock in it
        """Comments and empty arrays in turn, as whole lines."""
        self._signs += 1
        return ": keep-alive" if self._signs % 2 else "data: []"

    def stranger(self) -> str:
        """An array of something else."""
        return '[{"messageType":"systemevent","event":"S"}]'


class IexSession(Session):
    """One stream: its symbols are fixed."""

    def __init__(self, channel: Channel, *, snapshot: bool) -> None:
        self._channel = channel
        self._snapshot = snapshot

    def opened(self) -> list[Reply]:
        """Everything holds at once, and is told."""
        return [Reply(listens=(self._channel,), snapshot=self._snapshot)]

    def receive(self, text: str, now: float) -> list[Reply]:  # noqa: ARG002 - a client has no say
        """Nothing."""
        return []


class QuoteVoice(Voice):
    """Quotes in arrays. `ledger`: the volume is the tick's own, whatever the exchange."""

    fields = Fields(
        price="latestPrice",
        symbol="symbol",
        time="latestUpdate",
        volume="latestVolume",
        optional=("avgTotalVolume", "change", "changePercent", "companyName", "latestTime", "marketCap", "peRatio"),
    )
    gathers = "may"

    def __init__(self, *, without_utp: bool, every: float, ledger: bool) -> None:
        self.every = every
        self._without_utp = without_utp
        self._ledger = ledger
        self._quotes: dict[str, _Quote] = {}

    def items(self, ticks: Sequence[Tick], ids: Sequence[int]) -> list[str]:  # noqa: ARG002 - not numbered
        """A quote each."""
        told = []
        for tick in ticks:
            quote = self._quotes.get(tick.symbol)
            if quote is None:
                quote = self._quotes[tick.symbol] = _Quote(symbol_key(tick.symbol), tick.price, self._without_utp)
            told.append(quote.text(tick, ledger=self._ledger))
        return told

    def message(self, items: Sequence[str]) -> str:
        """The array."""
        return f"[{','.join(items)}]"

    def texts(self, ticks: Sequence[Tick], ids: Sequence[int]) -> list[str]:
        """An array each."""
        return [f"[{item}]" for item in self.items(ticks, ids)]


class _Quote:
    """Writes the quotes of one symbol. `first`: its price when it was first told, taken for yesterday's close."""

    def __init__(self, symbol: str, first: float, without_utp: bool) -> None:
        instrument = find(symbol)
        self._hidden = without_utp and instrument.exchange == "NASDAQ"
        self._first = self._high = self._low = first
        self._volume = 0.0
        self._told_at = 0
        self._fixed: dict[str, Any] = {
            "avgTotalVolume": 87666053,
            "calculationPrice": "tops",
            "companyName": f"{symbol} Inc",
            "currency": instrument.currency,
            "previousClose": first,
            "primaryExchange": instrument.exchange,
            "symbol": symbol,
            "open": None if self._hidden else first,
            "marketCap": None,
            "peRatio": None,
            "isUSMarketOpen": True,
        }

    def text(self, tick: Tick, *, ledger: bool) -> str:
        """The quote after `tick`."""
        price, at = tick.price, int(tick.timestamp * 1000)
        size = int(tick.volume or 0)
        self._high, self._low = max(self._high, price), min(self._low, price)
        self._volume += size
        if ledger:
            # Clients take the same price at the same time for the same quote; here each tick is one of its own.
            at = self._told_at = max(at, self._told_at + 1)
        volume = size if ledger else None if self._hidden else int(self._volume)
        change = round(price - self._first, 4)
        shown = datetime.fromtimestamp(min(tick.timestamp, _LAST_MOMENT), UTC)
        return json.dumps(
            {
                **self._fixed,
                "change": change,
                "changePercent": round(change / self._first, 5),
                "delayedPrice": None if self._hidden else price,
                "delayedPriceTime": None if self._hidden else at,
                "high": None if self._hidden else self._high,
                "low": None if self._hidden else self._low,
                "iexBidPrice": round(price * 0.9999, 4),
                "iexBidSize": 100,
                "iexAskPrice": round(price * 1.0001, 4),
                "iexAskSize": 100,
                "iexLastUpdated": at,
                "iexRealtimePrice": price,
                "iexRealtimeSize": size,
                "latestPrice": price,
                "latestSource": "IEX real time price",
                "latestTime": shown.strftime("%I:%M:%S %p").lstrip("0"),
                "latestUpdate": at,
                "latestVolume": volume,
                "lastTradeTime": at,
            },
            separators=(",", ":"),
        )

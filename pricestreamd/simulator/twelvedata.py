"""The server's side of Twelve Data's WebSocket, `/v1/quotes/price`.

Source: https://twelvedata.com/docs (Real-time price) and recorded sessions of 2022, 2023 and 2026; read 2026-11-22.

One JSON object per text frame, nothing is said before the client speaks. What the client may say:

    {"action": "subscribe" | "unsubscribe", "params": {"symbols": S}}
                                 S: "AAPL,RY:TSX", or a list of {"symbol": "RY", "exchange" | "mic_code": "TSX"}
    {"action": "reset"}          forgets every subscription of this connection
    {"action": "heartbeat"}

Quirks that are kept, because clients trip over them: `RY:TSX` comes back as `RY` with `"exchange":"TSX"`; times are
whole seconds, so several prices share one; a partial success has status `warning`; a request that cannot be read is
answered by `messages` (plural) and no lists. Where no record says what the server does (a spent message budget,
refused unsubscriptions), the nearest recorded shape is used.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from pricestreamd.model.tick import Tick, symbol_key
from pricestreamd.simulator.dialect import Limits, Reply
from pricestreamd.simulator.instruments import Instrument, find
from pricestreamd.simulator.scenarios import STEADY, Scenario

_TYPES = {
    "equity": "Common Stock",
    "forex": "Physical Currency",
    "metal": "Physical Currency",
    "crypto": "Digital Currency",
}
_LONGEST_SYMBOL = 40
# Distinct prices whose texts are remembered: writing a number costs five times a look-up, and prices repeat.
_REMEMBERED = 1 << 16


class TwelveData:
    """The provider: what it knows of all instruments and keys."""

    path = "/v1/quotes/price"

    def __init__(self, scenario: Scenario = STEADY, limits: Limits | None = None) -> None:
        self.scenario = scenario
        self.limits = limits or Limits(connections_per_key=3, messages_per_minute=100, idle_timeout=180.0)
        self._keys: dict[str, str | None] = {}
        self._instruments: dict[str, Instrument] = {}
        self._frames: dict[str, _PriceFrame] = {}
        self._price_texts: dict[float, str] = {}
        self._asked_for: dict[str, int] = {}

    def credential(self, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
        """The header `X-TD-APIKEY`, or the parameter `apikey`."""
        return headers.get("X-TD-APIKEY") or query.get("apikey") or ""

    def refusal(self, status: int) -> str:
        """As the provider's other interfaces refuse."""
        return _json({"code": status, "message": _REFUSALS.get(status, "the request failed"), "status": "error"})

    def refusal_in_band(self) -> str:
        """As clients in the wild expect it."""
        return _json({"event": "error", "status": "error", "code": 401, "message": _REFUSALS[401]})

    def session(self) -> TwelveDataSession:
        """A new conversation."""
        return TwelveDataSession(self)

    def key(self, symbol: str) -> str | None:
        """`RY:TSX`, or the bare ticker where that market is its home."""
        try:
            return self._keys[symbol]
        except KeyError:
            ticker, _, place = symbol_key(symbol).partition(":")
            key = self.key_of(ticker, place or None)
            self._keys[symbol] = key
            return key

    def key_of(self, ticker: str, place: str | None) -> str | None:
        """The key of `ticker` (upper case) on the market `place`; None for a text that cannot be a symbol."""
        text = f"{ticker}:{place or ''}"
        if not ticker or len(text) > _LONGEST_SYMBOL or not text.isascii() or not text.isprintable():
            return None
        if set(text) & set(',"\\') or " " in ticker or ticker.startswith("/") or ticker.endswith("/"):
            return None
        instrument = find(ticker, place)
        at_home = instrument.exchange == find(ticker).exchange
        key = ticker if at_home else f"{ticker}:{instrument.exchange}"
        self._instruments[key] = instrument
        return key

    def instrument(self, key: str) -> Instrument:
        """What a key names."""
        return self._instruments[key]

    def refuses(self, key: str) -> bool:
        """Whether the scenario refuses this symbol: always the same ones, in the order of the first request."""
        if not self.scenario.reject_every:
            return False
        return (self._asked_for.setdefault(key, len(self._asked_for)) + 1) % self.scenario.reject_every == 0

    def frame(self, tick: Tick) -> str:
        """A `price` event."""
        frame = self._frames.get(tick.symbol)
        if frame is None:
            frame = self._new_frame(tick.symbol)
        price = self._price_texts.get(tick.price)
        if price is None:
            if len(self._price_texts) >= _REMEMBERED:
                self._price_texts.clear()
            price = self._price_texts[tick.price] = repr(tick.price)
        return frame.text(tick, price)

    def _new_frame(self, symbol: str) -> _PriceFrame:
        key = self.key(symbol)
        if key is None:
            raise ValueError(f"{symbol!r} cannot be a symbol here")
        # Two spellings of one instrument share a frame, and with it the day's volume.
        frame = self._frames.get(key) or _PriceFrame(self.instrument(key), terse=self.scenario.terse)
        self._frames[key] = self._frames[symbol] = frame
        return frame


_REFUSALS = {
    400: "the request is malformed",
    401: "missing or invalid api key",
    403: "your plan does not include this",
    429: "too many requests",
}


class TwelveDataSession:
    """One connection. Subscriptions are additive; a symbol subscribed twice is subscribed once."""

    def __init__(self, provider: TwelveData) -> None:
        self._provider = provider
        self._subscribed: dict[str, None] = {}
        self._received: deque[float] = deque()

    def receive(self, text: str, now: float) -> list[Reply]:
        """Answer one message. A message over the budget is not acted on."""
        if self._over_budget(now):
            message = "you have run out of messages for this minute"
            return [Reply(_json({"event": "error", "status": "error", "code": 429, "message": message}))]
        try:
            request = json.loads(text)
            action = request["action"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return [_unreadable("subscribe")]
        if action == "heartbeat":
            return [Reply('{"event":"heartbeat","status":"ok"}')]
        if action == "reset":
            self._subscribed.clear()
            return [Reply('{"event":"reset-status","status":"ok"}', ())]
        change = {"subscribe": self._subscribe, "unsubscribe": self._unsubscribe}.get(str(action))
        if change is None:
            return [_unreadable("subscribe", "Unknown action")]
        wishes = _wishes(request)
        return [_unreadable(action) if wishes is None else change(wishes)]

    def _over_budget(self, now: float) -> bool:
        allowed = self._provider.limits.messages_per_minute
        if allowed is None:
            return False
        received = self._received
        while received and now - received[0] >= 60.0:
            received.popleft()
        received.append(now)
        if len(received) <= allowed:
            return False
        received.pop()
        return True

    def _subscribe(self, wishes: Sequence[tuple[str, str | None]]) -> Reply:
        provider, limit = self._provider, self._provider.limits.max_symbols
        taken: list[str] = []
        fails: list[dict[str, str]] = []
        for ticker, place in wishes:
            key = provider.key_of(ticker, place)
            if key is None:
                fails.append(self._fail(ticker, place, "symbol not found"))
            elif provider.refuses(key):
                market = provider.instrument(key).mic_code or "this market's"
                fails.append(self._fail(ticker, place, f"You are not authorized to access {market} data."))
            elif limit is not None and key not in self._subscribed and len(self._subscribed) >= limit:
                fails.append(self._fail(ticker, place, "You have run out of WebSocket credits."))
            else:
                self._subscribed[key] = None
                taken.append(key)
        return self._status("subscribe", taken, fails)

    def _unsubscribe(self, wishes: Sequence[tuple[str, str | None]]) -> Reply:
        gone: list[str] = []
        fails: list[dict[str, str]] = []
        for ticker, place in wishes:
            key = self._provider.key_of(ticker, place)
            if key is not None and key in self._subscribed:
                del self._subscribed[key]
                gone.append(key)
            else:
                fails.append(self._fail(ticker, place, "You are not subscribed to this symbol."))
        return self._status("unsubscribe", gone, fails)

    def _status(self, action: str, keys: Sequence[str], fails: list[dict[str, str]]) -> Reply:
        terse = self._provider.scenario.terse
        status = "ok" if not fails else "warning" if keys else "error"
        success = [_listed(self._provider.instrument(key), terse=terse) for key in dict.fromkeys(keys)]
        answer = {
            "event": f"{action}-status",
            "status": status,
            "success": success or (None if terse else []),
            "fails": fails or (None if terse else []),
        }
        return Reply(_json(answer), tuple(self._subscribed))

    def _fail(self, ticker: str, place: str | None, message: str) -> dict[str, str]:
        # A recorded refusal named `1211` for what was a symbol of another market; the full name is the kinder form.
        full = place is not None and not self._provider.scenario.terse
        return {"symbol": f"{ticker}:{place}" if full else ticker, "message": message}


class _PriceFrame:
    """Writes the `price` events of one instrument. All but time, price and volume is written once."""

    __slots__ = ("_head", "_with_spread", "_with_volume", "volume")

    def __init__(self, instrument: Instrument, *, terse: bool) -> None:
        pair = instrument.kind != "equity"
        fields: dict[str, Any] = {"event": "price", "symbol": instrument.ticker}
        if instrument.kind != "crypto":
            fields["currency"] = instrument.currency
        if pair:
            fields["currency_base"] = instrument.base_name
            fields["currency_quote"] = instrument.quote_name
        if instrument.exchange is not None:
            fields["exchange"] = instrument.exchange
        if instrument.mic_code is not None and not terse:
            fields["mic_code"] = instrument.mic_code
        fields["type"] = _TYPES[instrument.kind]
        self._head = _json(fields)[:-1] + ',"timestamp":'
        self._with_spread = pair and not terse
        self._with_volume = instrument.kind in ("equity", "crypto") and not terse
        self.volume = 0.0

    def text(self, tick: Tick, price: str) -> str:
        """The event of `tick`, whose price is written `price`."""
        head = f'{self._head}{int(tick.timestamp)},"price":{price}'
        if self._with_spread:
            half = tick.price * 0.00002
            decimals = max(2, len(price.partition(".")[2]))
            head = f'{head},"bid":{round(tick.price - half, decimals)!r},"ask":{round(tick.price + half, decimals)!r}'
        if self._with_volume and tick.volume is not None:
            self.volume = volume = self.volume + tick.volume
            return f'{head},"day_volume":{int(volume)}}}'
        return head + "}"


def _wishes(request: Mapping[str, Any]) -> list[tuple[str, str | None]] | None:
    """`(ticker, market or None)` of each symbol of a request, upper case; None where it cannot be read."""
    params = request.get("params")
    symbols = params.get("symbols") if isinstance(params, dict) else None
    if isinstance(symbols, str):
        symbols = [{"symbol": symbol} for symbol in symbols.split(",") if symbol.strip()]
    if not isinstance(symbols, list) or not symbols:
        return None
    wishes = []
    for item in symbols:
        named = {"symbol": item} if isinstance(item, str) else item
        if not isinstance(named, dict) or not isinstance(named.get("symbol"), str):
            return None
        ticker, _, place = symbol_key(named["symbol"]).partition(":")
        market = place or named.get("exchange") or named.get("mic_code")
        wishes.append((ticker, str(market).upper() if market else None))
    return wishes


def _listed(instrument: Instrument, *, terse: bool) -> dict[str, str]:
    """How an acknowledgement names an instrument. Pairs are at home on no exchange, which is written FOREX."""
    if terse:
        return {"symbol": instrument.ticker, "type": _TYPES[instrument.kind]}
    listed = {"symbol": instrument.ticker, "exchange": instrument.exchange or "FOREX"}
    if instrument.mic_code is not None:
        listed["mic_code"] = instrument.mic_code
    if instrument.kind != "crypto":
        listed["country"] = instrument.country
    return {**listed, "type": _TYPES[instrument.kind]}


def _unreadable(action: str, message: str = "Cant parse message") -> Reply:
    return Reply(_json({"event": f"{action}-status", "status": "error", "messages": [message]}))


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))

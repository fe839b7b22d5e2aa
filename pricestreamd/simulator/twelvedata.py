"""The server's side of Twelve Data: its WebSocket `/v1/quotes/price`, and the last price over plain HTTP, `/price`.

Source: https://twelvedata.com/docs (Real-time price) and recorded sessions of 2022, 2023 and 2026; read 2026-11-22.

One JSON object per text frame, nothing is said before the client speaks. What the client may say:

    {"action": "subscribe" | "unsubscribe", "params": {"symbols": S}}
                                 S: "AAPL,RY:TSX", or a list of {"symbol": "RY", "exchange" | "mic_code": "TSX"}
    {"action": "reset"}          forgets every subscription of this connection
    {"action": "heartbeat"}

Quirks that are kept, because clients trip over them: `RY:TSX` comes back as `RY` with `"exchange":"TSX"`; times are
whole seconds, so several prices share one; a partial success has status `warning`; a request that cannot be read is
answered by `messages` (plural) and no lists; the WebSocket takes the key in a header that plain requests refuse. Where
no record says what the server does (a spent message budget, refused unsubscriptions), the nearest recorded shape is
used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pricestreamd.model.tick import Tick, symbol_key
from pricestreamd.simulator.dialect import (
    Answer,
    Budget,
    Channel,
    Dialect,
    Face,
    Fields,
    Limits,
    Quotes,
    Reply,
    Request,
    Session,
)
from pricestreamd.simulator.instruments import Instrument, find
from pricestreamd.simulator.scenario import Scenario
from pricestreamd.simulator.scenario_list import STEADY
from pricestreamd.simulator.twelvedata_rest import last_prices
from pricestreamd.simulator.twelvedata_voice import TYPES, PriceVoice

_LONGEST_SYMBOL = 40
_REFUSALS = {
    400: "the request is malformed",
    401: "missing or invalid api key",
    403: "your plan does not include this",
    429: "too many requests",
}


class TwelveData(Dialect):
    """The provider: what it knows of all instruments and keys."""

    address = "/v1/quotes/price"
    faces: Mapping[str, Face] = {address: "websocket", "/price": "request", "/technical_indicators": "request"}
    usual = Limits(connections_per_key=3, messages_per_minute=100, idle_timeout=180.0)
    answer_fields = (Fields(price="price", symbol="symbol"),)

    def __init__(self, scenario: Scenario = STEADY, limits: Limits | None = None, *, ledger: bool = False) -> None:
        self._keys: dict[str, str | None] = {}
        self._instruments: dict[str, Instrument] = {}
        super().__init__(scenario, limits, ledger=ledger)
        self.sole_voice: PriceVoice = PriceVoice(self._named, ledger=ledger)

    def credential(self, request: Request) -> str:
        """The header `X-TD-APIKEY`, or the parameter `apikey`; of a plain request `Authorization: apikey KEY`."""
        if self.faces.get(request.path) == "request":
            scheme, _, key = request.headers.get("Authorization", "").partition(" ")
            return key.strip() if scheme.lower() == "apikey" else request.query.get("apikey") or ""
        return request.headers.get("X-TD-APIKEY") or request.query.get("apikey") or ""

    def refusal(self, status: int, key: str = "") -> Answer:  # noqa: ARG002 - it does not tell keys apart
        """An object with code, message and status."""
        message = _REFUSALS.get(status, "the request failed")
        return Answer(_json({"code": status, "message": message, "status": "error"}), status)

    def refusal_in_band(self) -> str:
        """As clients in the wild expect it."""
        return _json({"event": "error", "status": "error", "code": 401, "message": _REFUSALS[401]})

    def session(self, request: Request) -> TwelveDataSession:  # noqa: ARG002 - the same for all
        """A new conversation."""
        return TwelveDataSession(self)

    def answer(self, request: Request, quotes: Quotes, now: float) -> Answer:  # noqa: ARG002 - no clock in it
        """`/price`; and an empty list of indicators, which the provider's own library asks for when it starts."""
        if request.path == "/price":
            return last_prices(request.query.get("symbol", ""), self.key, quotes)
        return Answer('{"data":{},"status":"ok"}')

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

    def frame(self, tick: Tick) -> str:
        """A `price` event."""
        return self.sole_voice.event(tick)

    def _named(self, symbol: str) -> tuple[str, Instrument]:
        key = self.key(symbol)
        if key is None:
            raise ValueError(f"{symbol!r} cannot be a symbol here")
        return key, self.instrument(key)


class TwelveDataSession(Session):
    """One connection. Subscriptions are additive; a symbol subscribed twice is subscribed once."""

    def __init__(self, provider: TwelveData) -> None:
        self._provider = provider
        self._subscribed: dict[str, None] = {}
        self._budget = Budget(provider.limits.messages_per_minute, 60.0)

    def receive(self, text: str, now: float) -> list[Reply]:
        """Answer one message. A message over the budget is not acted on."""
        if self._budget.spent(now):
            message = "you have run out of messages for this minute"
            return [Reply(_json({"event": "error", "status": "error", "code": 429, "message": message}))]
        try:
            request = json.loads(text)
            action = request["action"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return [_unreadable("subscribe")]
        if action == "heartbeat":
            return [Reply('{"event":"heartbeat","status":"ok"}', heartbeat=True)]
        if action == "reset":
            self._subscribed.clear()
            return [Reply('{"event":"reset-status","status":"ok"}', ())]
        change = {"subscribe": self._subscribe, "unsubscribe": self._unsubscribe}.get(str(action))
        if change is None:
            return [_unreadable("subscribe", "Unknown action")]
        wishes = _wishes(request)
        return [_unreadable(action) if wishes is None else change(wishes)]

    def _subscribe(self, wishes: Sequence[tuple[str, str | None]]) -> Reply:
        provider, limit, scene = self._provider, self._provider.limits.max_symbols, self._provider.scenario
        taken: dict[str, None] = {}
        silent: set[str] = set()
        fails: list[dict[str, str]] = []
        for ticker, place in wishes[: (len(wishes) + 1) // 2] if scene.partial_ack else wishes:
            key = provider.key_of(ticker, place)
            refused = key is not None and provider.choosy.refuses(key)
            if key is None:
                fails.append(self._fail(ticker, place, "symbol not found"))
            elif refused and scene.reject_how == "fail":
                market = provider.instrument(key).mic_code or "this market's"
                fails.append(self._fail(ticker, place, f"You are not authorized to access {market} data."))
            elif limit is not None and len({**self._subscribed, **taken, key: None}) > limit:
                fails.append(self._fail(ticker, place, "You have run out of WebSocket credits."))
            else:
                taken[key] = None
                if refused:
                    silent.add(key)
        if silent and scene.reject_how == "error":
            return _unreadable("subscribe", f"symbol not found: {', '.join(sorted(silent))}")
        self._subscribed.update(taken)
        return self._status("subscribe", list(taken), fails)

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
        scene = self._provider.scenario
        status = "ok" if not fails else "warning" if keys else "error"
        success = [_listed(self._provider.instrument(key), terse=scene.terse) for key in dict.fromkeys(keys)]
        nothing: list[Any] | None = None if scene.terse or scene.null_lists else []
        answer = {
            "event": f"{action}-status",
            "status": status,
            "success": success or nothing,
            "fails": fails or nothing,
        }
        return Reply(_json(answer), self._heard())

    def _heard(self) -> tuple[Channel, ...]:
        """What prices are sent of: all that is subscribed, but what the scenario keeps silent about."""
        keys = self._subscribed
        if self._provider.scenario.reject_how == "silent":
            keys = {key: None for key in keys if not self._provider.choosy.refuses(key)}
        return (Channel(self._provider.sole_voice, tuple(keys)),) if keys else ()

    def _fail(self, ticker: str, place: str | None, message: str) -> dict[str, str]:
        # A recorded refusal named `1211` for what was a symbol of another market; the full name is the kinder form.
        full = place is not None and not self._provider.scenario.terse
        return {"symbol": f"{ticker}:{place}" if full else ticker, "message": message}


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
        return {"symbol": instrument.ticker, "type": TYPES[instrument.kind]}
    listed = {"symbol": instrument.ticker, "exchange": instrument.exchange or "FOREX"}
    if instrument.mic_code is not None:
        listed["mic_code"] = instrument.mic_code
    if instrument.kind != "crypto":
        listed["country"] = instrument.country
    return {**listed, "type": TYPES[instrument.kind]}


def _unreadable(action: str, message: str = "Cant parse message") -> Reply:
    return Reply(_json({"event": f"{action}-status", "status": "error", "messages": [message]}))


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))

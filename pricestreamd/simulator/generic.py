"""A provider that does not exist, for trying `provider: generic`: JSON over a WebSocket, or server-sent events.

    > {"op":"subscribe","symbols":"AAPL,BTC/USD"}     also a list of texts, or "symbol":"AAPL"
    < {"type":"subscribed","symbols":["AAPL","BTC/USD"],"refused":{}}
    < {"type":"trades","data":[{"symbol":"AAPL","price":232.5,"size":3,"time":1795363200123}]}
    > {"op":"unsubscribe","symbols":"AAPL"}
    < {"type":"unsubscribed","symbols":["AAPL"],"refused":{}}
    > {"op":"ping"}
    < {"type":"pong"}
    < {"type":"error","message":"..."}

The WebSocket is at `/generic/stream`, the events at `/generic/events?symbols=AAPL,BTC/USD`. The key is the header
`X-API-Key` or the parameter `key`. Times are milliseconds. Symbols are echoed as they are asked for, upper case.
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
    Reply,
    Request,
    Session,
    Voice,
)
from pricestreamd.simulator.scenario import Scenario
from pricestreamd.simulator.scenario_list import STEADY

_LONGEST_SYMBOL = 40
EVENTS = "/generic/events"
CONFIGURATION = """\
feeds:
  simulated:
    provider: generic
    endpoint: {url}
    headers: {{X-API-Key: "${{SIMULATOR_KEY:-any}}"}}
    subscribe: '{{"op":"subscribe","symbols":"{{symbols}}"}}'
    unsubscribe: '{{"op":"unsubscribe","symbols":"{{symbols}}"}}'
    heartbeat: {{send: '{{"op":"ping"}}', every: 10s}}
    match: {{type: trades}}
    items: data
    symbol: symbol
    price: price
    volume: size
    timestamp: time
    time_unit: ms
    symbols: [AAPL, MSFT, BTC/USD]
"""
"""What to write for it, with its address in place of `{url}`."""


class Generic(Dialect):
    """The provider. Its keys are symbols, upper case."""

    address = "/generic/stream"
    faces: Mapping[str, Face] = {address: "websocket", EVENTS: "events"}
    usual = Limits(messages_per_minute=600, ping_every=30.0, pong_within=60.0)

    def __init__(self, scenario: Scenario = STEADY, limits: Limits | None = None, *, ledger: bool = False) -> None:
        super().__init__(scenario, limits, ledger=ledger)
        self.sole_voice: TradeVoice = TradeVoice()

    def credential(self, request: Request) -> str:
        """The header `X-API-Key`, or the parameter `key`."""
        return request.headers.get("X-API-Key") or request.query.get("key") or ""

    def refusal(self, status: int, key: str = "") -> Answer:  # noqa: ARG002 - it does not tell keys apart
        """An error message."""
        texts = {401: "invalid api key", 403: "not in your plan", 429: "too many requests"}
        return Answer(_error(texts.get(status, "the request failed")), status)

    def session(self, request: Request) -> GenericSession | Answer:
        """A new conversation; with symbols in the address, a stream of these."""
        asked = request.query.get("symbols", "")
        if request.path == EVENTS and not asked:
            return Answer(_error("no symbols"), 400)
        return GenericSession(self, [symbol for symbol in asked.split(",") if symbol.strip()])

    def key(self, symbol: str) -> str | None:
        """Any printable text is a symbol, upper case."""
        key = symbol_key(symbol)
        good = key and len(key) <= _LONGEST_SYMBOL and key.isascii() and key.isprintable()
        return key if good and not set(key) & set(',"\\') else None

    def sign_of_life(self, now: float) -> str:  # noqa: ARG002 - no clock in it
        """Of events a comment, of WebSockets a ping."""
        return ": ping"

    def stranger(self) -> str:
        """A message of another type."""
        return '{"type":"status","market":{"state":"open","since":null}}'


class GenericSession(Session):
    """One connection."""

    def __init__(self, provider: Generic, symbols: Sequence[str]) -> None:
        self._provider = provider
        self._subscribed: dict[str, None] = {}
        self._budget = Budget(provider.limits.messages_per_minute, 60.0)
        self._first = symbols

    def opened(self) -> list[Reply]:
        """The symbols of the address hold at once."""
        if not self._first:
            return []
        return [Reply(listens=self._subscribe(self._first).listens)]

    def farewell(self, now: float) -> str:  # noqa: ARG002 - no clock in it
        """`{"type":"bye"}`."""
        return '{"type":"bye"}'

    def receive(self, text: str, now: float) -> list[Reply]:
        """Answer one message."""
        if self._budget.spent(now):
            return [Reply(_error("too many messages"))]
        try:
            request = json.loads(text)
            operation = request["op"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return [Reply(_error("cannot be read"))]
        if operation == "ping":
            return [Reply('{"type":"pong"}', heartbeat=True)]
        symbols = _named(request)
        if operation not in ("subscribe", "unsubscribe") or not symbols:
            return [Reply(_error("cannot be read"))]
        return [self._subscribe(symbols) if operation == "subscribe" else self._unsubscribe(symbols)]

    def _subscribe(self, symbols: Sequence[str]) -> Reply:
        provider, limit, scene = self._provider, self._provider.limits.max_symbols, self._provider.scenario
        taken: dict[str, None] = {}
        refused: dict[str, str] = {}
        for symbol in symbols[: (len(symbols) + 1) // 2] if scene.partial_ack else symbols:
            key = provider.key(symbol)
            if key is None or (provider.choosy.refuses(key) and scene.reject_how != "silent"):
                refused[symbol] = "no such symbol"
            elif limit is not None and len({**self._subscribed, **taken, key: None}) > limit:
                refused[symbol] = "too many symbols"
            else:
                taken[key] = None
        if refused and scene.reject_how == "error":
            return Reply(_error(f"no such symbol: {', '.join(refused)}"))
        self._subscribed.update(taken)
        return self._answer("subscribed", list(taken), refused)

    def _unsubscribe(self, symbols: Sequence[str]) -> Reply:
        gone = [
            key for symbol in symbols if (key := self._provider.key(symbol)) in self._subscribed and key is not None
        ]
        for key in gone:
            self._subscribed.pop(key, None)
        return self._answer("unsubscribed", gone, {})

    def _answer(self, kind: str, keys: list[str], refused: dict[str, str]) -> Reply:
        nulls = self._provider.scenario.null_lists
        answer = {
            "type": kind,
            "symbols": keys or (None if nulls else []),
            "refused": refused or (None if nulls else {}),
        }
        heard = [key for key in self._subscribed if not self._provider.choosy.refuses(key)]
        channels = (Channel(self._provider.sole_voice, tuple(heard)),) if heard else ()
        return Reply(json.dumps(answer, separators=(",", ":")), channels)


class TradeVoice(Voice):
    """Trades, in a list."""

    fields = Fields(price="price", symbol="symbol", time="time", volume="size")
    gathers = "may"

    def items(self, ticks: Sequence[Tick], ids: Sequence[int]) -> list[str]:  # noqa: ARG002 - not numbered
        """A trade each."""
        return [
            f'{{"symbol":"{symbol_key(tick.symbol)}","price":{tick.price!r},"size":{tick.volume or 0.0!r},'
            f'"time":{int(tick.timestamp * 1000)}}}'
            for tick in ticks
        ]

    def message(self, items: Sequence[str]) -> str:
        """The list with its type."""
        return f'{{"type":"trades","data":[{",".join(items)}]}}'

    def texts(self, ticks: Sequence[Tick], ids: Sequence[int]) -> list[str]:
        """A list of one each."""
        return [self.message((item,)) for item in self.items(ticks, ids)]


def _named(request: Mapping[str, Any]) -> list[str]:
    """The symbols of a request: a text with commas, a list of texts, or one symbol."""
    symbols = request.get("symbols", request.get("symbol"))
    if isinstance(symbols, str):
        return [symbol for symbol in symbols.split(",") if symbol.strip()]
    if isinstance(symbols, list) and all(isinstance(symbol, str) for symbol in symbols):
        return symbols
    return []


def _error(message: str) -> str:
    return json.dumps({"type": "error", "message": message})

"""The server's side of Binance's market streams, raw at `/ws` and combined at `/stream`.

Source: https://github.com/binance/binance-spot-api-docs, web-socket-streams.md in the state of 2026-07-21.

    {"method": "SUBSCRIBE" | "UNSUBSCRIBE", "params": ["btcusdt@aggTrade"], "id": 1}      {"result": null, "id": 1}
    {"method": "LIST_SUBSCRIPTIONS", "id": 2}                         {"result": ["btcusdt@aggTrade"], "id": 2}
    {"method": "SET_PROPERTY", "params": ["combined", true], "id": 3}                     {"result": null, "id": 3}
    {"method": "GET_PROPERTY", "params": ["combined"], "id": 4}                           {"result": true, "id": 4}

Streams may also stand in the address: `/ws/a/b` or `/stream?streams=a/b`; `timeUnit=MICROSECOND` makes times finer.
Quirks that are kept: names of streams are lower case and payloads upper case; an unknown stream or symbol is
acknowledged and stays silent; a request above 4,088 bytes gets no answer; errors are never wrapped and may lack the id;
pings and pongs count as messages, five a second are allowed, and the next one ends the connection with 1008; a client
that does not answer a ping within a minute is closed. Where no record says what the server does (more than 1,024
streams, today), the nearest record is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.binance_rest import answer
from pricestreamd.simulator.binance_voice import KINDS, Form, Voices, shutdown
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
    Voice,
)
from pricestreamd.simulator.instruments import coin_pair
from pricestreamd.simulator.scenario import Scenario
from pricestreamd.simulator.scenario_list import STEADY

_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
# Longer ones are not read to their end, and never answered.
_LONGEST_REQUEST = 4088
_TEXT_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
_EVERYTHING = "!miniTicker@arr"
# What there is to hear of, where a client asks for all symbols without naming any.
WELL_KNOWN = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ETHBTC", "BNBBTC")
_REST = "/api/v3/"


class Binance(Dialect):
    """The provider. Its keys are symbols such as BTCUSDT."""

    address = "/stream"
    faces: Mapping[str, Face] = {
        address: "websocket",
        "/ws": "websocket",
        "/ws/{streams:.*}": "websocket",
        **{
            _REST + name: "request"
            for name in ("ping", "time", "exchangeInfo", "ticker/price", "ticker/bookTicker", "trades", "aggTrades")
        },
    }
    usual = Limits(
        connects=300,
        connects_window=300.0,
        messages_per_second=5,
        lifetime=86_400.0,
        ping_every=20.0,
        pong_within=60.0,
        max_symbols=1024,
    )
    answer_fields = (Fields(price="price", symbol="symbol"),)
    numbered = True

    def __init__(self, scenario: Scenario = STEADY, limits: Limits | None = None, *, ledger: bool = False) -> None:
        super().__init__(scenario, limits, ledger=ledger)
        self._voices = Voices(ledger=ledger)

    def refusal(self, status: int, key: str = "") -> Answer:  # noqa: ARG002 - nobody has a key
        """Code and message, as its plain requests are refused."""
        code, message = {
            401: (-2015, "Invalid API-key, IP, or permissions for action."),
            429: (-1003, "Too many requests; current limit is 300 connections per attempt every 5 minutes."),
        }.get(status, (-1000, "An unknown error occurred while processing the request."))
        return Answer(json.dumps({"code": code, "msg": message}), status)

    def session(self, request: Request) -> BinanceSession | Answer:
        """A new conversation, with the streams of its address."""
        combined = request.path == self.address
        named = request.query.get("streams", "") if combined else request.parts.get("streams", "")
        streams = [stream for stream in named.split("/") if stream]
        if self.limits.max_symbols is not None and len(streams) > self.limits.max_symbols:
            return Answer('{"code":-1100,"msg":"Too many streams."}', 400)
        unit = {"MICROSECOND": 1_000_000, "microsecond": 1_000_000}.get(request.query.get("timeUnit", ""), 1000)
        return BinanceSession(self, Form(combined, unit), streams)

    def answer(self, request: Request, quotes: Quotes, now: float) -> Answer:  # noqa: ARG002 - its clock is the wall's
        """The few plain requests that clients start with."""
        return answer(request.path.removeprefix(_REST), request.query, quotes, self.key, WELL_KNOWN)

    def key(self, symbol: str) -> str | None:
        """`btcusdt`, `BTCUSDT` and `BTC/USDT` are BTCUSDT; None for what is no pair of coins."""
        return coin_pair(symbol)

    def note(self, ticks: Sequence[Tick]) -> None:
        """Summaries have to know of every trade."""
        self._voices.days.note(ticks)

    def sign_of_life(self, now: float) -> str:
        """A ping holds the time."""
        return str(int(now * 1000))

    def stranger(self) -> str:
        """An event of another kind of stream."""
        return '{"e":"referencePrice","E":1672515782136,"s":"BTCUSDT","r":null}'

    def channels(self, streams: Sequence[str], form: Form) -> tuple[Channel, ...]:
        """What a client hears who has subscribed to these streams; unknown ones are silent."""
        heard: dict[Voice, list[str]] = {}
        for stream in streams:
            if stream == _EVERYTHING:
                heard.setdefault(self._voices.voice("miniTicker", form, everything=True), []).extend(WELL_KNOWN)
                continue
            symbol, _, name = stream.partition("@")
            kind = next((known for known in KINDS if known == name), None)
            key = self.key(symbol) if symbol.islower() and "/" not in symbol else None
            if kind is None or key is None or self.choosy.refuses(key):
                continue
            heard.setdefault(self._voices.voice(kind, form), []).append(key)
        return tuple(Channel(voice, tuple(dict.fromkeys(keys))) for voice, keys in heard.items())


class BinanceSession(Session):
    """One connection: the streams that it has asked for, known or not, and how messages are written."""

    def __init__(self, provider: Binance, form: Form, streams: Sequence[str]) -> None:
        self._provider = provider
        self._form = form
        self._streams = dict.fromkeys(streams)
        self._budget = Budget(provider.limits.messages_per_second, 1.0)

    def opened(self) -> list[Reply]:
        """The streams of the address hold at once."""
        return [Reply(listens=self._heard())] if self._streams else []

    def heard(self, now: float) -> Reply | None:
        """One message too many is the end."""
        return Reply(close=(1008, "Too many requests")) if self._budget.spent(now) else None

    def farewell(self, now: float) -> str:
        """`serverShutdown`."""
        return shutdown(self._form, now)

    def receive(self, text: str, now: float) -> list[Reply]:  # noqa: ARG002 - counted by `heard`
        """Answer one message, unless it is too long."""
        if len(text) > _LONGEST_REQUEST:
            return []
        try:
            request = json.loads(text)
        except json.JSONDecodeError as exc:
            return [_error(3, f"Invalid JSON: expected value at line {exc.lineno} column {exc.colno}")]
        except (ValueError, RecursionError):
            return [_error(3, "Invalid JSON: expected value at line 1 column 1")]
        if (fault := _fault(request, len(text))) is not None:
            return [_error(2, f"Invalid request: {fault}")]
        method, params, number = request["method"], request.get("params", []), request["id"]
        if method.endswith("PROPERTY"):
            return [self._property(method, params, number)]
        return [self._change(method, params, number)]

    def _change(self, method: str, params: list[Any], number: object) -> Reply:
        if method == "LIST_SUBSCRIPTIONS":
            return _result(list(self._streams), number)
        streams = [stream for stream in params if isinstance(stream, str)]
        if not streams or len(streams) < len(params):
            return _error(2, "Invalid request: params must be an array of stream names")
        if method == "UNSUBSCRIBE":
            for stream in streams:
                self._streams.pop(stream, None)
            return _result(None, number, self._heard())
        scene, limit = self._provider.scenario, self._provider.limits.max_symbols
        if scene.partial_ack:
            streams = streams[: (len(streams) + 1) // 2]
        if limit is not None and len({**self._streams, **dict.fromkeys(streams)}) > limit:
            return Reply(_json({"error": {"code": 4, "msg": "Too many subscriptions"}, "id": number}))
        if scene.reject_how == "error" and (bad := [name for name in streams if self._refused(name)]):
            return _error(2, f"Invalid request: unknown stream {bad[0]}")
        self._streams.update(dict.fromkeys(streams))
        return _result(None, number, self._heard())

    def _refused(self, stream: str) -> bool:
        key = self._provider.key(stream.partition("@")[0])
        return key is not None and self._provider.choosy.refuses(key)

    def _property(self, method: str, params: list[Any], number: object) -> Reply:
        name, *values = params or [None]
        if not isinstance(name, str):
            return _error(2, "Invalid request: property name must be a string")
        if name != "combined":
            return Reply(_json({"code": 0, "msg": "Unknown property", "id": number}))
        if len(values) > (method == "SET_PROPERTY"):
            return _error(2, "Invalid request: too many parameters")
        if method == "GET_PROPERTY":
            return _result(self._form.combined, number)
        if not values or not isinstance(values[0], bool):
            return _error(1, "Invalid value type: expected Boolean")
        self._form = Form(values[0], self._form.units_per_second)
        return _result(None, number, self._heard())

    def _heard(self) -> tuple[Channel, ...]:
        return self._provider.channels(tuple(self._streams), self._form)


def _fault(request: Any, length: int) -> str | None:
    """What is wrong with the form of a request; None if nothing is."""
    if not isinstance(request, dict) or "method" not in request:
        return f"missing field `method` at line 1 column {length}"
    if request["method"] not in _METHODS:
        known = ", ".join(f"`{name}`" for name in _METHODS)
        return f"unknown variant `{request['method']}`, expected one of {known} at line 1 column {length}"
    if not _is_id(request.get("id", "")):
        return "request ID must be an unsigned integer"
    return None if isinstance(request.get("params", []), list) else "params must be an array"


def _is_id(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or (isinstance(value, str) and _TEXT_ID.fullmatch(value) is not None)


def _result(result: object, number: object, listens: tuple[Channel, ...] | None = None) -> Reply:
    return Reply(_json({"result": result, "id": number}), listens)


def _error(code: int, message: str) -> Reply:
    return Reply(_json({"code": code, "msg": message}))


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))

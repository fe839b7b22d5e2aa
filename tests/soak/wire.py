"""The words of two providers, as far as a soak needs them: written from their documentation, for this.

`binance` can announce that a connection will be closed, so that it is replaced before; `twelvedata` answers by symbol.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Heard:
    """What a client asked for, and the answer to it; symbols by their place in the world."""

    answer: str
    subscribe: Sequence[int] = ()
    unsubscribe: Sequence[int] = ()


class Wire(Protocol):
    """One provider's protocol. A tick's price is its number and one."""

    path: str
    allowed: tuple[int, float]
    """Texts that a client may send, and in how many seconds."""
    counts_control_frames: bool
    """Whether its pings and pongs count as texts."""
    farewell: str | None
    """Says that this connection will be closed soon."""
    noise: Sequence[str]
    """Texts of which a client makes no tick, and no fuss."""
    evicts_in_silence: bool
    """Whether the end of a connection without a word means that there was one too many."""
    rest_path: str | None
    """Where last prices can be asked for."""

    def symbol(self, place: int) -> str:
        """How the symbol is configured."""

    def heard(self, text: str) -> Heard:
        """Understand a client."""

    def tick(self, place: int, number: int, serial: int, at: float) -> str:
        """The frame of a tick made at `at`, epoch seconds. `serial`: contiguous over all trades of the symbol."""

    def last_prices(self, query: Mapping[str, str], numbers: Sequence[int]) -> str:
        """The answer to a question at `rest_path`. `numbers`: of each symbol the last tick's, -1 before the first."""


class TwelveData(Wire):
    """https://twelvedata.com/docs#websocket."""

    path = "/v1/quotes/price"
    allowed = (100, 60.0)
    counts_control_frames = False
    farewell = None
    noise = ("no json at all", '{"event":"news","text":"hello"}', "[]", '{"event":"price","symbol":"AAPL"}')
    evicts_in_silence = True
    rest_path = "/price"

    def symbol(self, place: int) -> str:
        return f"S{place:03}"

    def heard(self, text: str) -> Heard:
        message = json.loads(text)
        if message["action"] == "heartbeat":
            return Heard('{"event":"heartbeat","status":"ok"}')
        names = message["params"]["symbols"].split(",")
        places = [int(name[1:]) for name in names]
        listed = [{"symbol": name, "exchange": "NASDAQ", "type": "Common Stock"} for name in names]
        action = message["action"]
        answer = json.dumps({"event": f"{action}-status", "status": "ok", "success": listed, "fails": []})
        return Heard(answer, **{action: places})

    def tick(self, place: int, number: int, serial: int, at: float) -> str:
        return (
            f'{{"event":"price","symbol":"S{place:03}","currency":"USD","exchange":"NASDAQ","type":"Common Stock",'
            f'"timestamp":{int(at)},"price":{number + 1}.0,"day_volume":{number}}}'
        )

    def last_prices(self, query: Mapping[str, str], numbers: Sequence[int]) -> str:
        known = {name: numbers[int(name[1:])] for name in query.get("symbol", "").split(",")}
        prices = {name: {"price": f"{number + 1}.00000"} for name, number in known.items() if number >= 0}
        return json.dumps(next(iter(prices.values()), {}) if len(known) == 1 else prices)


class Binance(Wire):
    """https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams."""

    path = "/ws"
    allowed = (5, 1.0)
    counts_control_frames = True
    farewell = '{"e":"serverShutdown","E":1770123456789}'
    noise = ("no json at all", '{"e":"news","text":"hello"}', "[]", '{"e":"aggTrade","s":"BNBBTC"}')
    evicts_in_silence = False
    rest_path = "/api/v3/ticker/price"

    def symbol(self, place: int) -> str:
        return f"S{place:03}USDT"

    def heard(self, text: str) -> Heard:
        message = json.loads(text)
        places = [int(stream.partition("usdt@")[0][1:]) for stream in message["params"]]
        action = {"SUBSCRIBE": "subscribe", "UNSUBSCRIBE": "unsubscribe"}[message["method"]]
        return Heard(json.dumps({"result": None, "id": message["id"]}), **{action: places})

    def tick(self, place: int, number: int, serial: int, at: float) -> str:
        when = int(at * 1000)
        return (
            f'{{"e":"aggTrade","E":{when},"s":"S{place:03}USDT","a":{serial},"p":"{number + 1}.00","q":"1.00000000",'
            f'"f":{serial},"l":{serial},"T":{when},"m":true,"M":true}}'
        )

    def last_prices(self, query: Mapping[str, str], numbers: Sequence[int]) -> str:
        asked = json.loads(query["symbols"]) if "symbols" in query else map(self.symbol, range(len(numbers)))
        known = {name: numbers[int(name[1:4])] for name in asked}
        listed = [{"symbol": name, "price": f"{number + 1}.00"} for name, number in known.items() if number >= 0]
        return json.dumps(listed)


WIRES: dict[str, Callable[[], Wire]] = {"twelvedata": TwelveData, "binance": Binance}

"""Binance's plain requests under `/api/v3/`: what client libraries ask when they start, and the last prices."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pricestreamd.simulator.dialect import Answer, Quotes
from pricestreamd.simulator.instruments import split_coin_pair


class _RefusedError(ValueError):
    """`args`: the code and the message."""


def answer(
    name: str,
    query: Mapping[str, str],
    quotes: Quotes,
    key_of: Callable[[str], str | None],
    well_known: Sequence[str],
) -> Answer:
    """The answer to `/api/v3/<name>`. Without a symbol, prices are of the well-known ones."""
    now = int(quotes.now() * 1000)
    try:
        match name:
            case "ping":
                return _json({})
            case "time":
                return _json({"serverTime": now})
            case "exchangeInfo":
                return _json(_exchange_info(now, _asked(query, key_of) or well_known))
            case _:
                return _json(_prices(name, query, quotes, _asked(query, key_of), well_known))
    except _RefusedError as exc:
        code, message = exc.args
        return _json({"code": code, "msg": message}, 400)


def _asked(query: Mapping[str, str], key_of: Callable[[str], str | None]) -> list[str]:
    """The symbols of `symbol=A` or `symbols=["A","B"]`: upper case, as the provider wants them."""
    if "symbol" in query and "symbols" in query:
        raise _RefusedError(-1128, "Combination of optional parameters invalid.")
    named: object = [query["symbol"]] if "symbol" in query else []
    if "symbols" in query:
        try:
            named = json.loads(query["symbols"])
        except ValueError:
            named = None
        if not isinstance(named, list) or not named:
            raise _RefusedError(-1100, "Illegal characters found in parameter 'symbols'.")
    keys = [key_of(str(symbol)) for symbol in named]  # type: ignore[attr-defined] # a list by now
    if any(key is None or key != str(symbol) for key, symbol in zip(keys, named, strict=True)):  # type: ignore[call-overload] # as above
        raise _RefusedError(-1121, "Invalid symbol.")
    return [key for key in keys if key is not None]


def _prices(
    name: str, query: Mapping[str, str], quotes: Quotes, asked: Sequence[str], well_known: Sequence[str]
) -> object:
    if name.endswith("rades") and not asked:
        raise _RefusedError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    told: list[dict[str, Any]] = []
    for key in asked or well_known:
        tick = quotes.last(key)
        if tick is None:
            continue
        price, quantity, at = f"{tick.price:.8f}", f"{tick.volume or 1:.8f}", int(tick.timestamp * 1000)
        match name:
            case "ticker/price":
                told.append({"symbol": key, "price": price})
            case "ticker/bookTicker":
                told.append(
                    {"symbol": key, "bidPrice": price, "bidQty": quantity, "askPrice": price, "askQty": quantity}
                )
            case "trades":
                told.append({"id": at, "price": price, "qty": quantity, "time": at, "isBuyerMaker": True})
            case _:
                told.append({"a": at, "p": price, "q": quantity, "f": at, "l": at, "T": at, "m": True, "M": True})
    if "symbol" in query and not name.endswith("rades"):
        return told[0] if told else {}
    return told


def _exchange_info(now: int, symbols: Sequence[str]) -> object:
    listed = []
    for symbol in symbols:
        base, quote = split_coin_pair(symbol) or (symbol, "")
        listed.append(
            {
                "symbol": symbol,
                "status": "TRADING",
                "baseAsset": base,
                "baseAssetPrecision": 8,
                "quoteAsset": quote,
                "quotePrecision": 8,
                "orderTypes": ["LIMIT", "MARKET"],
                "isSpotTradingAllowed": True,
                "filters": [],
                "permissions": ["SPOT"],
            }
        )
    limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}]
    return {"timezone": "UTC", "serverTime": now, "rateLimits": limits, "exchangeFilters": [], "symbols": listed}


def _json(value: object, status: int = 200) -> Answer:
    return Answer(json.dumps(value, separators=(",", ":")), status)

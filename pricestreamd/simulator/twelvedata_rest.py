"""Twelve Data's last price over plain HTTP: `/price?symbol=AAPL,RY:TSX`. Prices are texts, and there is no time."""

from __future__ import annotations

import json
from collections.abc import Callable

from pricestreamd.simulator.dialect import Answer, Quotes


def last_prices(symbols: str, key_of: Callable[[str], str | None], quotes: Quotes) -> Answer:
    """One object for one symbol; for several an object by the symbols as they were asked for."""
    asked = [symbol.strip() for symbol in symbols.split(",") if symbol.strip()]
    if not asked:
        return Answer(json.dumps(_error(400, "**symbol** parameter is missing.")), 400)
    found = {symbol: _price(symbol, key_of(symbol), quotes) for symbol in asked}
    if len(asked) > 1:
        return Answer(json.dumps(found))
    (only,) = found.values()
    return Answer(json.dumps(only), int(only.get("code", 200)))


def _price(symbol: str, key: str | None, quotes: Quotes) -> dict[str, str | int]:
    tick = quotes.last(key) if key is not None else None
    if tick is None:
        return _error(
            404, f"**symbol** not found: {symbol}. Please specify it correctly according to API Documentation."
        )
    return {"price": f"{tick.price:.5f}"}


def _error(code: int, message: str) -> dict[str, str | int]:
    return {"code": code, "message": message, "status": "error"}

"""The server's side of Alpha Vantage: quotes by plain requests, `/query`, one symbol at a time or a hundred.

Source: https://www.alphavantage.co/documentation in the state of 2026-11-22, and recorded answers.

    GET /query?function=GLOBAL_QUOTE&symbol=IBM&apikey=KEY
    GET /query?function=REALTIME_BULK_QUOTES&symbol=MSFT,AAPL,IBM&apikey=KEY        of a premium key; 100 at most

Quirks that are kept: every error is HTTP 200 and told by its only key (`Error Message`, `Information`); all values are
texts; a quote has a date and no time, a bulk quote a time of New York without a zone; an unknown symbol is an empty
object; more than 100 symbols are cut off without a word; the text about a spent quota repeats the key.

The key is of the smallest premium plan, 75 requests a minute; of the free plan (25 a day, one a second, no bulk) where
the scenario says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from pricestreamd.model.tick import Tick, symbol_key
from pricestreamd.simulator.dialect import Answer, Budget, Dialect, Face, Fields, Limits, Quotes, Request
from pricestreamd.simulator.scenario import Scenario

_NEW_YORK = ZoneInfo("America/New_York")
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.-]{0,14}")
_BULK = 100
_DAY = 86_400.0
_SITE = "https://www.alphavantage.co"


class AlphaVantage(Dialect):
    """The provider. Its keys are tickers, upper case."""

    address = "/query"
    faces: Mapping[str, Face] = {address: "request"}
    usual = Limits(requests_per_minute=75)
    answer_fields = (
        Fields(price="05. price", symbol="01. symbol", volume="06. volume", optional=("02. open", "09. change")),
        Fields(price="close", symbol="symbol", time="timestamp", volume="volume", optional=("open", "change")),
    )

    def switch(self, scenario: Scenario) -> None:
        """Quotas begin anew."""
        super().switch(scenario)
        if scenario.free_plan:
            self.limits = replace(self.limits, requests_per_minute=None, requests_per_second=1, requests_per_day=25)
        self._budgets: dict[str, tuple[Budget, ...]] = {}

    def credential(self, request: Request) -> str:
        """The parameter `apikey`."""
        return request.query.get("apikey") or ""

    def refusal(self, status: int, key: str = "") -> Answer:
        """With HTTP 200, unless the server itself is in trouble."""
        if status == 401:
            return _error(
                f"the parameter apikey is invalid or missing. Please claim your free API key on ({_SITE}/support/)"
            )
        if status == 403:
            return _information(
                f"This is a premium endpoint. You may subscribe to any of the premium plans at {_SITE}/premium/"
            )
        if status == 429:
            return self._daily(key)
        return Answer(json.dumps({"message": "Internal server error"}), status)

    def answer(self, request: Request, quotes: Quotes, now: float) -> Answer:
        """A quote, or why there is none."""
        key = self.credential(request)
        if not key:
            return self.refusal(401)
        if (refused := self._over(key, now)) is not None:
            return refused
        function, symbols = request.query.get("function", ""), request.query.get("symbol", "")
        if function == "GLOBAL_QUOTE":
            return self._quote(symbols, request.query, quotes)
        if function == "REALTIME_BULK_QUOTES":
            return self.refusal(403) if self.scenario.free_plan else self._bulk(symbols, quotes)
        return _error(f"This API function ({function}) does not exist.")

    def key(self, symbol: str) -> str | None:
        """The ticker, upper case; None for what is none."""
        ticker = symbol_key(symbol)
        return ticker if _SYMBOL.fullmatch(ticker) else None

    def _over(self, key: str, now: float) -> Answer | None:
        limits, hurry = self.limits, self.scenario.hurry
        if key not in self._budgets:
            self._budgets[key] = (
                Budget(limits.requests_per_day, _DAY / hurry),
                Budget(limits.requests_per_minute, 60.0 / hurry),
                Budget(limits.requests_per_second, 1.0 / hurry),
            )
        day, minute, second = self._budgets[key]
        if second.spent(now) or minute.spent(now):
            pace = f"{limits.requests_per_second or 1} request per second"
            if limits.requests_per_minute is not None:
                pace = f"{limits.requests_per_minute} requests per minute"
            return _information(
                "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more "
                f"sparingly ({pace}). You may subscribe to any of the premium plans at {_SITE}/premium/ to lift the "
                "free key rate limit (25 requests per day), raise the per-second burst limit, and instantly unlock "
                "all premium endpoints"
            )
        return self._daily(key) if day.spent(now) else None

    def _daily(self, key: str) -> Answer:
        allowed = self.limits.requests_per_day or 25
        return _information(
            f"We have detected your API key as {key} and our standard API rate limit is {allowed} requests per day. "
            f"Please subscribe to any of the premium plans at {_SITE}/premium/ to instantly remove all daily rate "
            "limits."
        )

    def _quote(self, symbol: str, query: Mapping[str, str], quotes: Quotes) -> Answer:
        key = self.key(symbol)
        if key is None:
            return _error(
                f"Invalid API call. Please retry or visit the documentation ({_SITE}/documentation/) for GLOBAL_QUOTE."
            )
        tick = None if self._unknown(key) else quotes.last(key)
        delayed = query.get("entitlement") == "delayed"
        name = "Global Quote - DATA DELAYED BY 15 MINUTES" if delayed else "Global Quote"
        quote = {} if tick is None else _global_quote(key, tick)
        if query.get("datatype") == "csv":
            names = ",".join(field.partition(" ")[2].replace(" ", "") for field in quote)
            return Answer(f"{names}\r\n{','.join(quote.values())}\r\n", content_type="application/x-download")
        return Answer(json.dumps({name: quote}, indent=4))

    def _bulk(self, symbols: str, quotes: Quotes) -> Answer:
        asked = [symbol for symbol in symbols.split(",") if symbol.strip()][:_BULK]
        if self.scenario.partial_ack:
            asked = asked[: (len(asked) + 1) // 2]
        told = []
        for symbol in asked:
            key = self.key(symbol)
            tick = quotes.last(key) if key is not None and not self._unknown(key) else None
            if key is not None and tick is not None:
                told.append(_bulk_quote(key, tick))
        return Answer(json.dumps({"endpoint": "Realtime Bulk Quotes", "message": "success", "data": told}))

    def _unknown(self, key: str) -> bool:
        return self.choosy.refuses(key)


def _global_quote(symbol: str, tick: Tick) -> dict[str, str]:
    price = f"{tick.price:.4f}"
    return {
        "01. symbol": symbol,
        "02. open": price,
        "03. high": f"{tick.price * 1.004:.4f}",
        "04. low": f"{tick.price * 0.996:.4f}",
        "05. price": price,
        "06. volume": str(int(30_000_000 + (tick.volume or 0))),
        "07. latest trading day": datetime.fromtimestamp(tick.timestamp, _NEW_YORK).strftime("%Y-%m-%d"),
        "08. previous close": f"{tick.price * 1.002:.4f}",
        "09. change": f"{tick.price * -0.002:.4f}",
        "10. change percent": "-0.1996%",
    }


def _bulk_quote(symbol: str, tick: Tick) -> dict[str, str]:
    at = datetime.fromtimestamp(tick.timestamp, _NEW_YORK).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return {
        "symbol": symbol,
        "timestamp": at,
        "open": f"{tick.price * 1.001:.4f}",
        "high": f"{tick.price * 1.004:.4f}",
        "low": f"{tick.price * 0.996:.4f}",
        "close": f"{tick.price:.4f}",
        "volume": str(int(tick.volume or 0)),
        "previous_close": f"{tick.price * 1.002:.4f}",
        "change": f"{tick.price * -0.002:.4f}",
        "change_percent": "-0.1996",
        "extended_hours_quote": f"{tick.price:.4f}",
        "extended_hours_change": "0.0000",
        "extended_hours_change_percent": "0.0000",
    }


def _information(text: str) -> Answer:
    return Answer(json.dumps({"Information": text}))


def _error(text: str) -> Answer:
    return Answer(json.dumps({"Error Message": text}))

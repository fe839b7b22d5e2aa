"""The simulated Alpha Vantage: every error is HTTP 200, every value a text."""

import json
from typing import Any

import pytest

from pricestreamd.simulator.alphavantage import AlphaVantage
from pricestreamd.simulator.dialect import Limits
from pricestreamd.simulator.scenarios import SCENARIOS, find_scenario
from tests.unit.simulator.conversing import Prices, request

PRICES = {"IBM": 225.5, "MSFT": 428.123456, "TSCO.LON": 310.0}


def ask(provider: AlphaVantage, now: float = 0.0, *, key: str = "K", **query: str) -> dict[str, Any]:
    answer = provider.answer(request("/query", {**query, "apikey": key}), Prices(PRICES), now)
    assert answer.status == 200
    return json.loads(answer.body)  # type: ignore[no-any-return] # it answers with objects


def quote(provider: AlphaVantage, symbol: str, now: float = 0.0, **query: str) -> dict[str, Any]:
    return ask(provider, now, function="GLOBAL_QUOTE", symbol=symbol, **query)


def bulk(provider: AlphaVantage, symbols: str, now: float = 0.0) -> dict[str, Any]:
    return ask(provider, now, function="REALTIME_BULK_QUOTES", symbol=symbols)


def test_a_quote_has_numbered_names_and_texts() -> None:
    told = quote(AlphaVantage(), "ibm")["Global Quote"]
    assert list(told) == [
        "01. symbol", "02. open", "03. high", "04. low", "05. price", "06. volume", "07. latest trading day",
        "08. previous close", "09. change", "10. change percent",
    ]  # fmt: skip
    assert all(isinstance(value, str) for value in told.values())
    assert (told["01. symbol"], told["05. price"], told["07. latest trading day"]) == ("IBM", "225.5000", "2023-11-14")
    assert told["10. change percent"].endswith("%")


def test_with_an_entitlement_to_delayed_data_the_name_says_so() -> None:
    [name] = quote(AlphaVantage(), "IBM", entitlement="delayed")
    assert name == "Global Quote - DATA DELAYED BY 15 MINUTES"
    [name] = quote(AlphaVantage(), "IBM", entitlement="realtime")
    assert name == "Global Quote"


def test_a_quote_may_be_a_table() -> None:
    query = {"function": "GLOBAL_QUOTE", "symbol": "IBM", "apikey": "K", "datatype": "csv"}
    head, row, end = AlphaVantage().answer(request("/query", query), Prices(PRICES), 0.0).body.split("\r\n")
    assert head.split(",")[:5] == ["symbol", "open", "high", "low", "price"]
    assert row.split(",")[4] == "225.5000"
    assert end == ""


def test_an_unknown_symbol_is_an_empty_quote_and_an_impossible_one_an_error() -> None:
    assert quote(AlphaVantage(), "NONE") == {"Global Quote": {}}
    for symbol in ("", "EUR/USD", "A,B"):
        assert quote(AlphaVantage(), symbol)["Error Message"].startswith("Invalid API call.")


def test_bulk_quotes_are_rows_with_a_time_of_new_york_without_a_zone() -> None:
    told = bulk(AlphaVantage(), "MSFT,NONE,ibm,EUR/USD,TSCO.LON")
    assert (told["endpoint"], told["message"]) == ("Realtime Bulk Quotes", "success")
    assert [row["symbol"] for row in told["data"]] == ["MSFT", "IBM", "TSCO.LON"]
    assert told["data"][0]["close"] == "428.1235"
    assert told["data"][0]["timestamp"] == "2023-11-14 17:13:20.000"
    assert all(isinstance(value, str) for row in told["data"] for value in row.values())


def test_more_than_a_hundred_symbols_are_cut_off_without_a_word() -> None:
    assert bulk(AlphaVantage(), ",".join(["NONE"] * 100 + ["IBM"]))["data"] == []
    assert len(bulk(AlphaVantage(), ",".join(["NONE"] * 99 + ["IBM"]))["data"]) == 1


def test_without_a_key_and_without_a_function_there_is_an_error_message() -> None:
    assert "apikey is invalid or missing" in ask(AlphaVantage(), key="", function="GLOBAL_QUOTE")["Error Message"]
    assert "SING" in ask(AlphaVantage(), function="SING")["Error Message"]
    assert ask(AlphaVantage(), function="GLOBAL_QUOTE", symbol="IBM", key="invented")["Global Quote"]


def test_the_free_plan_has_one_request_a_second_25_a_day_and_no_bulk() -> None:
    provider = AlphaVantage(SCENARIOS["free-plan"])
    assert "premium endpoint" in bulk(provider, "IBM", now=-10.0)["Information"]
    assert "Global Quote" in quote(provider, "IBM", now=0.0)
    assert "1 request per second" in quote(provider, "IBM", now=0.5)["Information"]
    for number in range(1, 24):
        assert "Global Quote" in quote(provider, "IBM", now=number * 2.0), number
    spent = quote(provider, "IBM", now=100.0)["Information"]
    assert "25 requests per day" in spent
    assert "API key as K" in spent
    assert "Global Quote" in ask(provider, 100.0, key="other", function="GLOBAL_QUOTE", symbol="IBM")
    assert "Global Quote" in quote(provider, "IBM", now=86_500.0)


def test_the_smallest_premium_plan_has_75_requests_a_minute() -> None:
    provider = AlphaVantage()
    assert all("Global Quote" in quote(provider, "IBM", now=number / 10) for number in range(75))
    assert "75 requests per minute" in quote(provider, "IBM", now=8.0)["Information"]
    assert "Global Quote" in quote(provider, "IBM", now=60.1)


def test_quotas_may_be_set_and_hurried() -> None:
    provider = AlphaVantage(find_scenario("hurry:100"), Limits(requests_per_day=1))
    assert "Global Quote" in quote(provider, "IBM")
    assert "1 requests per day" in quote(provider, "IBM")["Information"]
    assert "Global Quote" in quote(provider, "IBM", now=865.0)


@pytest.mark.parametrize(
    ("status", "name"), [(401, "Error Message"), (403, "Information"), (429, "Information"), (503, "message")]
)
def test_a_refusal_is_told_by_its_only_key(status: int, name: str) -> None:
    answer = AlphaVantage().refusal(status, "K")
    assert list(json.loads(answer.body)) == [name]
    assert answer.status == (503 if status == 503 else 200)


def test_refused_symbols_are_empty_quotes() -> None:
    provider = AlphaVantage(SCENARIOS["reject-some"])
    assert quote(provider, "MSFT")["Global Quote"]
    assert quote(provider, "TSCO.LON")["Global Quote"]
    assert quote(provider, "IBM") == {"Global Quote": {}}
    assert [row["symbol"] for row in bulk(provider, "MSFT,IBM,TSCO.LON")["data"]] == ["MSFT", "TSCO.LON"]
    assert [row["symbol"] for row in bulk(AlphaVantage(SCENARIOS["partial-ack"]), "MSFT,IBM")["data"]] == ["MSFT"]

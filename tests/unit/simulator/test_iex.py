"""The simulated IEX Cloud: quotes in arrays, with the fields and the gaps that the real one had."""

import json
from typing import Any

import pytest

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.dialect import Session, Voice
from pricestreamd.simulator.iex import Iex
from pricestreamd.simulator.scenarios import SCENARIOS
from tests.unit.simulator.conversing import opened, refused, request

PATH = "/stable/stocksUSNoUTP"


def stream(provider: Iex, symbols: str, endpoint: str = "stocksUSNoUTP", **query: str) -> Session:
    return opened(provider, PATH, {"symbols": symbols, **query}, endpoint=endpoint)


def keys(session: Session) -> tuple[str, ...]:
    [reply] = session.opened()
    assert reply.subscribed is not None
    return reply.subscribed


def voice(provider: Iex, endpoint: str = "stocksUSNoUTP") -> Voice:
    [reply] = stream(provider, "spy", endpoint).opened()
    assert reply.listens is not None
    return reply.listens[0].voice


def quote(provider: Iex, tick: Tick, endpoint: str = "stocksUSNoUTP") -> dict[str, Any]:
    [text] = voice(provider, endpoint).texts([tick], [])
    [only] = json.loads(text)
    return only  # type: ignore[no-any-return] # the array holds objects


def test_the_address_says_what_is_heard_and_a_snapshot_comes_first() -> None:
    [reply] = stream(Iex(), "spy,msft, AAPL ,spy").opened()
    assert reply.subscribed == ("SPY", "MSFT", "AAPL")
    assert reply.text is None
    assert reply.snapshot
    [reply] = stream(Iex(), "spy", nosnapshot="true").opened()
    assert not reply.snapshot


def test_what_is_no_ticker_is_left_out_without_a_word() -> None:
    assert keys(stream(Iex(), "spy,eur/usd,brk.b,brk-b,ÄÄ,toolongforasymbol")) == ("SPY", "BRK.B", "BRK-B")


def test_a_stream_of_nothing_or_of_too_much_is_refused() -> None:
    assert refused(Iex(), PATH, {}, endpoint="stocksUS").status == 400
    fifty = ",".join(f"s{n}" for n in range(50))
    assert len(keys(stream(Iex(), fifty))) == 50
    assert refused(Iex(), PATH, {"symbols": fifty + ",more"}, endpoint="stocksUS").status == 400
    assert Iex().limits.max_url == 2000


def test_a_quote_tells_the_price_in_the_documented_fields() -> None:
    told = quote(Iex(), Tick("SPY", 474.84, 1704906277.470, 0.0, 100.0))
    assert (told["symbol"], told["latestPrice"], told["latestUpdate"]) == ("SPY", 474.84, 1704906277470)
    assert (told["iexRealtimePrice"], told["iexLastUpdated"]) == (474.84, 1704906277470)
    assert told["latestTime"] == "5:04:37 PM"
    assert told["latestSource"] == "IEX real time price"
    assert told["currency"] == "USD"
    assert told["calculationPrice"] == "tops"


def test_without_utp_the_volume_and_the_range_of_nasdaq_names_are_null() -> None:
    tick = Tick("AAPL", 150.0, 1704906277.0, 0.0, 100.0)
    hidden = quote(Iex(), tick)
    assert [hidden[name] for name in ("latestVolume", "open", "high", "low", "delayedPrice")] == [None] * 5
    shown = quote(Iex(), tick, "stocksUS")
    assert (shown["latestVolume"], shown["open"], shown["high"]) == (100, 150.0, 150.0)
    assert quote(Iex(), Tick("IBM", 225.0, 1.0, 0.0, 5.0))["latestVolume"] == 5


def test_the_volume_of_the_day_and_its_range_grow() -> None:
    said = voice(Iex())
    ticks = [Tick("SPY", price, 1.0, 0.0, 10.0) for price in (10.0, 12.0, 9.0)]
    [*_, last] = [json.loads(text)[0] for text in said.texts(ticks, [])]
    assert (last["latestVolume"], last["high"], last["low"], last["change"]) == (30, 12.0, 9.0, -1.0)
    assert last["changePercent"] == -0.1


def test_the_address_says_how_often_the_newest_is_told() -> None:
    provider = Iex()
    every = {
        name: voice(provider, name).every
        for name in ("stocksUS", "stocksUS1Second", "stocksOTC5Second", "stocksUSNoUTP1Minute")
    }
    assert list(every.values()) == [0.0, 1.0, 5.0, 60.0]
    assert voice(provider, "stocksUS1Second") is voice(provider, "stocksUS1Second")


def test_one_message_can_hold_many_quotes() -> None:
    said = voice(Iex())
    items = said.items([Tick("SPY", 1.0 + n, 1.0, 0.0, 1.0) for n in range(3)], [])
    assert [told["latestPrice"] for told in json.loads(said.message(items))] == [1.0, 2.0, 3.0]


def test_comments_and_empty_arrays_come_in_turn() -> None:
    provider = Iex()
    assert [provider.sign_of_life(1.0) for _ in range(3)] == [": keep-alive", "data: []", ": keep-alive"]


@pytest.mark.parametrize(("token", "status"), [("", 401), ("wrong", 403)])
def test_a_request_without_a_token_is_told_from_one_with_a_wrong_one(token: str, status: int) -> None:
    answer = Iex().refusal(401, token)
    assert (answer.status, answer.content_type) == (status, "text/plain")
    assert Iex().credential(request(PATH, {"token": "k"})) == "k"
    assert Iex().refusal(414).body == "Request-URI Too Large"


def test_in_ledger_mode_the_volume_is_the_number_whatever_the_exchange() -> None:
    assert quote(Iex(ledger=True), Tick("AAPL", 150.0, 1.0, 0.0, 1_234_567.0))["latestVolume"] == 1_234_567


def test_in_ledger_mode_the_same_price_in_the_same_millisecond_has_a_later_time() -> None:
    said = voice(Iex(ledger=True))
    ticks = [Tick("SPY", 10.0, 5.0, 0.0, number) for number in (1.0, 2.0, 3.0)]
    assert [json.loads(text)[0]["latestUpdate"] for text in said.texts(ticks, [])] == [5000, 5001, 5002]


def test_refused_symbols_are_left_out_or_spoil_the_request() -> None:
    for name in ("reject-some", "silent-some"):
        assert keys(stream(Iex(SCENARIOS[name]), "a,b,c,d")) == ("A", "B", "D")
    assert refused(Iex(SCENARIOS["error-some"]), PATH, {"symbols": "a,b,c"}, endpoint="stocksUS").status == 404
    assert keys(stream(Iex(SCENARIOS["partial-ack"]), "a,b,c,d")) == ("A", "B")


def test_a_client_has_no_say() -> None:
    assert stream(Iex(), "spy").receive("anything", 0.0) == []

"""What Alpha Vantage answers becomes what the house says, and the polls stay within what its plans allow."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.secret import Secret, redact
from pricestreamd.model.tick import PRICE_LIMIT, Tick
from pricestreamd.providers.alphavantage import AlphaVantage
from pricestreamd.providers.base import (
    FaultKind,
    Heartbeat,
    HttpRequest,
    Ignored,
    Message,
    ProviderFault,
    Rejected,
    Terms,
)

# 30 October 2024, 23:59:58.25 UTC; in New York it is 19:59:58.
NOW = 1_730_332_798.25
KEY = "Canary+Key/77"

PREMIUM = "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to instantly unlock all premium endpoints"
SAMPLE = "This is a premium endpoint. THE SAMPLE DATA SCHEMA BELOW IS ARTIFICIAL. To access the actual data, please subscribe to the 600 requests per minute premium plan"
BURST = "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 request per second). You may subscribe to any of the premium plans to lift the free key rate limit (25 requests per day), raise the per-second burst limit, and instantly unlock all premium endpoints"
DAILY = f"We have detected your API key as {KEY} and our standard API rate limit is 25 requests per day. Please subscribe to any of the premium plans to instantly remove all daily rate limits."
NO_KEY = "the parameter apikey is invalid or missing. Please claim your free API key on (https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."
DEMO = "The **demo** API key is for demo purposes only. Please claim your free API key"
INVALID = "Invalid API call. Please retry or visit the documentation (https://www.alphavantage.co/documentation/) for GLOBAL_QUOTE."
LEGACY = "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per minute."


def adapter(*symbols: str, bulk: bool = False, **terms: Any) -> AlphaVantage:
    """An adapter that is past the question whether its plan has bulk quotes, unless `bulk`."""
    made = AlphaVantage(Terms(feed="us", api_key=Secret(KEY), **terms))
    for symbol in symbols or ("IBM", "msft"):
        made.symbols.add(symbol)
    if not bulk:
        poll(made, -100.0)
        assert made.decode(json.dumps({"Information": PREMIUM}), NOW) == (Ignored("premium"),)
    return made


def poll(made: AlphaVantage, now: float = 0.0) -> HttpRequest:
    request = made.next_poll(now)
    assert isinstance(request, HttpRequest)
    return request


def asks(request: HttpRequest) -> tuple[str, str]:
    """The function and the symbols of a request."""
    query = parse_qs(urlsplit(request.url).query)
    assert query["apikey"] == [KEY]
    return query["function"][0], query["symbol"][0]


def single(**fields: object) -> dict[str, object]:
    names = {"symbol": "01. symbol", "price": "05. price", "volume": "06. volume", "day": "07. latest trading day"}
    found = {
        "01. symbol": "IBM",
        "02. open": "205.0000",
        "05. price": "206.4900",
        "06. volume": "3140294",
        "07. latest trading day": "2024-10-30",
        "10. change percent": "-0.1416%",
    } | {names[key]: value for key, value in fields.items()}
    return {"Global Quote": {key: value for key, value in found.items() if value is not ...}}


def row(**fields: object) -> dict[str, object]:
    found = {
        "symbol": "IBM",
        "timestamp": "2024-10-30 15:59:57.644",
        "close": "206.49",
        "volume": "3140294",
        "extended_hours_quote": "",
        **fields,
    }
    return {key: value for key, value in found.items() if value is not ...}


def rows(*found: object) -> dict[str, object]:
    return {"endpoint": "Realtime Bulk Quotes", "message": "success", "data": list(found)}


def answer(value: object, made: AlphaVantage | None = None, received_at: float = NOW) -> list[Message]:
    data = json.dumps(value)
    made = made or adapter(bulk=True)
    made.next_poll(1e6)
    return list(made.decode(data, received_at))


def tick(symbol: str = "IBM", price: float = 206.49, timestamp: float = 0.0, **more: Any) -> Tick:
    return Tick(symbol, price, timestamp, more.pop("received_at", NOW), more.pop("volume", 3140294.0), None, "us")


def new_york(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


CLOSE = new_york("2024-10-30T16:00:00-04:00")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, tick(timestamp=CLOSE)),
        ({"symbol": " ibm "}, tick(timestamp=CLOSE)),
        ({"symbol": "MSFT", "price": "0.00001234"}, tick("msft", 1.234e-05, CLOSE)),
        ({"price": 206.49}, tick(timestamp=CLOSE)),
        ({"volume": "many"}, tick(timestamp=CLOSE, volume=None)),
        ({"volume": ...}, tick(timestamp=CLOSE, volume=None)),
        # Winter time; and a day that has no close yet.
        ({"day": "2024-01-15"}, tick(timestamp=new_york("2024-01-15T16:00:00-05:00"))),
        ({"day": "2024-10-31"}, tick(timestamp=NOW)),
        ({"day": ""}, tick(timestamp=NOW)),
        ({"day": ...}, tick(timestamp=NOW)),
    ],
)
def test_a_single_quote_becomes_a_tick(fields: dict[str, object], expected: Tick) -> None:
    assert answer(single(**fields)) == [expected]


def test_the_name_of_a_quote_may_tell_its_age() -> None:
    (quote_,) = single().values()
    assert answer({"Global Quote - DATA DELAYED BY 15 MINUTES": quote_}) == [tick(timestamp=CLOSE)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, tick(timestamp=new_york("2024-10-30T15:59:57.644-04:00"))),
        ({"timestamp": "2024-01-15 10:00:00"}, tick(timestamp=new_york("2024-01-15T10:00:00-05:00"))),
        ({"timestamp": "2024-10-30T15:00:00Z"}, tick(timestamp=new_york("2024-10-30T11:00:00-04:00"))),
        ({"timestamp": ""}, tick(timestamp=NOW)),
        ({"timestamp": ...}, tick(timestamp=NOW)),
        # Within the session the close counts, whatever the hours before have left behind.
        ({"extended_hours_quote": "1.5"}, tick(timestamp=new_york("2024-10-30T15:59:57.644-04:00"))),
        ({"extended_hours_quote": "1.5", "timestamp": "2024-10-30 09:30:00"}, tick(timestamp=new_york("2024-10-30T09:30:00-04:00"))),
        # Outside, the time is that of the quote of those hours.
        ({"extended_hours_quote": "1.5", "timestamp": "2024-10-30 16:00:00"}, tick(price=1.5, timestamp=CLOSE)),
        ({"extended_hours_quote": "1.5", "timestamp": "2024-10-30 09:29:59"}, tick(price=1.5, timestamp=new_york("2024-10-30T09:29:59-04:00"))),
        ({"extended_hours_quote": ..., "timestamp": "2024-10-30 16:00:00"}, tick(timestamp=CLOSE)),
        ({"extended_hours_quote": "1.5", "timestamp": ""}, tick(timestamp=NOW)),
        ({"extended_hours_quote": "1.5", "close": ""}, tick(price=1.5, timestamp=new_york("2024-10-30T15:59:57.644-04:00"))),
    ],
)  # fmt: skip
def test_a_row_of_bulk_quotes_becomes_a_tick(fields: dict[str, object], expected: Tick) -> None:
    assert answer(rows(row(**fields))) == [expected]


def test_a_bad_row_spoils_no_other() -> None:
    found = answer(rows(row(), None, row(symbol="OTHER"), row(symbol="MSFT", close="-1"), row(symbol="MSFT")))
    at = new_york("2024-10-30T15:59:57.644-04:00")
    assert found == [
        tick(timestamp=at),
        Rejected("type"),
        Rejected("unknown_symbol"),
        Rejected("not_positive"),
        tick("msft", timestamp=at),
    ]
    assert answer(rows()) == [Ignored("no rows")]


def test_an_unchanged_quote_is_a_sign_of_life() -> None:
    made = adapter()
    assert answer(single(), made) == [tick(timestamp=CLOSE)]
    assert answer(single(), made, NOW + 60) == [Heartbeat()]
    assert answer(single(volume="3140295"), made) == [tick(timestamp=CLOSE, volume=3140295.0)]
    assert answer(single(price="206.50", volume="3140295"), made) == [
        tick(price=206.5, timestamp=CLOSE, volume=3140295.0)
    ]
    assert answer(single(day="2024-10-29"), made) == [tick(timestamp=CLOSE - 86400)]
    # In bulk the time goes on while nothing is traded.
    made = adapter(bulk=True)
    assert answer(rows(row()), made) == [tick(timestamp=new_york("2024-10-30T15:59:57.644-04:00"))]
    assert answer(rows(row(timestamp="2024-10-30 15:59:59")), made) == [Heartbeat()]
    # Who comes back is told anew.
    made.symbols.remove("IBM")
    made.next_poll(2e6)
    made.symbols.add("IBM")
    assert answer(rows(row()), made) == [tick(timestamp=new_york("2024-10-30T15:59:57.644-04:00"))]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (single(price="nan"), "not_finite"),
        (single(price="-Infinity"), "not_finite"),
        (single(price="1e400"), "not_finite"),
        (single(price="0.0000"), "not_positive"),
        (single(price="-1.5"), "not_positive"),
        (single(price="1,234.5"), "type"),
        (single(price="206.49%"), "type"),
        (single(price=" 206.49"), "type"),
        (single(price=True), "type"),
        (single(price=[1]), "type"),
        (single(price="9" * 30), "type"),
        (single(price=""), "missing"),
        (single(price=None), "missing"),
        (single(price=...), "missing"),
        (single(symbol=...), "missing"),
        (single(symbol=5), "type"),
        (single(day="yesterday"), "type"),
        (single(day=5), "type"),
        (single(symbol="OTHER"), "unknown_symbol"),
        (rows(row(close="")), "missing"),
        (rows(row(timestamp="soon")), "type"),
        (rows(row(timestamp="2024-13-01 00:00:00")), "type"),
        ({"Global Quote": "none"}, "type"),
        ([], "type"),
        (None, "type"),
    ],
)
def test_what_cannot_be_a_tick_is_rejected_by_its_reason(value: object, reason: str) -> None:
    assert answer(value) == [Rejected(reason)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "json"), (b"<html>", "json"), (b"[" * 100_000, "json"), (b"\xff", "utf8"), ('"\ud800"', "utf8")],
)
def test_what_is_no_json_is_rejected(data: bytes | str, reason: str) -> None:
    made = adapter()
    poll(made)
    assert made.decode(data, NOW) == (Rejected(reason),)  # type: ignore[arg-type]


# --- complaints


@pytest.mark.parametrize("name", ["Information", "Error Message", "Note", "message"])
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (NO_KEY, FaultKind.AUTH),
        (DEMO, FaultKind.AUTH),
        (PREMIUM, FaultKind.ENTITLEMENT),
        (SAMPLE, FaultKind.ENTITLEMENT),
        ("Your key is not entitled to realtime data", FaultKind.ENTITLEMENT),
        ("Please subscribe to a premium plan", FaultKind.ENTITLEMENT),
        (DAILY, FaultKind.RATE_LIMITED),
        (BURST, FaultKind.RATE_LIMITED),
        (LEGACY, FaultKind.RATE_LIMITED),
        (INVALID, FaultKind.SYMBOL_REJECTED),
        ("All is lost", FaultKind.TRANSIENT),
    ],
)
def test_a_complaint_is_told_by_its_words_under_whatever_name(name: str, text: str, kind: FaultKind) -> None:
    made = adapter()
    poll(made)
    (fault,) = made.decode(json.dumps({name: text}), NOW)
    assert isinstance(fault, ProviderFault)
    assert fault.kind is kind
    assert fault.symbol == ("IBM" if kind is FaultKind.SYMBOL_REJECTED else None)
    assert (fault.retry_after is not None) == (kind is FaultKind.RATE_LIMITED)
    assert len(fault.message) <= 200


@pytest.mark.parametrize(
    "echo",
    [
        KEY,
        KEY.upper(),
        KEY.lower(),
        quote(KEY, ""),
        quote(KEY, "").lower(),
        quote_plus(KEY),
        quote(KEY),
        KEY.swapcase(),
    ],
)
def test_an_echoed_key_is_never_passed_on(echo: str) -> None:
    for text in (
        DAILY.replace(KEY, echo),
        f"{echo} {echo}",
        f"see https://x.org/?apikey={echo}",
        f"{'a ' * 995}{echo} b" * 2,
    ):
        for body in (
            {"Information": text},
            {"Error Message": text},
            {"strange": 1, text: 2},
            {text: 1},
            rows(row(symbol=text)),
        ):
            made = adapter(bulk=True)
            poll(made)
            told = repr(made.decode(json.dumps(body), NOW)).lower()
            assert "canary" not in told
        assert "canary" not in adapter().classify_handshake(403, text).message.lower()


def test_a_key_of_one_letter_does_not_spoil_every_text() -> None:
    made = AlphaVantage(Terms(api_key=Secret("a")))
    assert made.classify_handshake(503, "a day at a time").message == "a day at a time"


def test_requests_hold_the_key_and_show_it_nowhere() -> None:
    made = adapter(bulk=True)
    request = poll(made)
    assert asks(request) == ("REALTIME_BULK_QUOTES", "IBM,MSFT")
    assert request.symbols == ("IBM", "msft")
    for text in (
        repr(request),
        repr(made),
        repr(made.connect_params()),
        redact(request.url),
        redact(f"GET {request.url}"),
    ):
        assert "canary" not in text.lower()


@pytest.mark.parametrize("hour", [0.0, 3600.0, 7200.0])
def test_after_the_daily_quota_nothing_is_asked_until_midnight_in_new_york(hour: float) -> None:
    made = adapter()
    poll(made)
    (fault,) = made.decode(json.dumps({"Information": DAILY}), NOW + hour)
    assert isinstance(fault, ProviderFault)
    assert fault.retry_after is not None
    # Up to a minute more, by the fraction of the second: not all of the world comes at the same moment.
    midnight = new_york("2024-10-31T00:00:00-04:00") - NOW - hour
    assert fault.retry_after == pytest.approx(midnight + 15.0)
    assert isinstance(made.next_poll(1.0), float)
    assert isinstance(made.next_poll(0.9 + fault.retry_after), float)
    assert poll(made, 1.0 + fault.retry_after).symbols == ("IBM",)


def test_midnight_is_right_on_the_day_on_which_the_clocks_change() -> None:
    made = adapter()
    poll(made)
    at = new_york("2024-11-03T00:30:00-04:00")
    (fault,) = made.decode(json.dumps({"Information": DAILY}), at)
    assert isinstance(fault, ProviderFault)
    assert fault.retry_after == 24.5 * 3600


def test_pauses_grow_while_nothing_useful_is_answered_and_are_short_again_after() -> None:
    made = adapter()
    now, pauses = 0.0, []
    for text in [BURST] * 6:
        poll(made, now)
        (fault,) = made.decode(json.dumps({"Information": text}), NOW)
        assert isinstance(fault, ProviderFault)
        assert fault.retry_after is not None
        assert isinstance(made.next_poll(now), float)
        assert isinstance(made.next_poll(now + fault.retry_after - 0.1), float)
        now += fault.retry_after
        pauses.append(fault.retry_after)
    assert pauses == [5.0, 20.0, 80.0, 320.0, 1280.0, 3600.0]
    poll(made, now)
    made.decode(json.dumps(single()), NOW)
    poll(made, now + 1)
    (fault,) = made.decode(json.dumps({"Information": BURST}), NOW)
    assert isinstance(fault, ProviderFault)
    assert fault.retry_after == 5.0


def test_a_new_connection_keeps_to_the_pause_of_the_one_before_unless_the_key_is_another() -> None:
    before = adapter()
    for now in (0.0, 5.0):
        poll(before, now)
        before.decode(json.dumps({"Information": BURST}), NOW)
        assert isinstance(before.next_poll(now), float)
    made, other = AlphaVantage(before.terms), AlphaVantage(Terms(feed="us", api_key=Secret("another-key-1234")))
    for one in (made, other):
        one.symbols.add("IBM")
        one.follow(before)
    assert isinstance(made.next_poll(24.9), float)
    poll(made, 25.0)
    (fault,) = made.decode(json.dumps({"Information": BURST}), NOW)
    assert isinstance(fault, ProviderFault)
    assert fault.retry_after == 80.0
    poll(other, 10.0)


# --- whom to ask


def test_bulk_comes_first_and_gives_way_in_silence_where_the_plan_has_none() -> None:
    for refusal in ({"Information": PREMIUM}, {"message": SAMPLE, "data": [row(close="1")]}):
        made = adapter(bulk=True)
        assert asks(poll(made)) == ("REALTIME_BULK_QUOTES", "IBM,MSFT")
        assert made.decode(json.dumps(refusal), NOW) == (Ignored("premium"),)
        assert made.next_poll(0.25) == pytest.approx(0.75)
        assert asks(poll(made, 1.0)) == ("GLOBAL_QUOTE", "IBM")
        assert made.decode(json.dumps(single()), NOW) == (tick(timestamp=CLOSE),)
        assert asks(poll(made, 2.0)) == ("GLOBAL_QUOTE", "MSFT")
        # Both have a price; the day is long, and 22 requests are left of it.
        assert isinstance(made.next_poll(3600.0), float)
        assert asks(poll(made, 4000.0)) == ("GLOBAL_QUOTE", "IBM")


def test_two_bursts_in_a_row_mean_that_the_plan_has_no_bulk_quotes() -> None:
    made = adapter(bulk=True)
    for at in (0.0, 5.0):
        assert asks(poll(made, at))[0] == "REALTIME_BULK_QUOTES"
        assert isinstance(made.decode(json.dumps({"Information": BURST}), NOW)[0], ProviderFault)
        made.next_poll(at)
    assert asks(poll(made, 25.0)) == ("GLOBAL_QUOTE", "IBM")


def test_with_bulk_quotes_all_are_asked_about_every_few_seconds() -> None:
    made = adapter(*(f"S{n}" for n in range(250)), bulk=True)
    counts = []
    now = 0.0
    while now < 30.0:
        request = made.next_poll(now)
        if isinstance(request, float):
            now += request
            continue
        counts.append(len(request.symbols))
        made.decode(json.dumps(rows(*(row(symbol=symbol) for symbol in request.symbols))), NOW)
    assert max(counts) == 100
    assert 15 <= len(counts) <= 30


def test_who_has_an_entitlement_is_asked_about_as_often_as_a_paid_plan_allows() -> None:
    made = adapter(endpoint="https://www.alphavantage.co/query?entitlement=delayed")
    request = poll(made)
    assert parse_qs(urlsplit(request.url).query)["entitlement"] == ["delayed"]
    times = []
    now = 0.0
    while now < 60.0:
        found = made.next_poll(now)
        if isinstance(found, float):
            now += found
        else:
            times.append(now)
    assert 20 <= len(times) <= 60


@pytest.mark.parametrize("refusal", [{"Global Quote": {}}, {"Error Message": INVALID}])
def test_a_refused_symbol_is_named_and_not_asked_about_again(refusal: dict[str, object]) -> None:
    made = adapter()
    poll(made)
    (fault,) = made.decode(json.dumps(refusal), NOW)
    assert isinstance(fault, ProviderFault)
    assert (fault.kind, fault.symbol) == (FaultKind.SYMBOL_REJECTED, "IBM")
    assert [poll(made, at).symbols for at in (1.0, 5000.0, 10000.0)] == [("msft",)] * 3
    made.symbols.remove("IBM")
    assert isinstance(made.next_poll(10000.0), float)
    made.symbols.add("IBM")
    assert poll(made, 10001.0).symbols == ("IBM",)


def test_whom_bulk_quotes_leave_out_is_asked_about_alone() -> None:
    made = adapter("IBM", "TSCO.LON", bulk=True)
    assert asks(poll(made, 0.0)) == ("REALTIME_BULK_QUOTES", "IBM,TSCO.LON")
    made.decode(json.dumps(rows(row())), NOW)
    assert asks(poll(made, 1.0)) == ("GLOBAL_QUOTE", "TSCO.LON")
    assert answer(single(symbol="TSCO.LON"), made)[0] == tick("TSCO.LON", timestamp=CLOSE)
    made = adapter("IBM", "NOPE", bulk=True)
    poll(made, 0.0)
    made.decode(json.dumps(rows(row())), NOW)
    poll(made, 1.0)
    (fault,) = made.decode(json.dumps({"Global Quote": {}}), NOW)
    assert isinstance(fault, ProviderFault)
    assert fault.symbol == "NOPE"
    assert asks(poll(made, 6.0)) == ("REALTIME_BULK_QUOTES", "IBM")


def test_a_symbol_that_spoils_a_bulk_request_is_found_by_asking_alone() -> None:
    made = adapter("IBM", bulk=True)
    poll(made, 0.0)
    made.decode(json.dumps(rows(row())), NOW)
    made.symbols.add("B@D")
    assert asks(poll(made, 1.0)) == ("REALTIME_BULK_QUOTES", "B%40D,IBM".replace("%40", "@"))
    assert made.decode(json.dumps({"Error Message": INVALID}), NOW) == (Ignored("invalid api call"),)
    assert asks(poll(made, 2.0)) in (("GLOBAL_QUOTE", "B@D"), ("REALTIME_BULK_QUOTES", "IBM"))
    assert asks(poll(made, 3.0)) in (("GLOBAL_QUOTE", "B@D"), ("REALTIME_BULK_QUOTES", "IBM"))
    # Where bulk quotes never worked, nobody knows whether a symbol was to blame.
    made = adapter("IBM", "B@D", bulk=True)
    poll(made, 0.0)
    made.decode(json.dumps({"Error Message": INVALID}), NOW)
    assert [asks(poll(made, at)) for at in (1.0, 2.0)] == [("GLOBAL_QUOTE", "IBM"), ("GLOBAL_QUOTE", "B@D")]


def test_an_unasked_answer_is_understood_as_far_as_it_goes() -> None:
    made = adapter()
    assert made.decode(json.dumps(single()), NOW) == (tick(timestamp=CLOSE),)
    assert made.decode(b'{"Global Quote": {}}', NOW) == (
        ProviderFault(FaultKind.SYMBOL_REJECTED, "the provider has no quote of it"),
    )
    assert made.decode(b'{"news": []}', NOW) == (Ignored("news"),)
    assert made.decode(b"{}", NOW) == (Ignored(""),)


def test_nothing_is_asked_about_nobody() -> None:
    made = AlphaVantage()
    assert isinstance(made.next_poll(0.0), float)
    assert not [*made.encode_subscribe(["IBM"]), *made.encode_unsubscribe(["IBM"]), *made.on_open()]
    assert made.connect_params().url == "https://www.alphavantage.co/query"


def test_without_a_key_none_is_sent() -> None:
    made = AlphaVantage(Terms(endpoint="http://127.0.0.1:8080/query"))
    made.symbols.add("IBM")
    assert poll(made).url == "http://127.0.0.1:8080/query?function=REALTIME_BULK_QUOTES&symbol=IBM"
    (fault,) = made.decode(json.dumps({"Information": NO_KEY}), NOW)
    assert isinstance(fault, ProviderFault)
    assert fault.message == NO_KEY


def test_a_symbol_that_cannot_be_asked_about_is_refused() -> None:
    made = adapter()
    assert made.refusal("BRK.B") is None
    assert made.refusal("A,B") == "a symbol cannot hold a comma"
    assert made.refusal(" ") == "an empty symbol"
    assert made.refusal("EUR/USD") is not None


names = st.sampled_from(
    [
        *("Global Quote", "Information", "Error Message", "Note", "message", "data", "01. symbol", "05. price"),
        *("06. volume", "07. latest trading day", "symbol", "close", "timestamp", "volume", "extended_hours_quote"),
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["IBM", "1.5", "2024-10-30", "2024-10-30 19:59:57", "success", PREMIUM, DAILY, BURST, INVALID]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(st.dictionaries(names, values, max_size=5) | values, min_size=1, max_size=4))
def test_decode_never_raises_and_the_polls_go_on(bodies: list[object]) -> None:
    made = adapter(bulk=True)
    for at, body in enumerate(bodies):
        made.next_poll(at * 1e5)
        for message in made.decode(json.dumps(body), NOW):
            assert isinstance(message, Message)
            if isinstance(message, Tick):
                assert 0.0 < message.price < PRICE_LIMIT
                assert math.isfinite(message.timestamp)
    later = 1e9
    made.next_poll(later)
    assert isinstance(made.next_poll(later + 200_000), HttpRequest | float)

"""What a server like IEX Cloud says becomes what the house says; what cannot be a tick is refused by its reason."""

from __future__ import annotations

import json
import math
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.secret import Secret, redact
from pricestreamd.model.tick import PRICE_LIMIT, Tick
from pricestreamd.providers.base import FaultKind, Heartbeat, Ignored, Message, ProviderFault, Rejected, Terms
from pricestreamd.providers.iex import PROFILE, Iex

NOW = 1_704_906_300.5
KEY = "pk_canary+key/99"


def adapter(*symbols: str, **terms: Any) -> Iex:
    made = Iex(Terms(feed="us", api_key=Secret(KEY), **terms))
    for symbol in symbols or ("SPY", "aapl"):
        made.symbols.add(symbol)
    return made


def quote(**fields: object) -> dict[str, object]:
    found = {"symbol": "SPY", "latestPrice": 474.73, "latestUpdate": 1704906277470, **fields}
    return {key: value for key, value in found.items() if value is not ...}


def frame(*quotes: object) -> bytes:
    return json.dumps(quotes or [quote()]).encode()


def one(data: bytes | str, made: Iex | None = None) -> Message:
    (message,) = (made or adapter()).decode(data, NOW)
    return message


def tick(symbol: str = "SPY", price: float = 474.73, timestamp: float = 1704906277.47, **more: Any) -> Tick:
    return Tick(symbol=symbol, price=price, timestamp=timestamp, received_at=NOW, feed="us", **more)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, tick()),
        ({"latestVolume": 35_511_522, "currency": "USD"}, tick(volume=35511522.0, currency="USD")),
        ({"latestVolume": None, "currency": None}, tick()),
        ({"latestVolume": True, "currency": 5}, tick()),
        ({"latestPrice": 475}, tick(price=475.0)),
        ({"symbol": " spy"}, tick()),
        ({"companyName": "Żółw"}, tick()),
        # `latestPrice` is the provider's own choice, whatever stands beside it.
        ({"iexRealtimePrice": 1, "extendedPrice": 2, "delayedPrice": 0, "close": 3}, tick()),
        # An old price is old, and no fault.
        ({"latestUpdate": 1693512000000}, tick(timestamp=1693512000.0)),
        # No price of its own, or the sentinel for none: the last trade on IEX.
        ({"latestPrice": None, "iexRealtimePrice": 474.5, "iexLastUpdated": 1704906200000}, tick(price=474.5, timestamp=1704906200.0)),
        ({"latestPrice": ..., "iexRealtimePrice": 474.5, "iexLastUpdated": 1704906200000}, tick(price=474.5, timestamp=1704906200.0)),
        ({"latestPrice": 0, "iexRealtimePrice": 474.5, "iexLastUpdated": 1704906200000}, tick(price=474.5, timestamp=1704906200.0)),
        ({"latestPrice": -1, "iexRealtimePrice": 474.5, "iexLastUpdated": -1}, tick(price=474.5, timestamp=NOW)),
        # No time from the provider: the two times are equal.
        ({"latestUpdate": None}, tick(timestamp=NOW)),
        ({"latestUpdate": ...}, tick(timestamp=NOW)),
        ({"latestUpdate": 0}, tick(timestamp=NOW)),
        ({"latestUpdate": -1}, tick(timestamp=NOW)),
    ],
)  # fmt: skip
def test_a_quote_becomes_a_tick(fields: dict[str, object], expected: Tick) -> None:
    data = frame(quote(**fields))
    assert one(data) == expected
    assert one(data.decode()) == expected
    assert one(data[1:-1]) == expected  # an object without its array


def test_control_characters_are_dropped_before_anything_is_read() -> None:
    data = frame(quote(companyName="SSgA", currency="USD"))
    for spoiled in (
        data.replace(b"SSgA", b"SS\x01g\nA\x1f"),
        b"\x00" + data,
        data + b"\x00",
        data.replace(b":", b":\x02"),
    ):
        assert one(spoiled) == one(spoiled.decode()) == tick(currency="USD")


def test_an_array_holds_any_number_of_quotes_and_one_bad_one_spoils_none() -> None:
    data = frame(quote(), quote(symbol="MSFT"), quote(latestPrice=None), None, quote(symbol="AAPL", latestPrice=185.5))
    assert adapter().decode(data, NOW) == [
        tick(),
        Rejected("unknown_symbol"),
        Rejected("missing"),
        Rejected("type"),
        tick("aapl", 185.5),
    ]
    assert adapter().decode(b"[]", NOW) == (Heartbeat(),)


def test_a_quote_that_was_told_before_is_a_sign_of_life() -> None:
    made = adapter()
    assert one(frame(), made) == tick()
    assert one(frame(), made) == Heartbeat()
    assert one(frame(quote(iexBidPrice=5)), made) == Heartbeat()
    assert one(frame(quote(symbol="AAPL")), made) == tick("aapl")
    assert one(frame(quote(latestPrice=474.74)), made) == tick(price=474.74)
    assert one(frame(quote(latestPrice=474.74, latestUpdate=1704906277471)), made) == tick(
        price=474.74, timestamp=1704906277.471
    )
    assert one(frame(quote(latestPrice=1.5, latestUpdate=None)), made) == tick(price=1.5, timestamp=NOW)
    assert one(frame(quote(latestPrice=1.5, latestUpdate=None)), made) == Heartbeat()


def test_a_spoiled_neighbour_costs_no_tick() -> None:
    made = adapter()
    assert adapter().decode(frame(quote(), quote(symbol="AAPL", latestPrice="1")), NOW) == [tick(), Rejected("type")]
    assert made.decode(frame(quote(), quote(symbol="AAPL", latestPrice=2)), NOW) == [tick(), tick("aapl", 2.0)]


def test_a_price_is_read_exactly() -> None:
    for text in ("0.1", "191.45", "28326.800000000003", "0.00001234", "1e-7", "123456789.123456789"):
        message = one(frame().replace(b"474.73", text.encode()))
        assert isinstance(message, Tick)
        assert message.price == float(text)


DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "json"),
        (b"[", "json"),
        (b"nonsense", "json"),
        (frame() + b"x", "json"),
        (DEEP, "json"),
        (b"\xef\xbb\xbf" + frame(), "json"),
        (frame().replace(b"474.73", b"01"), "json"),
        (frame().replace(b"474.73", b"9" * 5000), "json"),
        (frame(quote(close=1.5)).replace(b"1.5", b"NaN"), "json"),
        (b"\xff\xfe", "utf8"),
        (frame().replace(b"SPY", b"SP\xff"), "utf8"),
        (frame().replace(b"474.73", b"NaN"), "not_finite"),
        (frame().replace(b"474.73", b"-Infinity"), "not_finite"),
        (frame().replace(b"474.73", b"1e400"), "not_finite"),
        (frame().replace(b"474.73", b"NaN").replace(b"SPY", b"S\x01PY"), "not_finite"),
        (frame(quote(latestPrice="nan")), "not_finite"),
        (frame(quote(latestPrice=0)), "not_positive"),
        (frame(quote(latestPrice=-1)), "not_positive"),
        (frame(quote(latestPrice=0, iexRealtimePrice=0)), "not_positive"),
        (frame(quote(latestPrice=-1, iexRealtimePrice=None)), "not_positive"),
        (frame(quote(latestPrice="474.73")), "type"),
        (frame(quote(latestPrice=True)), "type"),
        (frame(quote(latestPrice=2**64)), "type"),
        (frame(quote(latestPrice=[1])), "type"),
        (frame(quote(latestUpdate="today")), "type"),
        (frame(quote(latestUpdate=[5])), "type"),
        (frame(quote(symbol=5)), "type"),
        (b"null", "type"),
        (b'"text"', "type"),
        (b"5", "type"),
        (b"[[]]", "type"),
        (frame(quote(latestPrice=None)), "missing"),
        (frame(quote(latestPrice=...)), "missing"),
        (frame(quote(latestPrice=None, iexRealtimePrice=0)), "missing"),
        (frame(quote(symbol=None)), "missing"),
        (frame({"latestPrice": 5}), "missing"),
        (frame(quote(symbol="MSFT")), "unknown_symbol"),
        (frame(quote(symbol="")), "unknown_symbol"),
        (frame(quote(symbol="A" * 10_000)), "unknown_symbol"),
        (frame(quote(symbol="Ω≈ç")), "unknown_symbol"),
    ],
)
def test_what_cannot_be_a_tick_is_rejected_by_its_reason(data: bytes, reason: str) -> None:
    assert one(data) == Rejected(reason)  # type: ignore[arg-type]


def test_a_text_that_no_encoding_holds_is_rejected() -> None:
    assert one('[{"symbol":"\ud800"}]') == Rejected("utf8")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"error": f"no stream for {KEY}"}, ProviderFault(FaultKind.TRANSIENT, "no stream for ***")),
        ({"message": "busy"}, ProviderFault(FaultKind.TRANSIENT, "busy")),
        ({"message": 5, "x": 1}, Ignored("message")),
        ({}, Ignored("")),
        ({"n" * 1000: 1}, Ignored("n" * 200)),
    ],
)
def test_an_object_that_is_no_quote_is_what_it_says(value: object, expected: Message) -> None:
    assert one(json.dumps(value)) == expected


def test_key_and_symbols_are_in_the_address_and_show_nowhere() -> None:
    made = adapter("SPY", "brk.b", "A&B=C")
    params = made.connect_params()
    parts = urlsplit(params.url)
    assert params.url.startswith("https://cloud-sse.iexapis.com/stable/stocksUSNoUTP?")
    assert parse_qs(parts.query) == {"token": [KEY], "symbols": ["spy,brk.b,a&b=c"]}
    assert params.headers == {}
    for text in (repr(params), repr(made), redact(params.url), redact(f"GET {params.url} failed"), redact(parts.query)):
        assert "canary" not in text


def test_an_address_of_ones_own_keeps_its_query_and_needs_no_key() -> None:
    made = Iex(Terms(endpoint="http://127.0.0.1:8080/sse?nosnapshot=true"))
    made.symbols.add("SPY")
    assert made.connect_params().url == "http://127.0.0.1:8080/sse?nosnapshot=true&symbols=spy"


def test_fifty_symbols_of_any_kind_that_is_accepted_fit_into_one_address() -> None:
    cap, limit = PROFILE.max_symbols_per_connection or 0, PROFILE.max_request_bytes or 0
    for endpoint in (None, "https://example.org/" + "x" * 300):
        made = Iex(Terms(api_key=Secret(KEY), endpoint=endpoint))
        longest = max(n for n in range(100) if made.refusal("X" * n) is None)
        assert longest > 25
        for n in range(cap):
            made.symbols.add(f"{n:0{longest}}")
        assert limit - cap <= len(made.connect_params().url) <= limit
        assert made.refusal("Ω" * longest) is not None


def test_a_symbol_that_cannot_be_said_is_refused() -> None:
    made = adapter()
    assert made.refusal("AAPL") is None
    assert made.refusal("A,B") == "a symbol cannot hold a comma"
    assert made.refusal("  ") == "an empty symbol"
    assert made.refusal("A" * 1000) == "too long for the address"


def test_nothing_is_ever_sent() -> None:
    made = adapter()
    assert not [*made.encode_subscribe(["SPY"]), *made.encode_unsubscribe(["SPY"]), *made.on_open()]
    assert made.keepalive() is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, FaultKind.AUTH),
        (402, FaultKind.ENTITLEMENT),
        (403, FaultKind.AUTH),
        (404, FaultKind.TRANSIENT),
        (414, FaultKind.OVER_CAP),
        (429, FaultKind.RATE_LIMITED),
        (503, FaultKind.TRANSIENT),
    ],
)
def test_a_refused_connection_is_classified_by_its_status(status: int, kind: FaultKind) -> None:
    assert adapter().classify_handshake(status, f"token {KEY}") == ProviderFault(kind, "token ***")


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("SPY")
fields = st.sampled_from(
    ["symbol", "latestPrice", "latestUpdate", "latestVolume", "currency", "iexRealtimePrice", "iexLastUpdated"]
)


@given(st.lists(st.dictionaries(fields, values, max_size=7) | values, max_size=4))
def test_decode_never_raises_on_any_array(quotes: list[object]) -> None:
    messages = adapter().decode(json.dumps(quotes), NOW)
    assert len(messages) == max(1, len(quotes)) or messages in ((Rejected("json"),), (Rejected("not_finite"),))
    for message in messages:
        assert isinstance(message, Message)
        if isinstance(message, Tick):
            assert 0.0 < message.price < PRICE_LIMIT
            assert math.isfinite(message.timestamp)
            assert message.volume is None or math.isfinite(message.volume)

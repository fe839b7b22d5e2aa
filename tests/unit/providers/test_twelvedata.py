"""What Twelve Data says becomes what the house says; what cannot be a tick is refused by its reason (D1 to D8, D10)."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pricestreamd.model.secret import Secret
from pricestreamd.model.tick import PRICE_LIMIT, Tick
from pricestreamd.providers.base import Ack, FaultKind, Heartbeat, Ignored, Message, ProviderFault, Rejected, Terms
from pricestreamd.providers.twelvedata import PROFILE, TwelveData

NOW = 1_700_000_000.5


def adapter(*symbols: str) -> TwelveData:
    made = TwelveData(Terms(feed="us", api_key=Secret("canary-key-77")))
    for symbol in symbols or ("AAPL", "BTC/USD"):
        made.symbols.add(symbol)
    return made


def price(**fields: object) -> bytes:
    frame = {"event": "price", "symbol": "AAPL", "price": 164.13, "timestamp": 1680286328, **fields}
    return json.dumps({key: value for key, value in frame.items() if value is not ...}).encode()


def one(data: bytes | str, made: TwelveData | None = None) -> Message:
    (message,) = (made or adapter()).decode(data, NOW)
    return message


def tick(symbol: str = "AAPL", price: float = 164.13, timestamp: float = 1680286328.0, **more: Any) -> Tick:
    return Tick(symbol=symbol, price=price, timestamp=timestamp, received_at=NOW, feed="us", **more)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (price(), tick()),
        (price(day_volume=29666927, currency="USD"), tick(volume=29666927.0, currency="USD")),
        (price(price=1), tick(price=1.0)),
        (price(price=1e-9), tick(price=1e-9)),
        (price(price=5e-324), tick(price=5e-324)),
        (price(price=0.1 + 0.2), tick(price=0.1 + 0.2)),
        (price(symbol=" aapl\t"), tick()),
        (price(symbol="BTC/USD", exchange="Binance"), tick(symbol="BTC/USD")),
        # No time from the provider: the two times are equal. Old times are no fault, and zero is old.
        (price(timestamp=...), tick(timestamp=NOW)),
        (price(timestamp=None), tick(timestamp=NOW)),
        (price(timestamp=0), tick(timestamp=0.0)),
        (price(timestamp=1680286328.25), tick(timestamp=1680286328.25)),
        # What stands beside the price is not worth losing it for.
        (price(day_volume=None, currency=None), tick()),
        (price(day_volume="many", currency=5), tick()),
        (price(day_volume=True), tick()),
        (price(day_volume=10**400), tick()),
        (price(unheard_of={"a": [1, 2, {"b": None}]}), tick()),
        (price(currency_base="Żółw"), tick()),
        (price(currency_base="\ud83d\ude00"), tick()),
    ],
)
def test_a_price_becomes_a_tick(data: bytes, expected: Tick) -> None:
    assert one(data) == expected
    assert one(data.decode()) == expected


def test_a_price_of_another_market_is_unknown_once_the_wanted_one_was_acknowledged() -> None:
    made = adapter("RY:TSX")
    new_york = price(symbol="RY", exchange="NYSE", mic_code="XNYS")
    assert one(new_york, made) == tick("RY:TSX")  # nothing is known yet: it is the only RY
    answer = {"event": "subscribe-status", "status": "ok", "success": [{"symbol": "RY", "exchange": "TSX"}]}
    assert one(json.dumps(answer), made) == Ack(("RY:TSX",))
    assert one(new_york, made) == Rejected("unknown_symbol")
    for place in ({}, {"exchange": "TSX", "mic_code": "XTSE"}, {"mic_code": None}, {"exchange": 5}):
        assert one(price(symbol="RY", **place), made) == tick("RY:TSX")


def test_a_price_is_read_exactly() -> None:
    for text in ("0.1", "191.45", "28326.800000000003", "0.00001234", "1e-7", "123456789.123456789"):
        message = one(price().replace(b"164.13", text.encode()))
        assert isinstance(message, Tick)
        assert message.price == float(text)


def test_equal_timestamps_are_not_duplicates() -> None:
    made = adapter()
    assert [one(price(price=p), made) for p in (1.0, 1.0, 2.0)] == [tick(price=p) for p in (1.0, 1.0, 2.0)]


NESTED = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        # D1
        (b"", "json"),
        (b" ", "json"),
        (b"{", "json"),
        (b'{"event":"price"', "json"),
        (b"nonsense", "json"),
        (price() + b"x", "json"),
        (price() + price(), "json"),
        (price() + b"\x00", "json"),
        (b"\xef\xbb\xbf" + price(), "json"),
        (NESTED, "json"),
        (b"[" * 100_000, "json"),
        (price().replace(b"164.13", NESTED), "json"),
        (price()[:-1] + b',"x":' + NESTED + b"}", "json"),
        (price().replace(b"164.13", b"01"), "json"),
        (price().replace(b"164.13", b"1."), "json"),
        (price().replace(b"AAPL", b"\\ud800"), "json"),
        (price()[:-1] + b',"bid":NaN}', "json"),
        # W6
        (b"\xff\xfe", "utf8"),
        (price().replace(b"AAPL", b"AA\xff"), "utf8"),
        (price(currency_base="name").replace(b"name", b"n\xc3me"), "utf8"),
        (price().replace(b"AAPL", b"\xed\xa0\x80"), "utf8"),
        # D2
        (price().replace(b"164.13", b"NaN"), "not_finite"),
        (price().replace(b"164.13", b"Infinity"), "not_finite"),
        (price().replace(b"164.13", b"-Infinity"), "not_finite"),
        (price().replace(b"164.13", b"1e400"), "not_finite"),
        (price().replace(b"164.13", b"-1e400"), "not_finite"),
        (price(price="nan"), "not_finite"),
        (price(price="inf"), "not_finite"),
        (price(price="-Infinity"), "not_finite"),
        # D3
        (price(price=0), "not_positive"),
        (price(price=0.0), "not_positive"),
        (price(price=-0.0), "not_positive"),
        (price(price=-1.5), "not_positive"),
        (price(price=-(10**30)), "not_positive"),
        (price().replace(b"164.13", b"1e-400"), "not_positive"),
        # D5: this protocol writes prices as numbers
        (price(price="191.45"), "type"),
        (price(price="1,234.5"), "type"),
        (price(price=""), "type"),
        # D6
        (price(price=True), "type"),
        (price(price=False), "type"),
        (price(price=2**64), "type"),
        (price(price=float(2**64)), "type"),
        (price(price=10**30), "type"),
        (price().replace(b"164.13", b"9" * 5000), "json"),
        (price(price=[1]), "type"),
        (price(price={"a": 1}), "type"),
        (price(price=None), "missing"),
        (price(price=...), "missing"),
        (price(symbol=None), "missing"),
        (price(symbol=...), "missing"),
        (price(symbol=5), "type"),
        (price(timestamp="today"), "type"),
        (price(timestamp=True), "type"),
        (b'{"symbol":"AAPL","price":1}', "missing"),
        (b"[]", "type"),
        (b'"text"', "type"),
        (b"null", "type"),
        (b"5", "type"),
        # D7
        (price(symbol="MSFT"), "unknown_symbol"),
        (price(symbol=""), "unknown_symbol"),
        (price(symbol="A" * 10_000), "unknown_symbol"),
        (price(symbol="<script>alert(1)</script>"), "unknown_symbol"),
        (price(symbol="Ω≈ç√∫µ≤≥÷"), "unknown_symbol"),
        (price(symbol="AAPL\u0000"), "unknown_symbol"),
    ],
)
def test_what_cannot_be_a_tick_is_rejected_by_its_reason(data: bytes, reason: str) -> None:
    assert one(data) == Rejected(reason)  # type: ignore[arg-type]


def test_a_price_just_below_the_limit_is_a_price() -> None:
    below = math.nextafter(PRICE_LIMIT, 0)
    assert one(price(price=below)) == tick(price=below)


def test_a_text_that_no_encoding_holds_is_rejected() -> None:
    assert one('{"event":"price","symbol":"\ud800"}') == Rejected("utf8")


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"status": "ok", "success": [{"symbol": "AAPL", "exchange": "NASDAQ"}], "fails": []}, Ack(("AAPL",))),
        ({"status": "ok", "success": [{"symbol": "AAPL"}], "fails": None}, Ack(("AAPL",))),
        ({"status": "ok", "success": [{"symbol": "AAPL"}]}, Ack(("AAPL",))),
        ({"status": "ok", "success": ["aapl", "BTC/USD"]}, Ack(("AAPL", "BTC/USD"))),
        (
            {"status": "warning", "success": [{"symbol": "AAPL"}], "fails": [{"symbol": "BTC/USD", "message": "no"}]},
            Ack(("AAPL",), {"BTC/USD": "no"}),
        ),
        ({"status": "warning", "success": None, "fails": ["BTC/USD"]}, Ack((), {"BTC/USD": "refused by the provider"})),
        ({"status": "error", "fails": [{"symbol": "AAPL"}]}, Ack((), {"AAPL": "refused by the provider"})),
        ({"status": "warning", "success": [], "fails": [{"symbol": "1211", "message": "not ours"}]}, Ack()),
        ({"status": "ok", "success": [5, None, {}, {"symbol": 7}], "fails": [5, None, {}]}, Ack()),
        ({"status": "ok", "success": "AAPL", "fails": "x"}, Ack()),
        ({}, Ack()),
        (
            {"status": "error", "messages": ["Cant parse message"]},
            ProviderFault(FaultKind.TRANSIENT, "Cant parse message"),
        ),
        ({"status": "error"}, ProviderFault(FaultKind.TRANSIENT, "an error without a text")),
        ({"status": "error", "messages": ["bad API key"]}, ProviderFault(FaultKind.AUTH, "bad API key")),
    ],
)
def test_every_shape_of_a_subscribe_status_is_understood(frame: dict[str, object], expected: Message) -> None:
    assert one(json.dumps({"event": "subscribe-status", **frame})) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"event": "heartbeat", "status": "ok"}, Heartbeat()),
        ({"event": "heartbeat", "price": None}, Heartbeat()),
        ({"event": "unsubscribe-status", "status": "ok", "success": [{"symbol": "AAPL"}]}, Ack(unsubscribed=("AAPL",))),
        ({"event": "unsubscribe-status", "status": "ok"}, Ack()),
        ({"event": "reset-status", "status": "ok"}, Ignored("reset-status")),
        ({"event": "news", "text": "x"}, Ignored("news")),
        ({"event": "x" * 1000}, Ignored("x" * 200)),
        ({"event": ["odd"]}, Ignored("['odd']")),
        ({}, Ignored("None")),
        ({"event": "error", "message": "boom", "code": 500}, ProviderFault(FaultKind.TRANSIENT, "boom")),
        ({"event": "error", "message": "who?", "code": 401}, ProviderFault(FaultKind.AUTH, "who?")),
        ({"event": "error", "message": "plan", "code": 403}, ProviderFault(FaultKind.ENTITLEMENT, "plan")),
        (
            {"status": "error", "message": "Invalid apikey: canary-key-77"},
            ProviderFault(FaultKind.AUTH, "Invalid apikey: ***"),
        ),
        (
            {"event": "error", "message": "Too many requests"},
            ProviderFault(FaultKind.RATE_LIMITED, "Too many requests"),
        ),
        (
            {"event": "error", "message": "too many connections"},
            ProviderFault(FaultKind.CONNECTION_LIMIT, "too many connections"),
        ),
        (
            {"event": "error", "message": "out of credits"},
            ProviderFault(FaultKind.OVER_CAP, "out of credits"),
        ),
    ],
)
def test_other_messages_are_what_they_say(frame: dict[str, object], expected: Message) -> None:
    assert one(json.dumps(frame)) == expected


def test_the_venue_tells_two_wanted_symbols_of_one_base_apart() -> None:
    made = adapter("RY", "RY:TSX")
    assert one(price(symbol="RY", exchange="TSX", mic_code="XTSE"), made) == tick(symbol="RY:TSX")
    assert one(price(symbol="RY", exchange="NYSE"), made) == tick(symbol="RY")
    assert one(price(symbol="RY:TSX"), made) == tick(symbol="RY:TSX")


def test_a_symbol_keeps_its_configured_spelling() -> None:
    made = adapter("RY:TSX", "btc/usd:Huobi")
    assert one(price(symbol="RY"), made) == tick(symbol="RY:TSX")
    assert one(price(symbol="BTC/USD", exchange="Huobi"), made) == tick(symbol="btc/usd:Huobi")
    assert made.from_native("BTC/USD", "Huobi") == "btc/usd:Huobi"
    assert made.to_native("btc/usd:Huobi") == "BTC/USD:HUOBI"


def test_the_key_travels_in_a_header_and_shows_nowhere() -> None:
    params = adapter().connect_params()
    assert params.headers["X-TD-APIKEY"].reveal() == "canary-key-77"
    assert "canary" not in params.url
    assert "canary" not in repr(params)
    assert TwelveData(Terms()).connect_params().headers == {}
    assert TwelveData(Terms(endpoint="ws://127.0.0.1:1/x")).connect_params().url == "ws://127.0.0.1:1/x"


def test_requests_are_one_comma_list() -> None:
    made = adapter()
    (request,) = made.encode_subscribe(["aapl", "RY:TSX"])
    assert json.loads(request.text) == {"action": "subscribe", "params": {"symbols": "AAPL,RY:TSX"}}
    assert request.symbols == ("aapl", "RY:TSX")
    (request,) = made.encode_unsubscribe(["AAPL"])
    assert json.loads(request.text)["action"] == "unsubscribe"
    assert made.encode_subscribe([]) == made.encode_unsubscribe([]) == []
    assert json.loads(made.keepalive() or "") == {"action": "heartbeat"}
    assert made.on_open() == ()


def test_no_request_is_larger_than_the_provider_takes() -> None:
    symbols = [f'{"Ω" * 40}"{n}' for n in range(30_000)]
    requests = adapter().encode_subscribe(symbols)
    assert len(requests) > 1
    assert all(len(request.text.encode()) < (PROFILE.max_request_bytes or 0) for request in requests)
    assert [symbol for request in requests for symbol in request.symbols] == symbols


def test_a_symbol_that_cannot_be_said_is_refused() -> None:
    made = adapter()
    assert made.refusal("AAPL") is None
    assert made.refusal("A,B") is not None
    assert made.refusal("  ") is not None


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (401, "", FaultKind.AUTH),
        (403, "", FaultKind.ENTITLEMENT),
        (400, "missing or invalid API key", FaultKind.AUTH),
        (400, "", FaultKind.TRANSIENT),
        (404, "not here", FaultKind.TRANSIENT),
        (429, "", FaultKind.RATE_LIMITED),
        (502, "<html>", FaultKind.TRANSIENT),
        (503, "cannot check your API key now", FaultKind.TRANSIENT),
        (200, "<html>log in to see your API key", FaultKind.TRANSIENT),
    ],
)
def test_a_refused_upgrade_is_classified(status: int, text: str, kind: FaultKind) -> None:
    assert adapter().classify_handshake(status, text).kind is kind


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("", None),
        ("bye", None),
        ("invalid api key", FaultKind.AUTH),
        ("too many connections", FaultKind.CONNECTION_LIMIT),
    ],
)
def test_a_close_is_classified_by_its_text(reason: str, kind: FaultKind | None) -> None:
    fault = adapter().classify_close(1008, reason)
    assert (fault.kind if fault else None) is kind


# --- after a gap


def test_the_last_prices_are_asked_for_eight_at_a_time_with_a_header_of_their_own() -> None:
    made = adapter()
    symbols = [f"S{n}" for n in range(17)]
    requests = made.backfill(["EUR/USD", "ry:tsx", *symbols])
    assert [len(request.symbols) for request in requests] == [8, 8, 3]
    assert [symbol for request in requests for symbol in request.symbols] == ["EUR/USD", "ry:tsx", *symbols]
    assert requests[0].url == "https://api.twelvedata.com/price?symbol=EUR/USD,RY:TSX,S0,S1,S2,S3,S4,S5"
    assert requests[0].headers["Authorization"].reveal() == "apikey canary-key-77"
    assert "canary" not in repr(requests)
    assert made.backfill([]) == []


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (None, "https://api.twelvedata.com/price?symbol=AAPL"),
        ("wss://ws.twelvedata.com/v1/quotes/price?apikey=k", "https://api.twelvedata.com/price?apikey=k&symbol=AAPL"),
        ("wss://prices.example.org:8443/feed", "https://prices.example.org:8443/price?symbol=AAPL"),
        ("ws://127.0.0.1:9778/v1/quotes/price", "http://127.0.0.1:9778/price?symbol=AAPL"),
    ],
)
def test_the_last_prices_are_asked_for_where_the_stream_comes_from(endpoint: str | None, url: str) -> None:
    (request,) = TwelveData(Terms(endpoint=endpoint)).backfill(["AAPL"])
    assert (request.url, request.headers) == (url, {})


def test_more_symbols_than_anybody_would_wait_for_are_not_asked_for() -> None:
    assert len(adapter().backfill([f"S{n}" for n in range(120)])) == 15
    assert adapter().backfill([f"S{n}" for n in range(121)]) == ()


def late(symbol: str, price: float) -> Tick:
    return Tick(symbol, price, 1_700_000_000.0, NOW, feed="us", late=True)


def test_last_prices_are_late_and_in_the_second_in_which_they_came() -> None:
    made = adapter("aapl", "RY:TSX", "X", "Y", "Z")
    (one_symbol,) = made.backfill(["aapl"])
    assert made.decode_backfill(one_symbol, b'{"price":"200.99"}', NOW) == [late("aapl", 200.99)]
    assert made.decode_backfill(one_symbol, b'{"AAPL":{"price":"200.99"}}', NOW) == [late("aapl", 200.99)]
    (several,) = made.backfill(["aapl", "RY:TSX", "X", "Y", "Z", "GONE"])
    body = {
        "RY": {"price": 120.5},
        "AAPL": {"price": "1e-5"},
        "X": {"code": 400, "message": "**symbol** not found: X", "status": "error"},
        "Y": {"price": "0"},
        "Z": {"price": None},
        "MSFT": {"price": "5"},
        "GONE": {"price": "5"},
    }
    assert made.decode_backfill(several, json.dumps(body).encode(), NOW) == [late("RY:TSX", 120.5), late("aapl", 1e-05)]


def test_a_price_that_was_not_asked_for_is_none() -> None:
    made = adapter("AAPL", "MSFT")
    (request,) = made.backfill(["AAPL"])
    assert made.decode_backfill(request, b'{"MSFT":{"price":"5"}}', NOW) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"5",
        b'{"code":401,"message":"invalid","status":"error"}',
        b'{"price":"many"}',
        b'{"AAPL":5}',
    ],
)
def test_an_answer_without_prices_has_none(body: bytes) -> None:
    made = adapter()
    assert not made.decode_backfill(made.backfill(["AAPL"])[0], body, NOW)
    assert not made.decode_backfill(made.backfill(["AAPL", "BTC/USD"])[0], body, NOW)


@given(
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from(["AAPL", "price", "x"]), st.none() | st.text() | st.floats()).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_decoding_last_prices_never_raises(body: bytes) -> None:
    made = adapter()
    for request in (*made.backfill(["AAPL"]), *made.backfill(["AAPL", "BTC/USD"])):
        for found in made.decode_backfill(request, body, NOW):
            assert found.late
            assert 0.0 < found.price < PRICE_LIMIT


MESSAGES = (Tick, Ack, Heartbeat, ProviderFault, Rejected, Ignored)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(
    [
        "event",
        "symbol",
        "price",
        "timestamp",
        "day_volume",
        "currency",
        "exchange",
        "mic_code",
        "status",
        "success",
        "fails",
        "messages",
        "message",
        "code",
    ]
)
likely = st.sampled_from(
    ["price", "subscribe-status", "heartbeat", "error", "unsubscribe-status", "AAPL", "error", "ok", 1.5]
)
frames = st.dictionaries(fields, likely | json_values, max_size=10)


def check(data: bytes | str) -> None:
    made = adapter("AAPL", "RY", "RY:TSX")
    for message in made.decode(data, NOW):
        assert isinstance(message, MESSAGES)
        if isinstance(message, Tick):
            assert message.symbol in made.symbols
            assert 0.0 < message.price < PRICE_LIMIT
            assert math.isfinite(message.timestamp)
            assert message.volume is None or math.isfinite(message.volume)


@given(st.binary(max_size=200))
@example(b"\x00")
def test_decode_never_raises_on_any_bytes(data: bytes) -> None:
    check(data)


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_decode_never_raises_on_any_text(data: str) -> None:
    check(data)


@given(frames)
def test_decode_never_raises_on_any_frame(frame: dict[str, object]) -> None:
    check(json.dumps(frame))


@given(st.integers(0, 300), st.integers(0, 255))
def test_decode_never_raises_on_a_spoiled_price(at: int, byte: int) -> None:
    data = bytearray(price(exchange="NASDAQ", day_volume=5, currency="USD"))
    data[at % len(data)] = byte
    check(bytes(data))
    check(bytes(data[: at % len(data)]))

"""A protocol that the configuration describes: what is sent, what is taken for a price, and that nothing is raised."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.feeds.settings import FeedSettings, GenericFeedSettings, GenericHeartbeatSettings
from pricestreamd.model.secret import Secret
from pricestreamd.model.tick import Tick
from pricestreamd.providers.base import FATAL, FaultKind, Heartbeat, Ignored, Message, Rejected, Terms
from pricestreamd.providers.description import Description
from pricestreamd.providers.generic import Generic

NOW = 1_700_000_100.5
ENDPOINT = "wss://prices.example.org/v1"
PLAIN = Description(
    subscribe='{"op":"sub","symbols":["{symbols}"]}', unsubscribe='{"op":"unsub","symbols":["{symbols}"]}'
)


def adapter(said: Description | None = PLAIN, *symbols: str, endpoint: str = ENDPOINT, **terms: Any) -> Generic:
    made = Generic(Terms(feed="own", endpoint=endpoint, description=said, **terms))
    for symbol in symbols or ("AAPL", "MSFT"):
        made.symbols.add(symbol)
    return made


def decoded(frame: object, made: Generic) -> list[Message]:
    return list(made.decode(json.dumps(frame), NOW))


def tick(symbol: str = "AAPL", price: float = 1.5, timestamp: float = NOW, volume: float | None = None) -> Tick:
    return Tick(symbol, price, timestamp, NOW, volume, None, "own")


# --- what is sent


def test_the_headers_and_the_first_texts_are_secrets_until_they_are_sent() -> None:
    said = Description(
        headers={"X-Key": Secret("canary-key-0815")}, on_open=(Secret('{"auth":"canary-key-0815"}'), Secret("hello"))
    )
    made = adapter(said)
    params = made.connect_params()
    assert params.url == ENDPOINT
    assert params.headers["X-Key"].reveal() == "canary-key-0815"
    assert "canary" not in repr(params) + repr(made) + repr(said)
    assert made.on_open() == ['{"auth":"canary-key-0815"}', "hello"]


@pytest.mark.parametrize(
    ("subscribe", "texts"),
    [
        ("SUB {symbol}", ["SUB A", "SUB B"]),
        ('{"s":"{symbol}"}', ['{"s":"A"}', '{"s":"B"}']),
        ("SUB {symbols}", ["SUB A,B"]),
        ('{"s":"{symbols}"}', ['{"s":"A,B"}']),
        ('{"s":["{symbols}"]}', ['{"s":["A","B"]}']),
        ("SUB all", ["SUB all"]),
    ],
)
def test_symbols_are_asked_for_and_given_up_by_the_texts_of_the_description(subscribe: str, texts: list[str]) -> None:
    made = adapter(Description(subscribe=subscribe, unsubscribe=f"UN {subscribe}"), "A", "B")
    assert [request.text for request in made.encode_subscribe([" A ", "B"])] == texts
    assert [request.text for request in made.encode_unsubscribe(["A", "B"])] == [f"UN {text}" for text in texts]
    assert [symbol for request in made.encode_subscribe(["A", "B"]) for symbol in request.symbols] == ["A", "B"]


def test_a_long_list_is_parted() -> None:
    symbols = [f"S{n}" for n in range(250)]
    requests = adapter().encode_subscribe(symbols)
    assert [len(request.symbols) for request in requests] == [100, 100, 50]
    assert [symbol for request in requests for symbol in json.loads(request.text)["symbols"]] == symbols


def test_what_the_description_does_not_say_is_not_sent() -> None:
    made = adapter(Description(subscribe="SUB {symbols}"))
    assert made.encode_unsubscribe(["AAPL"]) == ()
    for silent in (
        adapter(Description()),
        adapter(Description(transport="sse", subscribe="SUB {symbol}")),
        adapter(None),
    ):
        assert silent.encode_subscribe(["AAPL"]) == ()
        assert silent.on_open() == []
        assert silent.keepalive() is None


def test_the_address_names_the_symbols_that_are_wanted_when_it_is_dialled() -> None:
    made = adapter(Description(transport="sse"), "A/B", "c", endpoint="https://example.org/sse?symbols={symbols}")
    assert made.connect_params().url == "https://example.org/sse?symbols=A%2FB,c"
    made.symbols.remove("A/B")
    assert made.connect_params().url == "https://example.org/sse?symbols=c"


@pytest.mark.parametrize(
    ("text", "every", "beat"),
    [("ping", 10.0, 10.0), ("ping", None, None), (None, 10.0, None), ("ping", 0.001, 0.05), ("ping", math.nan, None)],
)
def test_a_heartbeat_needs_its_text_and_its_time(text: str | None, every: float | None, beat: float | None) -> None:
    made = adapter(Description(heartbeat_text=text, heartbeat_every=every))
    assert made.profile.heartbeat_interval == beat
    assert made.keepalive() == (None if beat is None else "ping")
    if beat is not None:
        assert made.profile.control_window / beat < made.profile.control_messages / 2


@pytest.mark.parametrize(
    ("subscribe", "symbol", "refused"),
    [
        ("SUB {symbols}", "A,B", True),
        ("SUB {symbol}", "A,B", False),
        ('["{symbols}"]', "A,B", False),
        (None, "A,B", False),
        ('["{symbols}"]', 'A"B', False),
        ("SUB {symbol}", " ", True),
        ("SUB {symbol}", "A\nB", True),
        ("SUB {symbol}", "RY:TSX", False),
        ("SUB {symbol}", "Ключ", False),
    ],
)
def test_what_cannot_be_said_is_refused(subscribe: str | None, symbol: str, refused: bool) -> None:
    assert (adapter(Description(subscribe=subscribe)).refusal(symbol) is not None) == refused


# --- the profile


@pytest.mark.parametrize(
    ("said", "subscribes"),
    [
        (PLAIN, "in_band"),
        (Description(), "implicit"),
        (Description(transport="sse"), "implicit"),
        (Description(transport="sse", subscribe="SUB {symbol}"), "implicit"),
    ],
)
def test_the_profile_is_that_of_the_description(said: Description, subscribes: str) -> None:
    profile = Generic.profile_of(said)
    assert adapter(said).profile == profile
    assert profile.subscribes == subscribes
    assert profile.transport == said.transport
    assert not profile.acknowledges


def test_what_a_description_leaves_out_the_profile_does_not_promise() -> None:
    plain = Generic.profile_of(None)
    assert plain == Generic.profile == Generic().profile
    assert (plain.channels, plain.time_unit, plain.endpoint) == ({"trades": "none"}, "none", "")
    whole = Generic.profile_of(Description(volume="v", timestamp="t", time_unit="us", subscribe="{symbol}"))
    assert (whole.channels, whole.time_unit, whole.batch_size) == ({"trades": "trade"}, "us", 1)


def test_an_address_with_a_place_for_one_symbol_takes_one() -> None:
    one = "wss://example.org/ws/{symbol}"
    assert adapter(Description(), endpoint=one).profile.max_symbols_per_connection == 1
    assert adapter(PLAIN, endpoint=one).profile.max_symbols_per_connection is None
    assert adapter(Description(), endpoint=f"{ENDPOINT}/{{symbols}}").profile.max_symbols_per_connection is None


def test_the_configuration_gives_the_whole_description() -> None:
    assert FeedSettings(provider="twelvedata").description is None
    assert GenericFeedSettings(provider="generic").description == Description()
    words: dict[str, Any] = {
        "transport": "sse",
        "headers": {"X-Key": Secret("k")},
        "on_open": (Secret("hi"),),
        "subscribe": "S",
        "unsubscribe": "U",
        "items": "i",
        "symbol": "s",
        "price": "p",
        "volume": "v",
        "timestamp": "t",
        "time_unit": "ns",
        "match": {"a": 1},
    }
    beat = GenericHeartbeatSettings(send="ping", every=5.0)
    said = GenericFeedSettings(provider="generic", heartbeat=beat, **words).description
    whole = Description(heartbeat_text="ping", heartbeat_every=5.0, **words)
    assert said == whole
    plain = Description()
    assert all(getattr(whole, f.name) != getattr(plain, f.name) for f in dataclasses.fields(Description))


# --- what the server says


@pytest.mark.parametrize(
    ("wanted", "value", "same"),
    [
        ("trade", "trade", True),
        ("trade", "Trade", False),
        (1, 1, True),
        (1, 1.0, True),
        (1, True, False),
        (True, True, True),
        (True, 1, False),
        (False, 0, False),
        (0, None, False),
        (1.5, "1.5", False),
        ("", [], False),
    ],
)
def test_a_message_matches_by_value_and_kind(wanted: str | float | bool, value: object, same: bool) -> None:
    made = adapter(Description(match={"t": wanted}))
    assert decoded({"t": value, "symbol": "AAPL", "price": 1.5}, made) == [tick() if same else Ignored("unmatched")]


def test_every_match_must_be_there() -> None:
    made = adapter(Description(match={"a": 1, "b[0].c": "x"}))
    price = {"symbol": "AAPL", "price": 1.5}
    assert decoded({"a": 1, "b": [{"c": "x"}], **price}, made) == [tick()]
    for other in ({"a": 1}, {"b": [{"c": "x"}]}, {"a": 1, "b": []}, {"a": 1, "b": [{"c": "y"}]}):
        assert decoded({**other, **price}, made) == [Ignored("unmatched")]


def test_symbol_and_time_may_stand_around_the_items_but_a_price_may_not() -> None:
    said = Description(items="trades", price="p", timestamp="time", time_unit="ms")
    frame = {
        "symbol": "AAPL",
        "time": 1700000001500,
        "p": 9,
        "trades": [{"p": 1.5}, {"p": 2, "time": 1700000002000}, {}],
    }
    assert decoded(frame, adapter(said)) == [
        tick(timestamp=1700000001.5),
        tick(price=2.0, timestamp=1700000002.0),
        Rejected("missing"),
    ]
    assert decoded({"trades": [{"symbol": "MSFT", "p": 1.5, "time": 0}], "symbol": "AAPL"}, adapter(said)) == [
        tick("MSFT", timestamp=0.0)
    ]


def test_positions_make_a_list_one_message_and_items_make_it_many_again() -> None:
    row: list[object] = ["AAPL", 1.5]
    assert decoded(row, adapter(Description(symbol="[0]", price="[1]"))) == [tick()]
    assert decoded([row, row], adapter(Description(symbol="[0]", price="[1]", items=""))) == [tick(), tick()]
    assert decoded({"d": [row, row]}, adapter(Description(symbol="[0]", price="[1]", items="d"))) == [tick(), tick()]
    assert decoded([0, [row]], adapter(Description(symbol="[0]", price="[1]", items="[1]"))) == [tick()]
    assert decoded(["x", row], adapter(Description(symbol="[1][0]", price="[1][1]", match={"[0]": "x"}))) == [tick()]


def test_a_pong_is_a_heartbeat_where_we_ping() -> None:
    made = adapter(Description(heartbeat_text="Ping", heartbeat_every=5.0))
    for text in ("pong", "PONG\n", '"pong"', "ping", b"pong"):
        assert list(made.decode(text, NOW)) == [Heartbeat()]
    for text in ("gong", "", b"\xffpong", "pong" * 50):
        assert not isinstance(made.decode(text, NOW)[0], Heartbeat)
    assert list(adapter().decode("pong", NOW)) == [Rejected("json")]


def test_a_text_is_a_message_like_any_other() -> None:
    assert list(adapter().decode('"hello"', NOW)) == [Rejected("missing")]
    assert list(adapter(Description(match={"a": 1})).decode('"hello"', NOW)) == [Ignored("unmatched")]


@pytest.mark.parametrize(
    ("native", "found"),
    [
        ("aapl", tick()),
        (" AAPL\t", tick()),
        ("TSLA", Rejected("unknown_symbol")),
        ("x" * 10_000, Rejected("unknown_symbol")),
        (700, Rejected("unknown_symbol")),
        (-1, Rejected("type")),
        (10**18, Rejected("type")),
        (1.5, Rejected("type")),
        (True, Rejected("type")),
        (None, Rejected("missing")),
        ([], Rejected("type")),
    ],
)
def test_symbols_are_matched_in_any_case(native: object, found: Message) -> None:
    assert decoded({"symbol": native, "price": 1.5}, adapter()) == [found]


def test_a_number_of_thousands_of_digits_is_no_symbol_and_no_price() -> None:
    digits = "9" * 5000
    assert list(adapter().decode(f'{{"symbol":{digits},"price":1.5}}', NOW)) == [Rejected("json")]
    assert list(adapter().decode(f'{{"symbol":"AAPL","price":{digits}}}', NOW)) == [Rejected("json")]
    assert list(adapter().decode(f'{{"symbol":"AAPL","price":"{digits}"}}', NOW)) == [Rejected("not_finite")]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ('{"symbol":"AAPL","price":NaN,"time":1}', "not_finite"),
        ('{"symbol":"AAPL","price":1e400,"time":1}', "not_finite"),
        ('[{"symbol":"AAPL","price":1,"time":1},{"symbol":"AAPL","price":-Infinity,"time":1}]', "not_finite"),
        ('{"symbol":"AAPL","price":1,"size":NaN,"time":1}', "json"),
        ('{"symbol":"AAPL","price":1}', "missing"),
        ('{"symbol":"AAPL","price":1,"time":"noon"}', "type"),
        ('{"symbol":"AAPL","price":1,"time":[]}', "type"),
    ],
)
def test_what_cannot_be_a_price_is_refused_by_its_reason(frame: str, reason: Any) -> None:
    assert list(adapter(Description(timestamp="time")).decode(frame, NOW)) == [Rejected(reason)]


def test_a_time_of_null_is_that_of_the_receipt() -> None:
    frame = {"symbol": "AAPL", "price": 1.5, "time": None}
    assert decoded(frame, adapter(Description(timestamp="time"))) == [tick()]


def test_a_native_symbol_is_found_in_any_case() -> None:
    made = adapter(PLAIN, "Ry:Tsx")
    assert made.from_native(made.to_native(" Ry:Tsx ").lower()) == "Ry:Tsx"
    assert made.from_native("RY") is None


def test_where_every_symbol_is_wanted_every_symbol_comes() -> None:
    made = adapter(PLAIN, "aapl", every_symbol=True)
    assert decoded({"symbol": "AAPL", "price": 1.5}, made) == [tick("aapl")]
    assert decoded({"symbol": "TSLA", "price": 1.5}, made) == [tick("TSLA")]


@pytest.mark.parametrize("status", [401, 403, 429, 404, 500])
def test_a_refusal_is_judged_by_its_status_and_its_text_is_bounded(status: int) -> None:
    Secret("canary-key-2001")
    fault = adapter().classify_handshake(status, "canary-key-2001 " * 1000)
    assert (fault.kind in FATAL) == (status in (401, 403))
    assert (fault.kind is FaultKind.RATE_LIMITED) == (status == 429)
    assert len(fault.message) <= 200
    assert "canary" not in fault.message
    assert adapter().classify_close(1008, "go away") is None


# --- anything whatever

PATHS = st.text("ab.[]01", max_size=8) | st.text(max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab1.", max_size=4) | st.just("AAPL"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=12,
)
DESCRIPTIONS = st.builds(
    Description,
    transport=st.sampled_from(["websocket", "sse"]),
    subscribe=st.none() | st.text('{}[]"symbols', max_size=20),
    unsubscribe=st.none() | st.text(max_size=10),
    heartbeat_text=st.none() | st.text(max_size=5),
    heartbeat_every=st.none() | st.floats(),
    items=st.none() | PATHS,
    symbol=PATHS,
    price=PATHS,
    volume=st.none() | PATHS,
    timestamp=st.none() | PATHS,
    time_unit=st.sampled_from(["s", "ms", "us", "ns", "rfc3339"]),
    match=st.dictionaries(PATHS, st.booleans() | st.integers() | st.floats() | st.text(max_size=3), max_size=2),
)


@given(said=DESCRIPTIONS, value=JSON)
def test_no_message_makes_any_description_raise_and_every_tick_is_sound(said: Description, value: object) -> None:
    made = adapter(said, "AAPL", "1")
    for data in (json.dumps(value), json.dumps(value).encode()):
        for message in made.decode(data, NOW):
            assert isinstance(message, Message)
            if isinstance(message, Tick):
                assert 0 < message.price < math.inf
                assert math.isfinite(message.timestamp)
                assert message.volume is None or math.isfinite(message.volume)


@given(said=DESCRIPTIONS, data=st.binary(max_size=60) | st.text(st.characters(exclude_categories=()), max_size=40))
def test_no_bytes_make_any_description_raise(said: Description, data: bytes | str) -> None:
    assert all(isinstance(message, Message) for message in adapter(said).decode(data, NOW))


@given(said=DESCRIPTIONS, symbols=st.lists(st.text(min_size=1, max_size=5), max_size=3))
def test_any_description_says_what_it_says(said: Description, symbols: list[str]) -> None:
    made = adapter(said)
    made.connect_params()
    made.keepalive()
    for requests in (made.encode_subscribe(symbols), made.encode_unsubscribe(symbols)):
        assert not requests or [symbol for request in requests for symbol in request.symbols] == symbols

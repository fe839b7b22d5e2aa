"""What every provider's adapter promises: one suite for all of them, and a file of samples for each (`providers`)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricestreamd.model.tick import PRICE_LIMIT, Tick, symbol_key
from pricestreamd.providers.base import (
    FATAL,
    Ack,
    Adapter,
    FaultKind,
    HttpRequest,
    Message,
    Rejected,
    Request,
    Terms,
)
from pricestreamd.providers.catalogue import BUILT_IN, create, profile
from tests.conformance.providers import (
    KEY,
    RECEIVED_AT,
    Connection,
    Sample,
    adapter,
    each_provider,
    each_sample,
    heard,
    load,
    spelled_out,
)

# What some providers say beside what all do.
ALSO_SAID = {"binance": {"farewell"}}
# The complaints of each that its samples must show, and what its refusals of a connection mean.
COMPLAINTS = {
    "twelvedata": {"auth", "entitlement", "connection_limit", "rate_limited", "over_cap", "transient"},
    "binance": {"over_cap", "rate_limited", "transient"},
    "iex": {"transient"},
    "alphavantage": {"auth", "entitlement", "symbol_rejected", "rate_limited", "transient"},
    "generic": set(),
}
REFUSALS = {
    "twelvedata": {401: "auth", 403: "entitlement", 429: "rate_limited", 404: "transient", 503: "transient"},
    "binance": {418: "rate_limited", 429: "rate_limited", 503: "transient"},
    "iex": {401: "auth", 402: "entitlement", 403: "auth", 414: "over_cap", 429: "rate_limited", 503: "transient"},
    "alphavantage": {401: "auth", 403: "entitlement", 429: "rate_limited", 503: "transient"},
    "generic": {401: "auth", 403: "entitlement", 429: "rate_limited", 503: "transient"},
}


PROFILES = {name: adapter(name).profile for name in BUILT_IN}
POLLED = [name for name, about in PROFILES.items() if about.transport == "poll"]
BY_ADDRESS = [name for name, about in PROFILES.items() if about.subscribes == "connect"]
ANSWERED = [name for name, about in PROFILES.items() if about.subscribes == "in_band" and about.acknowledges]


def some_symbols(count: int) -> list[str]:
    """Symbols that every provider accepts."""
    return [f"SYM{n}" for n in range(count)]


# --- what it makes of what it hears


@each_sample
def test_a_sample_becomes_its_messages(name: str, sample: Sample) -> None:
    for frame in (sample["frame"], sample["frame"].encode()):
        assert [spelled_out(message) for message in heard(name, sample, frame)] == sample["messages"]


@each_sample
def test_two_connections_understand_the_same(name: str, sample: Sample) -> None:
    assert heard(name, sample) == heard(name, sample)


@each_sample
def test_nothing_is_a_tick_before_its_symbol_is_wanted_or_after(name: str, sample: Sample) -> None:
    made = adapter(name, sample=sample)
    connection = Connection(made)
    assert not any(isinstance(message, Tick) for message in connection.hear(sample["frame"]))
    for symbol in sample["symbols"]:
        made.symbols.add(symbol)
    connection.hear(sample["frame"])
    for symbol in sample["symbols"]:
        made.symbols.remove(symbol)
    assert not any(isinstance(message, Tick) for message in connection.hear(sample["frame"]))


@each_provider
def test_the_samples_show_every_kind_of_message(name: str) -> None:
    kinds = {kind for sample in load(name) for message in sample["messages"] for kind in message}
    about = profile(name)
    assert {"tick", "rejected", "ignored"} <= kinds
    assert ("ack" in kinds) == (about.acknowledges and about.subscribes == "in_band")
    if about.heartbeat_silence is not None and not about.pings:
        assert "heartbeat" in kinds
    assert ALSO_SAID.get(name, set()) <= kinds


@each_provider
def test_the_samples_show_every_complaint(name: str) -> None:
    found = {message["fault"]["kind"] for sample in load(name) for message in sample["messages"] if "fault" in message}
    assert found == COMPLAINTS[name]


@each_provider
@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "json"), (b"{", "json"), (b"\xef\xbb\xbf{}", "json"), (b"[" * 100_000, "json"), (b"\xff\xfe", "utf8")],
)
def test_what_is_no_message_is_rejected_by_its_reason(name: str, data: bytes, reason: str) -> None:
    assert adapter(name, "AAPL").decode(data, RECEIVED_AT) == (Rejected(reason),)  # type: ignore[arg-type]


def check(messages: list[Message], made: Adapter) -> None:
    """Whether these may be said, whatever was heard."""
    for message in messages:
        assert isinstance(message, Message)
        if isinstance(message, Tick):
            assert message.symbol in made.symbols
            assert 0.0 < message.price < PRICE_LIMIT
            assert math.isfinite(message.timestamp)
            assert message.volume is None or math.isfinite(message.volume)


@each_provider
@given(
    frames=st.lists(st.binary(max_size=300) | st.text(st.characters(exclude_categories=()), max_size=200), max_size=3)
)
def test_decode_never_raises(name: str, frames: list[bytes | str]) -> None:
    made = adapter(name, "AAPL")
    check(Connection(made).hear_all(frames), made)


@each_provider
@settings(max_examples=300)
@given(data=st.data())
def test_decode_never_raises_on_spoiled_samples(name: str, data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(load(name)))
    frame = sample["frame"].encode()
    at = data.draw(st.integers(0, len(frame)))
    cut = data.draw(st.integers(0, 12))
    piece = data.draw(st.binary(max_size=3) | st.sampled_from([b"null", b"[]", b'""', b"1e400", b"-0", b'"nan"']))
    made = adapter(name, *sample["symbols"], sample=sample)
    connection = Connection(made)
    connection.hear_all(sample.get("before", ()))
    check(connection.hear_all([frame[:at] + piece + frame[at + cut :], sample["frame"]]), made)


# --- what is known of it


@each_provider
def test_a_profile_is_complete_and_makes_sense(name: str) -> None:
    about = adapter(name).profile
    assert about.name == name
    assert about.documentation.startswith("https://")
    schemes = {"websocket": "wss", "sse": "https", "poll": "https"}
    assert urlsplit(about.endpoint).scheme == ("" if name == "generic" else schemes[about.transport])
    assert "?" not in about.endpoint
    assert about.channels
    assert about.channel in about.channels
    assert about.control_messages > 0
    assert about.control_window > 0
    caps = (about.max_symbols_per_connection, about.max_connections, about.batch_size, about.max_request_bytes)
    assert all(cap is None or cap > 0 for cap in caps)
    assert about.transport != "poll" or about.subscribes == "implicit"
    if about.heartbeat_interval is not None and about.heartbeat_silence is not None:
        assert about.heartbeat_silence >= 2 * about.heartbeat_interval
        assert about.control_window / about.heartbeat_interval < about.control_messages / 2


@each_provider
def test_a_heartbeat_is_sent_where_the_profile_says_so(name: str) -> None:
    made = adapter(name)
    assert (made.keepalive() is not None) == (made.profile.heartbeat_interval is not None)


# --- how it asks for symbols


@each_provider
@pytest.mark.parametrize("count", [0, 1, 7, 5000])
def test_requests_cover_every_symbol_once_within_the_limits(name: str, count: int) -> None:
    symbols = some_symbols(count)
    made = adapter(name, *symbols)
    in_band = made.profile.subscribes == "in_band"
    for requests in (made.encode_subscribe(symbols), made.encode_unsubscribe(symbols)):
        assert [symbol for request in requests for symbol in request.symbols] == (symbols if in_band else [])
        for request in requests:
            assert made.profile.batch_size is None or len(request.symbols) <= made.profile.batch_size
            limit = made.profile.max_request_bytes
            assert limit is None or len(request.text.encode()) < limit
            assert all(made.to_native(symbol) in request.text for symbol in request.symbols[:10])


@pytest.mark.parametrize("name", BY_ADDRESS)
def test_an_address_names_every_symbol_where_no_request_can(name: str) -> None:
    made = adapter(name)
    symbols = some_symbols(made.profile.max_symbols_per_connection or 100)
    assert [symbol for symbol in symbols if made.refusal(symbol) is not None] == []
    for symbol in symbols:
        made.symbols.add(symbol)
    url = made.connect_params().url
    assert len(url) <= (made.profile.max_request_bytes or math.inf)
    assert all(made.to_native(symbol) in unquote(url) for symbol in symbols)
    made.symbols.remove(symbols[0])
    assert made.connect_params().url != url


@pytest.mark.parametrize("name", POLLED)
def test_polls_go_round_all_symbols_and_take_up_new_ones(name: str) -> None:
    made = adapter(name)
    symbols = some_symbols(7)
    for symbol in symbols:
        made.symbols.add(symbol)
    asked: list[str] = []
    now = 0.0
    while len(asked) < len(symbols):
        found = made.next_poll(now)
        if isinstance(found, float):
            assert found > 0
            now += found
            continue
        assert len(found.symbols) <= (made.profile.batch_size or math.inf)
        assert all(made.to_native(symbol) in unquote(found.url) for symbol in found.symbols)
        asked += found.symbols
    assert sorted(asked) == symbols
    made.symbols.add("NEW")
    for symbol in symbols:
        made.symbols.remove(symbol)
    while isinstance(found := made.next_poll(now), float):
        now += found
    assert found.symbols == ("NEW",)
    made.symbols.remove("NEW")
    assert isinstance(made.next_poll(now + 1e6), float)


@pytest.mark.parametrize("name", POLLED)
def test_polls_keep_the_pace_that_the_profile_tells(name: str) -> None:
    made = adapter(name, *some_symbols(500))
    times = []
    now = 0.0
    while now < 3 * made.profile.control_window:
        found = made.next_poll(now)
        if isinstance(found, HttpRequest):
            times.append(now)
            made.decode(json.dumps({"message": "success", "data": [{}]}), RECEIVED_AT)
        else:
            now += found
    for begin in times:
        window = [at for at in times if begin <= at < begin + made.profile.control_window]
        assert len(window) <= made.profile.control_messages


def twelvedata_answer(request: Request) -> str:
    said = json.loads(request.text)
    success = [{"symbol": symbol, "exchange": "NASDAQ"} for symbol in said["params"]["symbols"].split(",")]
    return json.dumps({"event": f"{said['action']}-status", "status": "ok", "success": success, "fails": None})


def binance_answer(request: Request) -> str:
    return json.dumps({"result": None, "id": json.loads(request.text)["id"]})


# What the server answers to a request that it grants, by its documentation.
ANSWERS: dict[str, Callable[[Request], str]] = {"twelvedata": twelvedata_answer, "binance": binance_answer}


@pytest.mark.parametrize("name", ANSWERED)
def test_what_was_asked_for_and_granted_is_subscribed_and_given_up(name: str) -> None:
    symbols = ["AAPL", "btc/usd", *some_symbols(600)]
    made = adapter(name, *symbols)
    granted: list[str] = []
    for request in made.encode_subscribe(symbols):
        (answer,) = made.decode(ANSWERS[name](request), RECEIVED_AT)
        assert isinstance(answer, Ack)
        assert answer.rejected == {}
        granted += answer.subscribed
    assert granted == symbols
    given_up: list[str] = []
    for request in made.encode_unsubscribe(symbols):
        (answer,) = made.decode(ANSWERS[name](request), RECEIVED_AT)
        assert isinstance(answer, Ack)
        assert answer.subscribed == ()
        given_up += answer.unsubscribed
    assert given_up == symbols


@each_sample
def test_a_native_symbol_comes_back_as_it_was_configured(name: str, sample: Sample) -> None:
    made = adapter(name, *sample["symbols"], sample=sample)
    for symbol in sample["symbols"]:
        assert made.from_native(made.to_native(symbol)) == symbol
        assert made.from_native(f" {made.to_native(symbol).lower()} ") == symbol
        assert made.refusal(symbol) is None
        assert symbol_key(symbol) in {symbol_key(each) for each in made.symbols}


@each_provider
def test_what_cannot_be_said_is_refused(name: str) -> None:
    made = adapter(name)
    assert made.refusal("AAPL") is None
    assert made.refusal("  ") is not None


# --- the key


def requests_of(made: Adapter) -> list[tuple[str, list[str]]]:
    """The addresses that an adapter asks for, each with the values of its headers."""
    params = made.connect_params()
    found = [(params.url, [secret.reveal() for secret in params.headers.values()])]
    assert KEY not in repr(params)
    polls = [made.next_poll(0.0)] if made.profile.transport == "poll" else []
    for request in (*polls, *made.backfill(["AAPL"])):
        assert isinstance(request, HttpRequest)
        assert KEY not in repr(request)
        found.append((request.url, [secret.reveal() for secret in request.headers.values()]))
    return found


@each_provider
def test_the_key_is_where_the_profile_says_and_nowhere_else(name: str) -> None:
    made = adapter(name, "AAPL")
    assert KEY not in repr(made)
    asked = requests_of(made)
    in_address = [KEY in unquote(url) for url, _ in asked]
    in_header = [any(KEY in value for value in headers) for _, headers in asked]
    match made.profile.auth:
        case "header":
            assert all(in_header)
            assert not any(in_address)
        case "query":
            # A poller's address is only where its requests begin.
            assert in_address == [made.profile.transport != "poll", *[True] * (len(asked) - 1)]
            assert not any(in_header)
        case "none":
            assert not any(in_header)
            assert not any(in_address)


@each_provider
@pytest.mark.parametrize("endpoint", ["wss://example.org/feed", "https://example.org:8443/feed"])
def test_an_endpoint_of_ones_own_is_where_everything_goes(name: str, endpoint: str) -> None:
    made = adapter(name, "AAPL", endpoint=endpoint)
    assert made.connect_params().url.startswith(endpoint)
    assert {urlsplit(url).netloc for url, _ in requests_of(made)} == {urlsplit(endpoint).netloc}


@each_provider
def test_without_a_key_none_is_sent(name: str) -> None:
    made = create(name, Terms(endpoint="wss://example.org/feed"))
    made.symbols.add("AAPL")
    assert [headers for _, headers in requests_of(made) if headers] == []


# --- how it takes refusals


@each_provider
def test_a_refusal_means_what_its_status_says(name: str) -> None:
    made = adapter(name)
    assert {status: made.classify_handshake(status, "").kind.value for status in REFUSALS[name]} == REFUSALS[name]


@each_provider
def test_a_refused_key_is_fatal_and_a_server_in_trouble_is_not(name: str) -> None:
    made = adapter(name)
    assert made.classify_handshake(401, "").kind in FATAL
    for status in (200, 302, 404, 408, 500, 502, 503):
        assert made.classify_handshake(status, "").kind not in FATAL
    assert made.classify_close(1000, "") is None
    assert made.classify_close(1006, "") is None
    assert isinstance(made.classify_handshake(418, "").kind, FaultKind)


@each_provider
def test_no_complaint_shows_the_key_or_is_endless(name: str) -> None:
    made = adapter(name)
    for text in (f"about {KEY}", f"?token={KEY}&apikey={KEY}", "x" * 100_000):
        faults: list[Any] = [made.classify_handshake(status, text) for status in (200, 401, 403, 404, 429, 503)]
        faults += [made.classify_close(code, text) for code in (1000, 1008, 1011, 4001)]
        for fault in faults:
            assert fault is None or KEY not in fault.message
            assert fault is None or len(fault.message) <= 200


@each_provider
def test_adapters_share_nothing(name: str) -> None:
    one, two = adapter(name, "AAPL"), adapter(name)
    assert "AAPL" in one.symbols
    assert "AAPL" not in two.symbols


@each_provider
def test_last_prices_are_asked_for_and_read_without_ever_raising(name: str) -> None:
    symbols = some_symbols(20)
    made = adapter(name, *symbols)
    requests = made.backfill(symbols)
    assert [symbol for request in requests for symbol in request.symbols] == (symbols if requests else [])
    for request in requests:
        for body in (b"", b"\xff", b"[]", b"{}", b'{"price":null}', b"[" * 100_000, b'[{"symbol":5,"price":"x"}]'):
            assert list(made.decode_backfill(request, body, RECEIVED_AT)) == []


def test_every_provider_has_its_tables() -> None:
    assert set(COMPLAINTS) == set(REFUSALS) == set(BUILT_IN)
    assert set(ANSWERS) == set(ANSWERED)
    assert POLLED
    assert BY_ADDRESS

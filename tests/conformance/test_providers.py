"""What every provider's adapter promises: one suite for all of them, and a file of samples for each.

A new provider needs a line in the catalogue and `samples/<name>.jsonl`. A line of it is one frame: `what` it is, the
`symbols` that are wanted, the `frame` itself, and the `messages` that it stands for.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.secret import Secret
from pricestreamd.model.tick import Tick, symbol_key
from pricestreamd.providers.base import (
    FATAL,
    Ack,
    Adapter,
    FaultKind,
    Heartbeat,
    Ignored,
    Message,
    ProviderFault,
    Rejected,
    Terms,
)
from pricestreamd.providers.catalogue import create, provider_names
from tests.support.data import shared_data

SAMPLES = Path(__file__).parent / "samples"
RECEIVED_AT = 1_700_000_100.25
KEY = "canary-key-1337"
NAMES = {Ack: "ack", Heartbeat: "heartbeat", Ignored: "ignored", Rejected: "rejected", ProviderFault: "fault"}

# Recorded sessions: the file, the symbols that were subscribed, and how many prices there are of each.
RECORDINGS = {"twelvedata": ("frames/twelvedata_20230331.frames.jsonl", {"AAPL": 5, "BTC/USD": 1, "ETH/BTC": 0})}


def load(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


ALL = [(name, sample) for name in provider_names() for sample in load(name)]
each_provider = pytest.mark.parametrize("name", provider_names())
each_sample = pytest.mark.parametrize(
    ("name", "sample"), ALL, ids=[f"{name}: {sample['what']}" for name, sample in ALL]
)


def adapter(name: str, *symbols: str) -> Adapter:
    made = create(name, Terms(feed="us", api_key=Secret(KEY)))
    for symbol in symbols:
        made.symbols.add(symbol)
    return made


def spelled_out(message: Message) -> dict[str, Any]:
    if isinstance(message, Tick):
        fields = msgspec.structs.asdict(message)
        assert fields.pop("feed") == "us"
        assert fields.pop("received_at") == RECEIVED_AT
        assert fields.pop("late") is False
        return {"tick": fields}
    fields = json.loads(json.dumps(dataclasses.asdict(message)))
    if fields.get("retry_after", 0) is None:
        del fields["retry_after"]
    return {NAMES[type(message)]: fields}


@each_sample
def test_a_sample_becomes_its_messages(name: str, sample: dict[str, Any]) -> None:
    frame = sample["frame"]
    for data in (frame, frame.encode()):
        made = adapter(name, *sample["symbols"])
        assert [spelled_out(message) for message in made.decode(data, RECEIVED_AT)] == sample["messages"]


@each_sample
def test_decoding_twice_gives_the_same(name: str, sample: dict[str, Any]) -> None:
    made = adapter(name, *sample["symbols"])
    assert made.decode(sample["frame"], RECEIVED_AT) == made.decode(sample["frame"], RECEIVED_AT)


@each_sample
def test_nothing_is_a_tick_before_its_symbol_is_wanted_or_after(name: str, sample: dict[str, Any]) -> None:
    made = adapter(name)
    assert not [message for message in made.decode(sample["frame"], RECEIVED_AT) if isinstance(message, Tick)]
    for symbol in sample["symbols"]:
        made.symbols.add(symbol)
    made.decode(sample["frame"], RECEIVED_AT)
    for symbol in sample["symbols"]:
        made.symbols.remove(symbol)
    assert not [message for message in made.decode(sample["frame"], RECEIVED_AT) if isinstance(message, Tick)]


@each_provider
def test_the_samples_show_every_kind_of_message(name: str) -> None:
    kinds = {kind for sample in load(name) for message in sample["messages"] for kind in message}
    assert {"tick", "rejected"} <= kinds
    profile = adapter(name).profile
    assert ("ack" in kinds) == profile.acknowledges
    assert ("heartbeat" in kinds) == (profile.heartbeat_silence is not None)


@each_provider
@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "json"), (b"{", "json"), (b"\xef\xbb\xbf{}", "json"), (b"[" * 100_000, "json"), (b"\xff\xfe", "utf8")],
)
def test_what_is_no_message_is_rejected_by_its_reason(name: str, data: bytes, reason: str) -> None:
    assert adapter(name, "AAPL").decode(data, RECEIVED_AT) == (Rejected(reason),)  # type: ignore[arg-type]


@each_provider
@given(data=st.binary(max_size=300) | st.text(st.characters(exclude_categories=()), max_size=200))
def test_decode_never_raises(name: str, data: bytes | str) -> None:
    assert all(isinstance(message, Message) for message in adapter(name, "AAPL").decode(data, RECEIVED_AT))


@each_sample
@given(at=st.integers(0, 2000), byte=st.binary(max_size=3), cut=st.integers(0, 3))
def test_decode_never_raises_on_a_spoiled_sample(
    name: str, sample: dict[str, Any], at: int, byte: bytes, cut: int
) -> None:
    frame = sample["frame"].encode()
    at %= len(frame)
    spoiled = frame[:at] + byte + frame[at + cut :]
    assert all(
        isinstance(message, Message) for message in adapter(name, *sample["symbols"]).decode(spoiled, RECEIVED_AT)
    )


@each_provider
def test_a_profile_is_complete_and_makes_sense(name: str) -> None:
    profile = adapter(name).profile
    assert profile.name == name
    assert profile.documentation.startswith("https://")
    assert urlsplit(profile.endpoint).scheme in ("wss", "https")
    assert "?" not in profile.endpoint
    assert profile.control_messages > 0
    assert profile.control_window > 0
    caps = (profile.max_symbols_per_connection, profile.max_connections, profile.batch_size, profile.max_request_bytes)
    assert all(cap is None or cap > 0 for cap in caps)
    if profile.heartbeat_interval is not None and profile.heartbeat_silence is not None:
        assert profile.heartbeat_silence >= 2 * profile.heartbeat_interval
        assert profile.control_window / profile.heartbeat_interval < profile.control_messages / 2


@each_provider
def test_a_heartbeat_is_sent_where_the_profile_says_so(name: str) -> None:
    made = adapter(name)
    assert (made.keepalive() is not None) == (made.profile.heartbeat_interval is not None)


@each_provider
@pytest.mark.parametrize("count", [0, 1, 7, 5000])
def test_requests_cover_every_symbol_once_within_the_limits(name: str, count: int) -> None:
    symbols = [f"SYM{n}" for n in range(count)]
    made = adapter(name, *symbols)
    for requests in (made.encode_subscribe(symbols), made.encode_unsubscribe(symbols)):
        assert [symbol for request in requests for symbol in request.symbols] == symbols
        for request in requests:
            assert made.profile.batch_size is None or len(request.symbols) <= made.profile.batch_size
            limit = made.profile.max_request_bytes
            assert limit is None or len(request.text.encode()) < limit
            assert all(made.to_native(symbol) in request.text for symbol in request.symbols[:10])


@each_sample
def test_a_native_symbol_comes_back_as_it_was_configured(name: str, sample: dict[str, Any]) -> None:
    made = adapter(name, *sample["symbols"])
    for symbol in sample["symbols"]:
        assert made.from_native(made.to_native(symbol)) == symbol
        assert made.from_native(f" {made.to_native(symbol).lower()} ") == symbol
        assert made.refusal(symbol) is None
        assert symbol_key(symbol) in {symbol_key(each) for each in made.symbols}


@each_provider
def test_the_key_is_where_the_profile_says_and_nowhere_else(name: str) -> None:
    made = adapter(name)
    params = made.connect_params()
    assert KEY not in repr(params)
    assert KEY not in repr(made)
    if made.profile.auth == "header":
        assert KEY not in params.url
        assert KEY in [secret.reveal() for secret in params.headers.values()]
    other = create(name, Terms(endpoint="wss://example.org/feed")).connect_params()
    assert other.url.startswith("wss://example.org/feed")


@each_provider
def test_a_refused_key_is_fatal_and_a_server_in_trouble_is_not(name: str) -> None:
    made = adapter(name)
    assert made.classify_handshake(401, "").kind in FATAL
    for status in (200, 302, 404, 408, 500, 502, 503):
        assert made.classify_handshake(status, "").kind not in FATAL
    assert made.classify_handshake(503, KEY).message.count(KEY) == 0
    assert made.classify_close(1000, "") is None
    assert made.classify_close(1006, "") is None
    fault = made.classify_close(1008, f"about {KEY}")
    assert fault is None or KEY not in fault.message
    assert isinstance(made.classify_handshake(418, "").kind, FaultKind)


@each_provider
def test_adapters_share_nothing(name: str) -> None:
    one, two = adapter(name, "AAPL"), adapter(name)
    assert "AAPL" in one.symbols
    assert "AAPL" not in two.symbols


@each_provider
def test_a_recorded_session_is_understood_whole(name: str) -> None:
    file, expected = RECORDINGS[name]
    frames = shared_data(file).read_bytes().splitlines()
    made = adapter(name, *expected)
    messages = [message for frame in frames for message in made.decode(frame, RECEIVED_AT)]
    ticks = [message for message in messages if isinstance(message, Tick)]
    assert {symbol: sum(tick.symbol == symbol for tick in ticks) for symbol in expected} == expected
    assert not [message for message in messages if isinstance(message, Rejected | Ignored | ProviderFault)]
    acknowledged = [symbol for message in messages if isinstance(message, Ack) for symbol in message.subscribed]
    assert sorted(acknowledged) == sorted(expected)
    assert [tick.timestamp for tick in ticks] == sorted(tick.timestamp for tick in ticks)


def test_the_recorded_prices_are_exact() -> None:
    frames = shared_data(RECORDINGS["twelvedata"][0]).read_bytes().splitlines()
    made = adapter("twelvedata", "AAPL", "BTC/USD")
    ticks = [message for frame in frames for message in made.decode(frame, RECEIVED_AT) if isinstance(message, Tick)]
    assert [tick.price for tick in ticks] == [164.13, 164.12, 164.12, 164.115, 28326.8, 164.1]
    assert ticks[0] == Tick("AAPL", 164.13, 1680286328.0, RECEIVED_AT, 29666927.0, "USD", "us")
    assert ticks[4].currency is None

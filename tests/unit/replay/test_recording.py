"""A recording holds every byte of every frame, one line each, and no secret."""

import base64
import dataclasses
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.secret import Secret, redact
from pricestreamd.providers.description import Description
from pricestreamd.replay.recording import (
    FRAME_ERRORS,
    Described,
    Frame,
    Header,
    frame_line,
    frame_of,
    header_line,
    header_of,
    is_recording,
    lost_line,
    shown_endpoint,
)

CANARY = "canary-7c1f0e55d2"


def read(line: bytes) -> Frame:
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    return frame_of(line.rstrip(b"\n"))


@given(st.one_of(st.binary(), st.text().map(str.encode)), st.floats(0, 4e9))
def test_a_frame_comes_back_byte_for_byte(data: bytes, received_at: float) -> None:
    if redact(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape") != data:
        return  # it looks like a secret
    frame = read(frame_line(data, received_at, "us", "twelvedata"))
    assert frame.data() == data
    assert (frame.received_at, frame.feed, frame.provider, frame.lost) == (received_at, "us", "twelvedata", 0)


def test_text_is_written_as_text_and_other_bytes_in_base64() -> None:
    text = json.loads(frame_line('{"a":\n1}', 1.5, "us", "p"))
    assert text == {"received_at": 1.5, "feed": "us", "provider": "p", "text": '{"a":\n1}'}
    binary = json.loads(frame_line(b"\x81\xff", 1.5, "us", "p"))
    assert binary == {
        "received_at": 1.5,
        "feed": "us",
        "provider": "p",
        "base64": base64.b64encode(b"\x81\xff").decode(),
    }
    assert read(frame_line("\ud800", 1.0, "us", "p")).data() == "\ud800".encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    "data",
    [
        f'{{"Information":"We have detected your API key as {CANARY} and"}}'.encode(),
        f"token={CANARY}".encode(),
        b"\xff\x00" + CANARY.encode() + b"\xfe",
        base64.b64encode(f"user:{CANARY}".encode()),
    ],
    ids=["echoed", "named", "between bytes that are no text", "in base64"],
)
def test_a_key_that_a_provider_echoes_is_not_written(data: bytes) -> None:
    Secret(CANARY)
    line = frame_line(data, 1.0, "us", "alphavantage")
    found = read(line).data()
    assert b"***" in found
    for text in (line, found, base64.b64decode(found.replace(b"*", b"A") + b"==", validate=False)):
        assert CANARY.encode() not in text


def test_a_header_comes_back_without_what_is_secret_in_its_address() -> None:
    header = Header(
        feed="us",
        provider="generic",
        channel="trades",
        endpoint=f"wss://me:{CANARY}@example.org:8443/v1/stream?symbols=A&apikey={CANARY}",
        symbols=("AAPL", "BTC/USD"),
        description=Described.of(Description(price="p", match={"type": "trade"})),
        version="pricestreamd 1",
    )
    line = header_line(header)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert CANARY.encode() not in line
    assert header_of(line) == msgspec.structs.replace(header, endpoint="wss://example.org:8443/v1/stream")


def test_a_description_in_a_header_reads_frames_as_before_and_tells_no_secret() -> None:
    description = Description(
        transport="sse",
        headers={"X-Auth": Secret(CANARY)},
        on_open=(Secret(f'{{"login":"{CANARY}"}}'),),
        subscribe=f'{{"key":"{CANARY}","symbols":"{{symbols}}"}}',
        heartbeat_text="ping",
        heartbeat_every=10.0,
        items="data.rows",
        symbol="s",
        price="p[0]",
        volume="v",
        timestamp="t",
        time_unit="ms",
        match={"type": "trade", "n": 1, "live": True},
    )
    header = Header(feed="us", provider="generic", description=Described.of(description))
    line = header_line(header)
    assert CANARY.encode() not in line
    found = header_of(line)
    assert found is not None and found.description is not None
    again = found.description.description()
    assert _as_read(again) == _as_read(description)


def _as_read(description: Description) -> Description:
    """Without what is only said to a server."""
    return dataclasses.replace(description, headers={}, on_open=(), subscribe=None)


def test_a_header_tells_every_word_of_a_description() -> None:
    assert Described.__struct_fields__ == tuple(field.name for field in dataclasses.fields(Description))
    assert Described.of(Description()) == Described()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://ws.example.org/v1?apikey=abc", "wss://ws.example.org/v1"),
        ("wss://abc@ws.example.org:1/v1#abc", "wss://ws.example.org:1/v1"),
        ("https://[::1]:1/x", "https://[::1]:1/x"),
        ("http://[", ""),
        ("", ""),
    ],
)
def test_of_an_address_scheme_host_and_path_are_shown(url: str, shown: str) -> None:
    assert shown_endpoint(url) == shown


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"pricestream_recording":1,"feed":"us","provider":"p"}', True),
        (b' { "feed": "us", "pricestream_recording": 9 }', True),
        (b'{"received_at":1,"feed":"us"}', False),
        (b'ts_ms,symbol,price,"pricestream_recording"', False),
        (b"", False),
    ],
)
def test_a_recording_is_known_by_its_first_line(line: bytes, expected: bool) -> None:
    assert is_recording(line) is expected


@pytest.mark.parametrize(
    "line",
    [
        b'{"pricestream_recording":2,"feed":"us","provider":"p"}',
        b'{"pricestream_recording":1,"feed":"us"}',
        b'{"feed":"us","provider":"p"}',
        b'{"pricestream_recording":1,"feed":"us","provider":"p","description":{"time_unit":"days"}}',
        b"[1]",
        b"\xff",
    ],
)
def test_what_is_no_header_of_a_known_version_is_none(line: bytes) -> None:
    assert header_of(line) is None


def test_a_place_of_lost_frames_is_no_frame() -> None:
    frame = read(lost_line(17, 2.5, "us", "p"))
    assert (frame.lost, frame.received_at, frame.feed) == (17, 2.5, "us")
    with pytest.raises(FRAME_ERRORS):
        frame.data()


@given(
    st.one_of(st.binary(max_size=60), st.sampled_from([b'{"received_at":1,"feed":"f","provider":"p","base64":"?"}']))
)
def test_no_line_at_all_is_worse_than_no_frame(line: bytes) -> None:
    with pytest.raises(FRAME_ERRORS):
        frame_of(line).data()

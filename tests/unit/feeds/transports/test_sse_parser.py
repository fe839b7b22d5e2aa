"""Events out of bytes: by the standard, whatever the chunks, and never more than allowed."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.feeds.transports.event_stream import EventStreamParser

LIFE = None


def parse(*chunks: bytes, limit: int = 1000) -> list[bytes | None]:
    parser = EventStreamParser(limit)
    return [found for chunk in chunks for found in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: one\n\n", [b"one"]),
        (b"data:one\n\n", [b"one"]),
        (b"data:  one \n\n", [b" one "]),
        (b"data: a: b\n\n", [b"a: b"]),
        (b"data: one\r\n\r\ndata: two\r\rdata: three\n\n", [b"one", b"two", b"three"]),
        (b"data: one\r\rdata: two\n\r\n", [b"one", b"two"]),
        (b"data: one\ndata: two\n\n", [b"one\ntwo"]),
        (b"data\ndata\n\n", [b"\n"]),
        (b"data\n\n", [b""]),
        (b"data:\n\n", [b""]),
        (b"data: one\n\n\n\n\ndata: two\n\n", [b"one", b"two"]),
        (b": hello\n\n", [LIFE]),
        (b":\n:\n", [LIFE, LIFE]),
        (b"data: one\n: hello\ndata: two\n\n", [LIFE, b"one\ntwo"]),
        (b"event: price\nid: 7\ndata: one\n\n", [b"one"]),
        (b"event: beat\n\ndata: one\n\n", [LIFE, b"one"]),
        (b"dat: no\nDATA: no\n data: no\ndata : no\n\n", [LIFE]),
        (b"\xef\xbb\xbfdata: one\n\n", [b"one"]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: one\n\n", [LIFE]),
        (b"data: one\n\n\xef\xbb\xbfdata: two\n\n", [b"one", LIFE]),
        (b"\xef\xbb\xbf\n\ndata: one\n\n", [b"one"]),
        (b"data: \xff\x00\x0b\x0c\x1c\xc2\x85\n\n", [b"\xff\x00\x0b\x0c\x1c\xc2\x85"]),
        (b"data: never finished", []),
        (b"data: never finished\n", []),
        (b"", []),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_stream_is_read_as_the_standard_says_wherever_it_is_cut(
    stream: bytes, events: list[bytes | None], size: int
) -> None:
    assert parse(*(stream[at : at + size] for at in range(0, len(stream), size))) == events


def test_a_line_end_of_two_bytes_may_be_cut_by_nothing_at_all() -> None:
    assert parse(b"data: one\r", b"", b"\n", b"\r", b"\ndata: two\r\r") == [b"one", b"two"]


@pytest.mark.parametrize(
    ("stream", "seconds"),
    [
        (b"retry: 2500\n", 2.5),
        (b"retry:2500\n\n", 2.5),
        (b"retry: 1\nretry: 2000\n", 2.0),
        (b"retry: -1\n", None),
        (b"retry: soon\n", None),
        (b"retry: 1.5\n", None),
        (b"retry:\n", None),
        (b"retry\n", None),
        (b"retry: " + b"9" * 10 + b"\n", None),
        ("retry: ٣\n".encode(), None),
    ],
)
def test_the_servers_own_delay_is_kept_where_it_is_a_number(stream: bytes, seconds: float | None) -> None:
    parser = EventStreamParser(1000)
    parser.feed(stream)
    assert parser.retry_seconds == seconds


@pytest.mark.parametrize(
    ("fits", "too_much"),
    [
        (b"data: " + b"x" * 10 + b"\n\n", b"data: " + b"x" * 11 + b"\n\n"),
        (b"data: 12345\ndata: 1234\n\n", b"data: 12345\ndata: 12345\n\n"),
        (b"data\n" * 11 + b"\n", b"data\n" * 12 + b"\n"),
        (b": " + b"x" * 14 + b"\n", b": " + b"x" * 15 + b"\n"),
        (b"x" * 16, b"x" * 17),
    ],
)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_an_event_or_a_line_beyond_the_limit_is_refused_and_nothing_after_it_is_read(
    fits: bytes, too_much: bytes, size: int
) -> None:
    for stream, refused in ((fits, False), (too_much, True)):
        parser = EventStreamParser(10)
        found = parser.feed(b"data: one\n\n")
        for at in range(0, len(stream), size):
            found += parser.feed(stream[at : at + size])
        assert parser.too_big is refused
        assert found[0] == b"one"
        if refused:
            assert found == [b"one"]
            assert parser.feed(b"\ndata: two\n\n") == []


@pytest.mark.parametrize(("length", "refused"), [(16, False), (17, True)])
def test_the_byte_order_mark_does_not_count(length: int, refused: bool) -> None:
    parser = EventStreamParser(10)
    parser.feed(b"\xef\xbb\xbf" + b"x" * length + b"\n")
    assert parser.too_big is refused


def test_many_short_events_are_not_one_long_one() -> None:
    assert parse(b"data: 1234567890\n\n" * 100, limit=10) == [b"1234567890"] * 100


def reference(stream: bytes) -> list[bytes | None]:
    """The standard's own words, on the whole stream at once."""
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    lines = re.split(b"\r\n|\n|\r", stream)[:-1]
    found: list[bytes | None] = []
    data: list[bytes] = []
    begun = False
    for line in lines:
        if line == b"":
            if data:
                found.append(b"\n".join(data))
            elif begun:
                found.append(LIFE)
            data, begun = [], False
        elif line.startswith(b":"):
            found.append(LIFE)
        else:
            begun = True
            field, colon, value = line.partition(b":")
            if field == b"data":
                data.append(value[1:] if colon and value[:1] == b" " else value)
    return found


PIECES = st.sampled_from(
    [b"data", b":", b" ", b"\n", b"\r", b"\r\n", b"x", b"\xff", b"\xef\xbb\xbf", b"retry: 5", b"id"]
)


@given(st.lists(PIECES, max_size=40).map(b"".join), st.lists(st.integers(0, 60), max_size=8))
def test_however_it_is_cut_the_events_are_those_of_the_whole(stream: bytes, cuts: list[int]) -> None:
    at = [0, *sorted(cuts), len(stream)]
    chunks = [stream[begin:end] for begin, end in pairwise(at)]
    whole = reference(stream)
    if stream.endswith(b"\r"):  # a line end may be complete, or the half of one: both read the same
        assert reference(stream + b"\n") == whole
    assert parse(*chunks) == whole


@given(st.binary(max_size=200), st.integers(1, 20))
def test_any_bytes_at_all_are_read_without_an_error(stream: bytes, size: int) -> None:
    parser = EventStreamParser(size)
    for at in range(0, len(stream), size):
        for found in parser.feed(stream[at : at + size]):
            assert found is None or len(found) <= size

"""Frames built by the hundred are the frames of RFC 6455."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.simulator.frames import split_frames, text_frames

ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E)


def frame(payload: str) -> bytes:
    """One unmasked text frame, written by the book."""
    data = payload.encode("ascii")
    if len(data) <= 125:
        return bytes([0b1000_0001, len(data)]) + data
    if len(data) <= 0xFFFF:
        return bytes([0b1000_0001, 126]) + struct.pack("!H", len(data)) + data
    return bytes([0b1000_0001, 127]) + struct.pack("!Q", len(data)) + data


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 180, 1023, 1024, 65535, 65536, 100_000])
def test_the_header_fits_the_length(length: int) -> None:
    assert text_frames(["x" * length]) == frame("x" * length)


@given(st.lists(st.text(ASCII, max_size=300), max_size=20))
def test_many_frames_are_the_single_ones_in_order(payloads: list[str]) -> None:
    assert text_frames(payloads) == b"".join(map(frame, payloads))
    assert list(split_frames(text_frames(payloads))) == [frame(payload) for payload in payloads]


def test_a_long_one_among_short_ones_is_no_different() -> None:
    payloads = ["a" * 70_000, "b", "c" * 2_000]
    assert list(split_frames(text_frames(payloads))) == [frame(payload) for payload in payloads]

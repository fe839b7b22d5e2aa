"""Messages become frames or events, whole or in fragments, and can be parted again."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.simulator.framing import EVENTS, WEBSOCKET

ASCII = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=300)


def unframed(data: bytes) -> list[tuple[int, bytes, int]]:
    """The kind, payload and number of frames of each message, read by the book."""
    found, at = [], 0
    kind, payload, frames = 0, b"", 0
    while at < len(data):
        first, length = data[at], data[at + 1]
        at += 2
        if length > 125:
            size = 2 if length == 126 else 8
            length = int.from_bytes(data[at : at + size])
            at += size
        assert (first & 0x0F == 0) == bool(frames)
        kind = kind if frames else first & 0x0F
        payload, frames = payload + data[at : at + length], frames + 1
        at += length
        if first & 0x80:
            found.append((kind, payload, frames))
            payload, frames = b"", 0
    assert not frames
    return found


def events(data: bytes) -> list[str]:
    """The data of each event, read by the book."""
    found = []
    for block in data.decode().split("\n\n")[:-1]:
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        found.append("\n".join(line.removeprefix("data:").removeprefix(" ") for line in lines))
    return found


@given(st.lists(ASCII, max_size=10))
def test_many_texts_are_joined_and_parted_again(texts: list[str]) -> None:
    assert [payload.decode() for _, payload, _ in unframed(WEBSOCKET.join(texts))] == texts
    for framing in (WEBSOCKET, EVENTS):
        assert list(framing.split(framing.join(texts))) == [framing.join([text]) for text in texts]
    assert events(EVENTS.join(texts)) == texts


@given(st.lists(ASCII, min_size=1, max_size=5), st.integers(1, 50))
def test_a_message_in_fragments_is_the_same_message(texts: list[str], size: int) -> None:
    messages = unframed(WEBSOCKET.in_fragments(size).join(texts))
    assert [payload.decode() for _, payload, _ in messages] == texts
    assert [frames for _, _, frames in messages] == [max(1, -(-len(text) // size)) for text in texts]


def test_an_event_in_fragments_is_the_same_json_on_several_lines() -> None:
    text = json.dumps(
        [{"symbol": "SPY", "latestPrice": 1.5, "latestTime": "1, 2", "nothing": None}], separators=(",", ":")
    )
    data = EVENTS.in_fragments(10).join([text])
    assert data.count(b"data: ") > 2
    [event] = events(data)
    assert json.loads(event) == json.loads(text)


@pytest.mark.parametrize(("binary", "kind"), [(True, 2), (False, 1)])
def test_odd_messages_have_their_bytes(binary: bool, kind: int) -> None:
    payload = bytes(range(256))
    assert unframed(WEBSOCKET.odd(payload, binary=binary)) == [(kind, payload, 1)]
    assert EVENTS.odd(b"a\nb", binary=binary) == b"data: a b\n\n"


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536, 5_000_000])
def test_a_message_of_any_length_has_the_right_header(length: int) -> None:
    assert unframed(WEBSOCKET.odd(b"x" * length, binary=False)) == [(1, b"x" * length, 1)]

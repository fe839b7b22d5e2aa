"""WebSocket frames by the hundred, built in one go.

The simulator is also the load of the benchmarks, and a call per message would make it the slower side. A text frame
of a server (RFC 6455, section 5.2) is a header of 2, 4 or 10 bytes and the payload, not masked, so many messages are
one join and one write:

    0x81                      FIN, opcode text
    length                    below 126: the length; 126: it is in the next two bytes; 127: in the next eight
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

CONTINUATION, TEXT, BINARY, CLOSE, PING = 0x0, 0x1, 0x2, 0x8, 0x9
"""Kinds of frames."""


def frame(kind: int, payload: bytes, *, final: bool = True) -> bytes:
    """One frame of any kind. `final`: the message ends with it."""
    first, length = kind | (0x80 if final else 0), len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 1 << 16:
        return struct.pack("!BBH", first, 126, length) + payload
    return struct.pack("!BBQ", first, 127, length) + payload


def _header(length: int) -> str:
    if length < 126:
        raw = bytes((0x81, length))
    elif length < 1 << 16:
        raw = struct.pack("!BBH", 0x81, 126, length)
    else:
        raw = struct.pack("!BBQ", 0x81, 127, length)
    return raw.decode("latin-1")


# Ready-made for every length that a price has. As texts, so that one join and one encoding make all the bytes.
_HEADERS = tuple(_header(length) for length in range(1024))


def text_frames(payloads: Sequence[str]) -> bytes:
    """The bytes of one text frame per payload, in order. Payloads are ASCII: a character is a byte."""
    parts = [""] * (2 * len(payloads))
    try:
        parts[::2] = [_HEADERS[length] for length in map(len, payloads)]
    except IndexError:
        parts[::2] = [_header(length) for length in map(len, payloads)]
    parts[1::2] = payloads
    return "".join(parts).encode("latin-1")


def split_frames(frames: bytes) -> Iterator[bytes]:
    """The single frames of what `text_frames` made, headers and all."""
    at = 0
    while at < len(frames):
        length = frames[at + 1]
        header = 2
        if length == 126:
            length, header = int.from_bytes(frames[at + 2 : at + 4]), 4
        elif length == 127:
            length, header = int.from_bytes(frames[at + 2 : at + 10]), 10
        end = at + header + length
        yield frames[at:end]
        at = end

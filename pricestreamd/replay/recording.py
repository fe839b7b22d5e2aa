r"""The format of a recording: what servers said, frame by frame, as JSON Lines in the order of receipt.

    {"pricestream_recording":1,"feed":"us","provider":"twelvedata","channel":"trades","endpoint":"wss://...", ...}
    {"received_at":1700000000.125,"feed":"us","provider":"twelvedata","text":"{\"event\":\"price\",...}"}
    {"received_at":1700000000.5,"feed":"us","provider":"twelvedata","base64":"//79"}
    {"received_at":1700000001.25,"feed":"us","provider":"twelvedata","lost":17}

A header for each feed comes before its frames; a file that is several recordings, one after the other, is a recording.
A frame is its `text`, or `base64` where its bytes are no UTF-8; `received_at` is UTC epoch seconds. `lost` stands where
so many frames came faster than the disk took them.

No secret is written: endpoints lose what is before the host and after the path, and whatever is known as a secret, or
named like one, is `***`, in frames too, because a provider may echo a key. Plain functions: no file, no clock.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec

from pricestreamd.model.secret import MASK, Secret, redact
from pricestreamd.providers.description import Description
from pricestreamd.providers.profile import Channel
from pricestreamd.providers.rejection import DECODE_ERRORS

VERSION = 1
"""Of the format. A reader takes every file whose first line names a version that it knows."""

_MARK = b'"pricestream_recording"'


class Described(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A protocol that a configuration describes, as it stands in a header: secrets are `***`."""

    transport: Literal["websocket", "sse"] = "websocket"
    headers: dict[str, str] = {}
    on_open: tuple[str, ...] = ()
    subscribe: str | None = None
    unsubscribe: str | None = None
    heartbeat_text: str | None = None
    heartbeat_every: float | None = None
    items: str | None = None
    symbol: str = "symbol"
    price: str = "price"
    volume: str | None = None
    timestamp: str | None = None
    time_unit: Literal["s", "ms", "us", "ns", "rfc3339"] = "s"
    match: dict[str, str | int | float | bool] = {}

    @classmethod
    def of(cls, description: Description) -> Described:
        """What may be shown of `description`."""
        return cls(**{field.name: _shown(getattr(description, field.name)) for field in fields(description)})

    def description(self) -> Description:
        """As far as frames are read by it: what is only said to a server is `***`."""
        told = msgspec.structs.asdict(self)
        told["headers"] = {name: Secret("") for name in self.headers}
        told["on_open"] = ()
        return Description(**told)


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The line in front of a feed's frames. `symbols` are those that were asked for, as configured."""

    pricestream_recording: int = VERSION
    feed: str
    provider: str
    channel: Channel | None = None
    endpoint: str = ""
    symbols: tuple[str, ...] = ()
    description: Described | None = None
    version: str = ""
    """The program that recorded it."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame, or a place where `lost` frames are missing. `received_at`: UTC epoch seconds."""

    received_at: float
    feed: str
    provider: str
    text: str | None = None
    base64: str | None = None
    lost: int = 0

    def data(self) -> bytes:
        """The bytes of the frame.

        Raises:
            ValueError: there are none.
        """
        if self.text is not None:
            return self.text.encode()
        if self.base64 is None:
            raise ValueError("a frame without text or base64")
        return base64.b64decode(self.base64, validate=True)


_encode = msgspec.json.Encoder().encode
_header_of = msgspec.json.Decoder(Header).decode
frame_of = msgspec.json.Decoder(Frame).decode
"""The frame in a line; raises one of `FRAME_ERRORS` where it is none."""

FRAME_ERRORS = (*DECODE_ERRORS, binascii.Error, ValueError)
"""All that `frame_of` and `Frame.data` raise for a line that is no frame."""


# --- writing


def header_line(header: Header) -> bytes:
    """The line of a header, with its end."""
    shown = msgspec.structs.replace(header, endpoint=shown_endpoint(header.endpoint))
    return b"%b\n" % _encode(shown)


def frame_line(data: bytes | str, received_at: float, feed: str, provider: str) -> bytes:
    """The line of a frame, with its end."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    # So that a key is found between bytes that are no text, too; all that is not found stays byte for byte.
    text = redact(raw.decode("utf-8", "surrogateescape"))
    frame = {"received_at": received_at, "feed": feed, "provider": provider}
    try:
        return b"%b\n" % _encode({**frame, "text": text})
    except UnicodeEncodeError:
        coded = base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
        return b"%b\n" % _encode({**frame, "base64": coded})


def lost_line(count: int, received_at: float, feed: str, provider: str) -> bytes:
    """The line that stands for `count` frames which could not be written; with its end."""
    return b"%b\n" % _encode({"received_at": received_at, "feed": feed, "provider": provider, "lost": count})


def shown_endpoint(url: str) -> str:
    """Scheme, host and path of an address: what is before the host and after the path may be a key."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return redact(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))


def _shown(value: Any) -> Any:
    """A setting without what is secret in it."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, tuple):
        return tuple(map(_shown, value))
    return {redact(key): _shown(entry) for key, entry in value.items()} if isinstance(value, Mapping) else value


# --- reading


def is_recording(line: bytes) -> bool:
    """Whether a file that begins with `line` is a recording, of whatever version."""
    return line.lstrip().startswith(b"{") and _MARK in line


def header_of(line: bytes) -> Header | None:
    """The header in a line; None where it is none of a version that this program knows."""
    with suppress(*DECODE_ERRORS):
        header = _header_of(line)
        if header.pricestream_recording == VERSION and _MARK in line:
            return header
    return None

"""One event as Server-Sent Events has it, encoded once for all who read it.

    id: 4f1c2a9e-1042
    event: price.update
    data: {"event":"price.update","id":"4f1c2a9e-1042","timestamp":...}
    (an empty line)

`id` is the event's own id. The data is one line: JSON escapes line ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pricestreamd.http.redaction import redacted
from pricestreamd.model.events import Event, PriceChange, PriceSpike, PriceUpdate, to_json

# How long a reader waits before it connects again, in milliseconds; then a comment so that headers go out at once.
PREAMBLE = b"retry: 2000\n\n"


class Frame:
    """An event and its bytes, which are made when the first reader needs them.

    `symbol` is that of a `price.update`, the one kind of event of which a newer replaces an older; else None.
    """

    __slots__ = ("_bytes", "event", "symbol")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.symbol: str | None = event.symbol if type(event) is PriceUpdate else None
        self._bytes = b""

    def encoded(self) -> bytes:
        """The frame as it goes over the wire."""
        if not self._bytes:
            event = self.event
            self._bytes = b"id: %b\nevent: %b\ndata: %b\n\n" % (_line(event.id), _line(event.event), _data(event))
        return self._bytes


class Batch:
    """Frames that several readers are to write. The first who does joins their bytes for all."""

    __slots__ = ("_bytes", "_frames")

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = frames
        self._bytes = b""

    def encoded(self) -> bytes:
        """All frames, one after the other."""
        if not self._bytes:
            self._bytes = b"".join([frame.encoded() for frame in self._frames])
        return self._bytes


class Comment(Batch):
    """Bytes that are no event, written like a batch."""

    __slots__ = ()

    def __init__(self, text: bytes) -> None:
        super().__init__(())
        self._bytes = text


HEARTBEAT = Comment(b": still here\n\n")


# The frequent kinds: numbers, symbols and feed names, in which no text from outside can be.
_PLAIN = frozenset({PriceUpdate, PriceChange, PriceSpike})


def _data(event: Event) -> bytes:
    if type(event) in _PLAIN:
        return to_json(event)
    try:
        return msgspec.json.encode(redacted(event.to_dict()), enc_hook=str)
    except (TypeError, ValueError, RecursionError):
        # An event of the user's own may hold anything. It is told of without what cannot be written.
        name = event.event.encode("utf-8", "replace").decode()
        known = {"event": name, "id": event.id, "timestamp": event.timestamp, "unencodable": True}
        return msgspec.json.encode(known)


def _line(text: str) -> bytes:
    """A field of a frame ends with its line: whatever would end it earlier becomes a space."""
    if not text.isprintable():
        text = " ".join(text.splitlines())
    return text.encode("utf-8", "replace")

"""How messages become bytes on a face: WebSocket frames, or server-sent events. Plain code.

Prices are written by the hundred, so a framing joins many texts at once, and parts what it has joined where not
everybody hears everything. `fragments`: for scenarios, the size of the pieces in which a message comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from pricestreamd.simulator.frames import BINARY, CONTINUATION, TEXT, frame, split_frames, text_frames


class Framing(Protocol):
    """One face's way. Texts are ASCII where nothing else is said."""

    def join(self, texts: Sequence[str]) -> bytes:
        """The bytes of one message per text, in order."""

    def split(self, joined: bytes) -> Iterator[bytes]:
        """The single messages of what `join` made."""

    def odd(self, payload: bytes, *, binary: bool) -> bytes:
        """A message that is no text, or none in UTF-8."""

    def in_fragments(self, size: int) -> Framing:
        """The same, with messages in fragments of so many bytes."""


class WebSocketFraming:
    """RFC 6455, section 5."""

    def __init__(self, fragments: int = 0) -> None:
        self._fragments = fragments

    def join(self, texts: Sequence[str]) -> bytes:
        """A text frame each, or several."""
        if self._fragments:
            return b"".join(self._pieces(text.encode()) for text in texts)
        return text_frames(texts)

    def split(self, joined: bytes) -> Iterator[bytes]:
        """Not for fragments."""
        return split_frames(joined)

    def odd(self, payload: bytes, *, binary: bool) -> bytes:
        """A binary frame; or a text frame, whatever is in it."""
        return frame(BINARY if binary else TEXT, payload)

    def in_fragments(self, size: int) -> WebSocketFraming:
        """A first frame and continuations."""
        return WebSocketFraming(size)

    def _pieces(self, payload: bytes) -> bytes:
        size = self._fragments
        parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
        last = len(parts) - 1
        return b"".join(
            frame(CONTINUATION if index else TEXT, part, final=index == last) for index, part in enumerate(parts)
        )


class EventFraming:
    """HTML Living Standard, section 9.2: `data:` lines and an empty one."""

    def __init__(self, fragments: int = 0) -> None:
        self._fragments = fragments

    def join(self, texts: Sequence[str]) -> bytes:
        """An event each."""
        if self._fragments:
            texts = [self._lines(text) for text in texts]
        return "".join([f"data: {text}\n\n" for text in texts]).encode()

    def split(self, joined: bytes) -> Iterator[bytes]:
        """Not for fragments."""
        at = 0
        while at < len(joined):
            end = joined.index(b"\n\n", at) + 2
            yield joined[at:end]
            at = end

    def odd(self, payload: bytes, *, binary: bool) -> bytes:  # noqa: ARG002 - all is text here
        """An event with these bytes."""
        return b"data: " + payload.replace(b"\n", b" ") + b"\n\n"

    def in_fragments(self, size: int) -> EventFraming:
        """Several `data:` lines, parted after commas: a line break is white space to JSON there."""
        return EventFraming(size)

    def _lines(self, text: str) -> str:
        lines, rest = [], text
        while len(rest) > self._fragments and (comma := rest.find(',"', self._fragments)) >= 0:
            lines.append(rest[: comma + 1])
            rest = rest[comma + 1 :]
        return "\ndata: ".join([*lines, rest])


WEBSOCKET = WebSocketFraming()
EVENTS = EventFraming()

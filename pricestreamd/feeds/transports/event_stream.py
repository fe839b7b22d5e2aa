"""Server-Sent Events, read from chunks of bytes as they come.

The format is that of the HTML standard, "Parsing an event stream": lines end with CR, LF or CRLF, wherever chunks are
cut; a byte order mark at the beginning is skipped; a line that begins with a colon is a comment; the `data` lines of an
event are joined with LF; a blank line ends it. `event` and `id` mean nothing here, `retry` is kept. Bytes stay bytes:
whoever reads an event finds out whether it is UTF-8. An event that is not finished when the stream ends is none.

No event grows beyond a limit, nor does a line that never ends: then `too_big` is set, and nothing more is read.
"""

from __future__ import annotations

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_ENDS = (b"\n", b"\r")
# What a line of data has beside its data.
_FIELD_NAME = len(b"data: ")
# A longer number of milliseconds is no time to wait.
_MAX_RETRY_DIGITS = 9


class EventStreamParser:
    """The events of one stream. `limit`: the most bytes of data that one event may have."""

    __slots__ = (
        "_begun",
        "_data",
        "_limit",
        "_line",
        "_longest_line",
        "_skip_lf",
        "_started",
        "retry_seconds",
        "too_big",
    )

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._longest_line = limit + _FIELD_NAME
        self._line = bytearray()  # of which the end has not come
        self._skip_lf = False  # the last chunk ended with a CR, so a LF now is the rest of the same line end
        self._started = False
        self._begun = False  # an event has begun, perhaps without data
        self._data: bytes | bytearray | None = None  # bytes while there is one line of it
        self.too_big = False
        self.retry_seconds: float | None = None
        """How long the server asks us to wait before the next attempt, where it has said so."""

    def feed(self, chunk: bytes) -> list[bytes | None]:
        """What `chunk` completes: the data of each event, and None for a sign of life.

        Signs of life are comments, and events without data.
        """
        if self._skip_lf and chunk:
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk or self.too_big:
            return []
        lines = chunk.splitlines()
        rest = b""
        if chunk.endswith(_LINE_ENDS):
            self._skip_lf = chunk.endswith(b"\r")
        else:
            rest = lines.pop()
        if lines and self._line:
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
        if lines and not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        found = self._read(lines)
        self._line += rest
        mark = 0 if self._started else len(_BYTE_ORDER_MARK)
        if len(self._line) > mark + self._longest_line:
            self.too_big = True
        if self.too_big:
            self._line.clear()
            self._data = None
        return found

    def _read(self, lines: list[bytes]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for line in lines:
            if not line:
                if self._begun:
                    found.append(self._data if self._data is None else bytes(self._data))
                    self._data = None
                    self._begun = False
                continue
            if len(line) > self._longest_line:
                self.too_big = True
                break
            name, _, value = line.partition(b":")
            if not name:
                found.append(None)
                continue
            self._begun = True
            if name == b"data":
                self._add(value.removeprefix(b" "))
                if self.too_big:
                    break
            elif name == b"retry":
                self._keep(value.removeprefix(b" "))
        return found

    def _add(self, value: bytes) -> None:
        if self._data is None:
            self._data = value
        else:
            if isinstance(self._data, bytes):
                self._data = bytearray(self._data)
            self._data += b"\n"
            self._data += value
        self.too_big = len(self._data) > self._limit

    def _keep(self, retry: bytes) -> None:
        if retry.isdigit() and len(retry) <= _MAX_RETRY_DIGITS:
            self.retry_seconds = int(retry) / 1000

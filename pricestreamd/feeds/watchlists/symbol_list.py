"""What a list of symbols from outside may be, and when it is believed. Pure.

A text has one symbol a line, in UTF-8. Empty lines count for nothing, and neither does a `#` at the start of a line or
after a space with what follows it. A query's first column holds texts; NULL and empty ones count for nothing.

A list is taken whole or not at all: one entry that cannot be a symbol refuses it, for whoever reads half a list loses
symbols in silence. Of several spellings of one symbol the first counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pricestreamd.model.errors import FeedError
from pricestreamd.model.tick import symbol_key

# Far above what any provider allows on one key; whoever reaches it reads the wrong file.
MAX_SYMBOLS = 10_000
MAX_BYTES = 1024 * 1024
# As in the configuration.
MAX_LENGTH = 128

_LINE_END = re.compile(r"\r\n|\r|\n")
_COMMENT = re.compile(r"(?:^|\s)#.*")


class WatchlistError(FeedError):
    """A watchlist could not be read. The last list stays."""

    reason = "watchlist"


class UnreadableListError(ValueError):
    """There is no list of symbols to be had; the text says why, and where in it."""


def symbols_of_text(data: bytes) -> tuple[str, ...]:
    """The symbols in a text.

    Raises:
        UnreadableListError: it is too long, not UTF-8, or a line cannot be a symbol.
    """
    if len(data) > MAX_BYTES:
        raise UnreadableListError(f"larger than {MAX_BYTES // 1024} KiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise UnreadableListError(f"line {line}: not UTF-8 text") from None
    return _listed((f"line {number}", _COMMENT.sub("", line)) for number, line in enumerate(_LINE_END.split(text), 1))


def symbols_of_column(values: Iterable[object]) -> tuple[str, ...]:
    """The symbols in the first column of a query, of which at most one row more than MAX_SYMBOLS need be fetched.

    Raises:
        UnreadableListError: there are too many rows, a value is no text, or cannot be a symbol.
    """
    return _listed((f"row {number}", _text(number, value)) for number, value in enumerate(values, 1))


def _text(number: int, value: object) -> str:
    if number > MAX_SYMBOLS:
        raise UnreadableListError(f"more than {MAX_SYMBOLS:,} rows: SELECT DISTINCT, or fewer")
    if value is None or isinstance(value, str):
        return value or ""
    raise UnreadableListError(f"row {number}: expected text, got {type(value).__name__}: CAST the first column AS TEXT")


def _listed(entries: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for place, entry in entries:
        symbol = entry.strip()
        if not symbol:
            continue
        if not symbol.isprintable():
            raise UnreadableListError(f"{place}: a symbol has no control characters, got {symbol[:MAX_LENGTH]!a:.60}")
        if len(symbol) > MAX_LENGTH:
            raise UnreadableListError(f"{place}: a symbol has at most {MAX_LENGTH} characters, got {symbol[:40]!a}...")
        found.setdefault(symbol_key(symbol), symbol)
        if len(found) > MAX_SYMBOLS:
            raise UnreadableListError(f"more than {MAX_SYMBOLS:,} symbols")
    return tuple(found.values())


class LastList:
    """The last list that was believed. An empty one is believed when it is read twice in a row.

    A file that is being written anew is empty for a moment, and so is a table between a DELETE and an INSERT; nobody
    wants to lose all symbols to that.
    """

    def __init__(self, symbols: tuple[str, ...] = ()) -> None:
        self.symbols = symbols
        self._was_empty = False

    def take(self, symbols: tuple[str, ...]) -> bool:
        """`symbols` were read: whether they are the list from now on."""
        believed = bool(symbols or not self.symbols or self._was_empty)
        self._was_empty = not symbols
        if believed:
            self.symbols = symbols
        return believed

    def missed(self) -> None:
        """Nothing could be read: what was read before is not in a row with what comes."""
        self._was_empty = False

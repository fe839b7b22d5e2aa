"""What the texts of a recorded row mean: columns, symbols, prices, sizes and times.

Every text is read once and remembered, because prices, sizes and symbols repeat and reading a number costs three times
a look-up. `RejectedRow` and `ValueError` are two different answers: this row is no tick | this file is broken here.
"""

from __future__ import annotations

import csv
import fnmatch
import math
import re
from dataclasses import dataclass
from pathlib import Path

from pricestreamd.model.tick import symbol_key
from pricestreamd.replay.input_error import ReplayInputError

# As on the wire: an exact decimal text. `float` alone would also take 1_000, and digits of other scripts.
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
# The seconds that a calendar can name (years 1 to 9999). Larger numbers are milliseconds under the wrong heading.
FIRST_SECOND = -62_135_596_800.0
LAST_SECOND = 253_402_300_799.0
# Distinct texts remembered per column.
_REMEMBERED = 1 << 16

_KNOWN = ("ts_ms", "timestamp", "symbol", "price", "bid", "ask", "size", "volume")


class RejectedRow(Exception):  # noqa: N818 - not an error: a tick that is counted instead of taken
    """The row is no tick; the argument is the reason."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a row is what, -1: not there. `per_second`: how many units of the time column make a second."""

    width: int
    time: int
    per_second: int
    symbol: int
    price: int
    bid: int
    ask: int
    size: int

    @classmethod
    def of(cls, path: Path, header: str) -> Columns:
        """Read the header line.

        Raises:
            ReplayInputError: there is none, or a column that is needed is missing or there twice.
        """
        try:
            names = [name.strip().lower() for name in next(csv.reader([header]), [])]
        except csv.Error as exc:
            raise ReplayInputError(path, f"the header is not CSV: {exc}", line=1) from exc
        if not any(names):
            raise ReplayInputError(path, "no header: a CSV file that names its columns in the first line is expected")
        found = f"the header is {header.strip()[:200]!r}"
        twice = [name for name in _KNOWN if names.count(name) > 1]
        if twice:
            raise ReplayInputError(path, f"column {twice[0]} is there twice: {found}", line=1)
        place = {name: names.index(name) for name in _KNOWN if name in names}
        missing = [
            wanted
            for wanted, there in (
                ("ts_ms or timestamp", "ts_ms" in place or "timestamp" in place),
                ("symbol", "symbol" in place),
                ("price (or bid and ask)", "price" in place or ("bid" in place and "ask" in place)),
            )
            if not there
        ]
        if missing:
            raise ReplayInputError(path, f"no column {', no column '.join(missing)}: {found}", line=1)
        return cls(
            width=len(names),
            time=place.get("ts_ms", place.get("timestamp", -1)),
            per_second=1000 if "ts_ms" in place else 1,
            symbol=place["symbol"],
            price=place.get("price", -1),
            bid=place.get("bid", -1),
            ask=place.get("ask", -1),
            size=place.get("size", place.get("volume", -1)),
        )


class SymbolTexts:
    """From the text of a row to the symbol: the spelling that came first, or None where it is not wanted."""

    def __init__(self, patterns: tuple[str, ...] | None) -> None:
        self.known: dict[str, str | None] = {}
        self._patterns = patterns
        self._spellings: dict[str, str] = {}

    def learn(self, text: str) -> str | None:
        """Read a text, and know it from now on."""
        key = symbol_key(text)
        if not key:
            raise RejectedRow("missing")
        wanted = self._patterns is None or any(fnmatch.fnmatchcase(key, pattern) for pattern in self._patterns)
        symbol = self.known[text] = self._spellings.setdefault(key, text.strip()) if wanted else None
        return symbol


class NumberTexts:
    """Prices and sizes from their texts. Whether a number can be a price is the stream's question."""

    def __init__(self) -> None:
        self.prices: dict[str, float] = {}
        self.sizes: dict[str, float | None] = {}

    def price(self, text: str) -> float:
        """Read a price, and know it from now on."""
        stripped = text.strip()
        if not stripped:
            raise RejectedRow("missing")
        if not (_DECIMAL.fullmatch(stripped) or _NOT_FINITE.fullmatch(stripped)):
            raise RejectedRow("type")
        if len(self.prices) >= _REMEMBERED:
            self.prices.clear()
        number = self.prices[text] = float(stripped)
        return number

    def size(self, text: str) -> float | None:
        """Read a size, and know it from now on; None where the field is empty."""
        stripped = text.strip()
        number = float(stripped) if _DECIMAL.fullmatch(stripped) else None
        if (number is None and stripped) or (number is not None and not 0 <= number < math.inf):
            raise ValueError(f"the size {text!r} is not a number of 0 or more")
        if len(self.sizes) >= _REMEMBERED:
            self.sizes.clear()
        self.sizes[text] = number
        return number


def read_time(text: str, per_second: int) -> float:
    """UTC epoch seconds from a number of milliseconds (`per_second` 1000) or seconds.

    Raises:
        ValueError: no number, or no time that a calendar knows.
    """
    try:
        timestamp = int(text) / per_second
    except ValueError:
        stripped = text.strip()
        if not _DECIMAL.fullmatch(stripped):
            unit = "milliseconds" if per_second > 1 else "seconds"
            raise ValueError(f"the time {text!r} is not a number of UTC epoch {unit}") from None
        timestamp = float(stripped) / per_second
    except OverflowError:
        timestamp = math.inf
    if not FIRST_SECOND <= timestamp <= LAST_SECOND:
        hint = "" if per_second > 1 else " (milliseconds belong in a column ts_ms)"
        raise ValueError(f"the time {text!r} is outside the years 1 to 9999{hint}")
    return timestamp


def mid(bid: float, ask: float) -> float:
    """The middle of the two; where one of them cannot be a price, that one, so that it is rejected for what it is."""
    if bid > 0.0 < ask:
        return (bid + ask) / 2.0
    return ask if bid > 0.0 else bid

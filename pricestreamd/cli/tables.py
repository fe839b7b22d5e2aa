"""What a daemon told, as lines of a terminal: columns, and no letter in them that does something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pricestreamd.model.secret import redact


def cell(value: Any) -> str:
    """A value as it can stand in one line of a terminal: it may be what somebody else said."""
    text = "-" if value is None else redact(str(value))
    return "".join(letter if letter.isprintable() else " " for letter in text)


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """A line for the heads and one for each row, in columns as wide as they must be."""
    cells = [heads, *([cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]

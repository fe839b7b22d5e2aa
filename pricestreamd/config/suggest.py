"""What a person may have meant: the nearest known word."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.7) -> str | None:
    """The known word that looks most like `word`, or None if none is near. `cutoff` from 0 (any) to 1 (the same)."""
    plain = {name.lower().replace("-", "_"): name for name in known}
    match = get_close_matches(word.lower().replace("-", "_"), plain, n=1, cutoff=cutoff)
    return plain[match[0]] if match else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean '...'?`, or an empty text."""
    found = nearest(word, known)
    return f"; did you mean {found!r}?" if found else ""


def comma_missing(symbol: str) -> str | None:
    """What to ask about a symbol that looks like two of them."""
    parts = symbol.split()
    return f"a space inside a symbol: is a comma missing ({', '.join(parts)})?" if len(parts) > 1 else None


def one_of(words: Iterable[str]) -> str:
    """`a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last

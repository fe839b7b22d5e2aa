"""Anything at all, as plain JSON values: finite, UTF-8, without secrets, and of bounded size.

What is logged may come from a stranger or be broken in itself. Nothing in here raises for it.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pythonjsonlogger.defaults import unknown_default

from pricestreamd.model.secret import MASK, redact

DEPTH = 6
ITEMS = 200  # of one container, and containers of one value
INTEGER_BITS = 64
# Of a longer text only the two ends are searched for secrets; what a cut secret left over lies within MARGIN.
LONGEST_SEARCHED = 65_536
MARGIN = 4_096

# Escaped wherever people read: C0, DEL and C1 controls, line and paragraph separators, marks that turn text around.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_SECRET_NAME = re.compile(r"(?i)api_?key|token|secret|passw|authorization|signature|credential")


def text(value: str, limit: int, *, searched: bool = True) -> str:
    """`value` without secrets and lone surrogates, and with its middle left out where it is longer than `limit`.

    Where the caller searches the whole line for secrets anyway (`searched` is False), a text that will stand in it
    letter by letter is not searched before: that is most of them, and searching is most of the cost of a line.
    """
    if not searched and len(value) <= limit and value.isprintable() and '"' not in value and "\\" not in value:
        return value
    left_out = max(0, len(value) - LONGEST_SEARCHED)
    if left_out:
        half = LONGEST_SEARCHED // 2
        value = f"{redact(value[:half])[:-MARGIN]}...{redact(value[-half:])[MARGIN:]}"
    else:
        value = redact(value)
    value = value.encode("utf-8", "backslashreplace").decode()
    if len(value) <= limit:
        return value
    return f"{value[: limit // 2]}...[{len(value) - limit + left_out} left out]...{value[len(value) - limit // 2 :]}"


def escaped(value: str) -> str:
    """`value` with every control character written out, as Python does it: it stays in its line and its colour."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), value)


class Plain:
    """Makes one value plain: texts of at most about `limit` characters, a bounded size; `searched` as in `text`."""

    __slots__ = ("_left", "_limit", "_searched")

    def __init__(self, limit: int, *, searched: bool = True) -> None:
        self._limit = limit
        self._searched = searched
        self._left = ITEMS

    def mapping(self, value: Mapping[Any, Any], depth: int = DEPTH) -> dict[str, Any]:
        """`value` with plain keys and values; a text whose key is named like a secret is hidden."""
        made: dict[str, Any] = {}
        # A list of its own: a change elsewhere meanwhile does no harm.
        for key, item in list(itertools.islice(value.items(), ITEMS)):
            name = self._text(key)
            made[name] = MASK if isinstance(item, str) and _names_a_secret(name) else self.value(item, depth - 1)
        return made

    def value(self, value: object, depth: int = DEPTH) -> Any:
        """Any value."""
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, bool | int | float):
            return self._number(value)
        self._left -= 1
        if depth <= 0 or self._left <= 0:
            return "..."
        if isinstance(value, Mapping):
            return self.mapping(value, depth)
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item, depth - 1) for item in list(itertools.islice(value, ITEMS))]
        return self._text(value)

    def _number(self, value: object) -> Any:
        """JSON has neither infinity nor NaN, and many of its readers have no integer of more than 64 bits."""
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if isinstance(value, int) and value.bit_length() > INTEGER_BITS:
            return self._text(hex(value))
        return value

    def _text(self, value: object) -> str:
        return text(spelled(value), self._limit, searched=self._searched)


def spelled(value: object) -> str:
    """Any value as text. Raises for nothing."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {unknown_default(value)}"
    return unknown_default(value)


@lru_cache(maxsize=1024)
def _names_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None
